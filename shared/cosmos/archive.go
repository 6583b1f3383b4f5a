package cosmos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
	"golang.org/x/sync/errgroup"

	"throughline/shared/graph"
)

// An archive is text, one JSON value to a line: a head, every document, and an end that counts them, so that a file that
// was cut off is never taken for a whole one.
const archiveForm = 1

// archived is one line of an archive: the head, a document of a container, or the end.
type archived struct {
	Archive   int             `json:"throughlineArchive,omitempty"` // the form, in the head only
	Container graph.Container `json:"container,omitempty"`
	Document  *document       `json:"document,omitempty"`
	End       *int            `json:"end,omitempty"` // how many documents came before
}

// Export writes every document of the store and gives their number. What is written meanwhile is in it as it was
// before or after: a reading of everything (resync) mends what does not fit together.
func (s *Store) Export(ctx context.Context, w io.Writer) (documents int, err error) {
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(archived{Archive: archiveForm}); err != nil {
		return 0, err
	}
	for _, c := range containers {
		err := s.everything(ctx, c, func(d document) error {
			documents++
			d.ETag = ""
			return lines.Encode(archived{Container: c, Document: &d})
		})
		if err != nil {
			return documents, fmt.Errorf("export container %s: %w", c, err)
		}
	}
	return documents, lines.Encode(archived{End: &documents})
}

// everything shows the documents of all partitions of a container.
func (s *Store) everything(ctx context.Context, c graph.Container, show func(document) error) error {
	var cursor *string
	for {
		var page azcosmos.QueryItemsResponse
		err := s.try(ctx, c, reading, func(container *azcosmos.ContainerClient) (err error) {
			o := &azcosmos.QueryOptions{PageSizeHint: archivePage, ContinuationToken: cursor}
			page, err = container.NewQueryItemsPager("SELECT * FROM c", azcosmos.NewPartitionKey(), o).NextPage(ctx)
			return err
		})
		if err != nil {
			return err
		}
		for _, raw := range page.Items {
			var d document
			if err := json.Unmarshal(raw, &d); err != nil {
				return err
			}
			if err := show(d); err != nil {
				return err
			}
		}
		if cursor = page.ContinuationToken; cursor == nil || *cursor == "" {
			return nil
		}
	}
}

const (
	archivePage = 500
	archiveLine = 4 << 20 // Cosmos DB takes 2 MB
	importers   = 16
)

// Imported counts what became of the documents of an archive.
type Imported struct {
	Written int // were not there, or replaced what was
	Same    int // were there already
	Kept    int // something else was there, and stays
}

// Import writes the documents of an archive that are not there. What is there and differs stays, unless replace. It reads the
// archive twice: first as a whole, so that nothing is written of a file that is cut off, spoiled, or newer than this
// program. Broken off, it can be run again.
func (s *Store) Import(ctx context.Context, r io.ReadSeeker, replace bool) (Imported, error) {
	if err := eachArchived(r, func(archived) error { return nil }); err != nil {
		return Imported{}, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Imported{}, err
	}
	i := importing{store: s, replace: replace}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(importers)
	err := eachArchived(r, func(a archived) error {
		work.Go(func() error { return i.one(ctx, a) })
		return ctx.Err()
	})
	return i.done, errors.Join(work.Wait(), err)
}

// eachArchived shows the documents of an archive, and checks its form.
func eachArchived(r io.Reader, show func(archived) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, archiveLine)
	documents, ended := 0, false
	for n := 1; lines.Scan(); n++ {
		a, err := readArchived(lines.Bytes(), n, documents)
		switch {
		case ended:
			return fmt.Errorf("archive, line %d: text after the end", n)
		case err != nil:
			return fmt.Errorf("archive, line %d: %w", n, err)
		case a.Document != nil:
			documents++
			err = show(a)
		}
		if err != nil {
			return err
		}
		ended = a.End != nil
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	if !ended {
		return fmt.Errorf("archive: it is cut off after %d documents; export it again, nothing was imported", documents)
	}
	return nil
}

// readArchived reads line n, before which came so many documents.
func readArchived(line []byte, n, documents int) (archived, error) {
	var a archived
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, err
	}
	switch {
	case n == 1 && a.Archive == 0:
		return a, errors.New("this is no archive of Throughline: its first line must name the form")
	case a.Archive > archiveForm:
		return a, fmt.Errorf("form %d was written by a newer version", a.Archive)
	case n == 1:
		return a, nil
	case a.End != nil && *a.End != documents:
		return a, fmt.Errorf("it should hold %d documents and holds %d", *a.End, documents)
	case a.End != nil:
		return a, nil
	case a.Document == nil:
		return a, errors.New("neither a document nor the end")
	}
	_, err := a.write()
	return a, err
}

// write is what puts the document where it was.
func (a archived) write() (graph.Write, error) {
	d := a.Document
	partition := d.PK
	if partitionField(a.Container) == "org" {
		partition = d.Org
	}
	if d.Version > version {
		return graph.Write{}, fmt.Errorf("document %s: form %d was written by a newer version", d.ID, d.Version)
	}
	w := graph.Write{Key: graph.Key{Container: a.Container, Partition: partition, ID: unescape(d.ID)}, Kind: d.Kind, Data: d.Data}
	if len(w.Data) == 0 || string(w.Data) == "null" {
		return w, fmt.Errorf("document %s holds no data", w.Key)
	}
	return w, graph.CheckWrites([]graph.Write{w})
}

// importing is one import under way.
type importing struct {
	store   *Store
	replace bool
	mu      sync.Mutex
	done    Imported
}

func (i *importing) count(n *int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	*n++
}

// one writes a document that is not there; its absence is the condition of the write, so that nobody's is overwritten.
func (i *importing) one(ctx context.Context, a archived) error {
	w, err := a.write()
	if err != nil {
		return err
	}
	err = i.store.Write(ctx, w)
	if !errors.Is(err, graph.ErrStale) {
		if err == nil {
			i.count(&i.done.Written)
		}
		return err
	}
	there, err := i.store.Read(ctx, w.Key)
	switch {
	case err != nil:
		return fmt.Errorf("import %s: %w", w.Key, err)
	case there.Kind == w.Kind && sameJSON(there.Data, w.Data):
		i.count(&i.done.Same)
	case !i.replace:
		i.count(&i.done.Kept)
	default:
		w.ETag = graph.Any
		if err := i.store.Write(ctx, w); err != nil {
			return err
		}
		i.count(&i.done.Written)
	}
	return nil
}

// sameJSON compares texts whose spaces may differ.
func sameJSON(a, b []byte) bool {
	var x, y bytes.Buffer
	if json.Compact(&x, a) != nil || json.Compact(&y, b) != nil {
		return false // what does not parse is not the same
	}
	return bytes.Equal(x.Bytes(), y.Bytes())
}
