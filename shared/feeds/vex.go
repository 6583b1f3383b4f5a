package feeds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"throughline/shared/graph"
)

// VEX is what stands of the VEX documents of a folder. Nobody publishes it: it is no feed of All.
const VEX Feed = "vex"

// The largest document and the most documents that a folder may have.
const (
	maxDocument  = 4 << 20
	maxDocuments = 10_000
)

// Library keeps the VEX documents of a folder, each in its last good form: a document that turns bad changes nothing, and
// one that is gone says nothing any more.
type Library struct {
	Store graph.Store
	Dir   string // empty: there are no documents
	// Check names the vulnerabilities that a document speaks of, or says what is wrong with it.
	Check func(text []byte) ([]string, error)
	Now   func() time.Time
	Log   *slog.Logger
}

// Renew takes the documents in as they are now, and leaves the findings to be decided again of which they say something
// else; changed tells that there are any. Each fault of a document is one line of the log and of the alarm.
func (l *Library) Renew(ctx context.Context) (changed bool, err error) {
	old, err := graph.Get[Head](ctx, l.Store, headKey(VEX))
	if err != nil {
		return false, fmt.Errorf("VEX documents: %w", err)
	}
	held, err := documentsOf(ctx, l.Store, old.Value)
	if err != nil {
		return false, fmt.Errorf("VEX documents: %w", err)
	}
	now, faults := l.read(held)
	alarm := strings.Join(faults, "; ")
	same := maps.Equal(held, now)
	if same && (old.Value.Alarm == alarm || !old.Exists() && alarm == "") {
		return false, nil
	}
	for _, f := range faults {
		l.Log.ErrorContext(ctx, "VEX document refused", "problem", f)
	}
	err = l.swap(ctx, old, held, now, alarm)
	if errors.Is(err, graph.ErrStale) {
		return false, nil // somebody else has read the same
	}
	return !same, err
}

// read gives the documents that count now, by the name of their file, and what is wrong with the others.
func (l *Library) read(held map[string]string) (map[string]string, []string) {
	now := map[string]string{}
	if l.Dir == "" {
		return now, nil
	}
	names, err := l.names()
	if err != nil {
		return held, []string{"VEX_DIR: " + oneLine(err)}
	}
	var faults []string
	for _, name := range names {
		text, err := l.document(name)
		if err == nil {
			now[name] = text
			continue
		}
		faults = append(faults, name+": "+oneLine(err))
		if was, found := held[name]; found {
			now[name] = was
		}
	}
	return now, faults
}

// names are the documents of the folder and of the folders in it.
func (l *Library) names() ([]string, error) {
	var names []string
	err := filepath.WalkDir(l.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || filepath.Ext(path) != ".json" {
			return nil
		}
		name, err := filepath.Rel(l.Dir, path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if len(names) > maxDocuments {
		return nil, fmt.Errorf("%d documents, at most %d", len(names), maxDocuments)
	}
	return names, err
}

func (l *Library) document(name string) (string, error) {
	path := filepath.Join(l.Dir, filepath.FromSlash(name))
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Size() > maxDocument {
		return "", fmt.Errorf("%d bytes, at most %d", info.Size(), maxDocument)
	}
	text, err := os.ReadFile(path)
	if err == nil {
		_, err = l.Check(text)
	}
	return string(text), err
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// swap notes what changes, and then puts the documents in force.
func (l *Library) swap(ctx context.Context, old graph.Versioned[Head], held, now map[string]string, alarm string) error {
	next := old.Value
	next.Feed, next.CheckedAt, next.Alarm = VEX, l.Now(), alarm
	switch {
	case alarm == "":
		next.AlarmAt = time.Time{}
	case old.Value.Alarm == "":
		next.AlarmAt = l.Now()
	}
	if maps.Equal(held, now) {
		w, err := graph.NewWrite(headKey(VEX), kindFeed, old.ETag, next)
		if err != nil {
			return err
		}
		return l.Store.Write(ctx, w)
	}
	next.ReadAt = l.Now()
	next.Edition = Edition{Version: graph.Version(now), Date: l.Now(), Entries: len(now)}
	if err := NoteChange(ctx, l.Store, l.change(held, now, next.Edition.Version)); err != nil {
		return err
	}
	packed, err := json.Marshal(now)
	if err != nil {
		return err
	}
	l.Log.InfoContext(ctx, "VEX documents renewed", "edition", next.Edition.Version, "documents", len(now))
	return save(ctx, l.Store, old, next, packed)
}

// change concerns the findings whose vulnerabilities a document speaks of that came, went, or changed. The list of
// findings knows them by their CVE alone: with any other name every finding is looked at.
func (l *Library) change(held, now map[string]string, edition string) Change {
	c := Change{ID: "vex-" + edition, Cause: "VEX documents " + edition}
	all := false
	for name := range both(held, now) {
		for _, text := range []string{held[name], now[name]} {
			if text == "" || held[name] == now[name] {
				continue
			}
			names, err := l.Check([]byte(text))
			all = all || err != nil
			for _, v := range names {
				_, known := ParseCVE(v)
				all = all || !known
				c.CVEs = append(c.CVEs, v)
			}
		}
	}
	slices.Sort(c.CVEs)
	if c.CVEs = slices.Compact(c.CVEs); all || len(c.CVEs) > longestChange {
		c.CVEs = nil
	}
	return c
}

func both[V any](a, b map[string]V) map[string]bool {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return keys
}

func documentsOf(ctx context.Context, s graph.Store, h Head) (map[string]string, error) {
	if h.Blob == "" {
		return map[string]string{}, nil
	}
	packed, err := load(ctx, s, h)
	if err != nil {
		return nil, err
	}
	return unpackVEX(packed)
}

func unpackVEX(packed []byte) (map[string]string, error) {
	docs := map[string]string{}
	err := json.Unmarshal(packed, &docs)
	return docs, err
}

// Documents are the VEX documents in force, in the order of their names, and what names them together.
func (s *Shelf) Documents() (texts [][]byte, edition string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.held.vex)) {
		texts = append(texts, []byte(s.held.vex[name]))
	}
	return texts, s.held.heads[VEX].Edition.Version
}
