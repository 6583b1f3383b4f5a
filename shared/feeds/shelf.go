package feeds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"throughline/shared/graph"
)

// partition is where the heads of the feeds stand in the state container.
const partition = "feeds"

// kindFeed, kindPart and kindChange are the documents that the package keeps.
const (
	kindFeed   graph.Kind = "feed"
	kindPart   graph.Kind = "feedPart"
	kindChange graph.Kind = "feedChange"
)

// Head is what stands of a feed: the edition in force, and what is wrong with the newest one if it was refused.
type Head struct {
	Feed    Feed    `json:"feed"`
	Edition Edition `json:"edition,omitzero"`
	// Blob names the parts that hold the table.
	Blob  string `json:"blob,omitempty"`
	Parts int    `json:"parts,omitempty"`
	// ReadAt is when the edition was read, CheckedAt when its source last said that there is no newer one.
	ReadAt    time.Time `json:"readAt,omitzero"`
	CheckedAt time.Time `json:"checkedAt,omitzero"`
	// ETag and LastModified are of the answer that the edition came with, for the next conditional request.
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
	// Alarm tells why the last try changed nothing; empty when it went well.
	Alarm   string    `json:"alarm,omitempty"`
	AlarmAt time.Time `json:"alarmAt,omitzero"`
}

// Age is how old the edition in force is; 0 for a feed that was never read.
func (h Head) Age(now time.Time) time.Duration {
	if h.Edition.Date.IsZero() {
		return 0
	}
	return now.Sub(h.Edition.Date)
}

func headKey(f Feed) graph.Key { return graph.StateKey(partition, string(f)) }

func partsPartition(f Feed, blob string) string { return "feed:" + string(f) + ":" + blob }

// Heads lists what stands of each feed, for people.
func Heads(ctx context.Context, s graph.Store) ([]Head, error) {
	return graph.ListAll[Head](ctx, s, graph.Query{Container: graph.StateContainer, Partition: partition, Kind: kindFeed})
}

// part is one piece of a packed table.
type part struct {
	Data []byte `json:"data"`
}

// partSize keeps a part with its base64 under the largest document.
const partSize = 1 << 20

// save writes a packed table and then, in one write, makes it the one in force.
func save(ctx context.Context, s graph.Store, old graph.Versioned[Head], next Head, packed []byte) error {
	next.Blob, next.Parts = uuid.NewString(), 0
	for piece := range slices.Chunk(packed, partSize) {
		w, err := graph.NewWrite(graph.StateKey(partsPartition(next.Feed, next.Blob), strconv.Itoa(next.Parts)), kindPart, graph.Any, part{piece})
		if err != nil {
			return err
		}
		if err := s.Write(ctx, w); err != nil {
			return err
		}
		next.Parts++
	}
	w, err := graph.NewWrite(headKey(next.Feed), kindFeed, old.ETag, next)
	if err != nil {
		return err
	}
	if err := s.Write(ctx, w); err != nil {
		return errors.Join(err, discard(ctx, s, next))
	}
	return discard(ctx, s, old.Value)
}

// discard deletes the parts of a table that is no longer in force.
func discard(ctx context.Context, s graph.Store, h Head) error {
	for n := range h.Parts {
		err := s.Write(ctx, graph.Write{Key: graph.StateKey(partsPartition(h.Feed, h.Blob), strconv.Itoa(n)), Kind: kindPart, ETag: graph.Any})
		if err != nil {
			return err
		}
	}
	return nil
}

// load reads the packed table of a head.
func load(ctx context.Context, s graph.Store, h Head) ([]byte, error) {
	var packed []byte
	for n := range h.Parts {
		d, err := graph.Get[part](ctx, s, graph.StateKey(partsPartition(h.Feed, h.Blob), strconv.Itoa(n)))
		if err != nil {
			return nil, err
		}
		if !d.Exists() {
			return nil, fmt.Errorf("feed %s: part %d of %s: %w", h.Feed, n, h.Blob, graph.ErrNotFound)
		}
		packed = append(packed, d.Value.Data...)
	}
	return packed, nil
}

// tables are the editions in force, unpacked.
type tables struct {
	heads map[Feed]Head
	kev   map[CVE]Day
	epss  peaks
	ssvc  map[CVE]SSVC
	vex   map[string]string // the documents by the names of their files
}

// Shelf answers from memory what the editions in force say. The zero value with a Store is ready; it is safe for
// concurrent use.
type Shelf struct {
	Store graph.Store
	Now   func() time.Time

	mu      sync.Mutex
	held    tables
	checked time.Time
}

// patience is how long the shelf answers without asking whether there is a newer edition.
const patience = time.Minute

// Refresh takes newer editions in. It asks the store at most once a minute, or at once when now is true.
func (s *Shelf) Refresh(ctx context.Context, now bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !now && !s.checked.IsZero() && s.Now().Sub(s.checked) < patience {
		return nil
	}
	heads, err := Heads(ctx, s.Store)
	if err != nil {
		return fmt.Errorf("feeds: %w", err)
	}
	next := s.held
	next.heads = map[Feed]Head{}
	for _, h := range heads {
		next.heads[h.Feed] = h
		if h.Blob == "" || s.held.heads[h.Feed].Blob == h.Blob {
			continue
		}
		packed, err := load(ctx, s.Store, h)
		if err == nil {
			err = next.take(h.Feed, packed)
		}
		if err != nil { // swapped meanwhile, or damaged: the next question asks again
			return fmt.Errorf("feed %s: %w", h.Feed, err)
		}
	}
	s.held, s.checked = next, s.Now()
	return nil
}

func (t *tables) take(f Feed, packed []byte) (err error) {
	switch f {
	case KEV:
		t.kev, err = unpackKEV(packed)
	case EPSS:
		t.epss, err = unpackEPSS(packed)
	case Vulnrichment:
		t.ssvc, err = unpackSSVC(packed)
	case VEX:
		t.vex, err = unpackVEX(packed)
	}
	return err
}

// Look tells what the editions in force say of a CVE; nothing for what is no CVE.
func (s *Shelf) Look(cve string) Facts {
	id, ok := ParseCVE(cve)
	if !ok {
		return Facts{}
	}
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	return held.look(id)
}

func (t tables) look(id CVE) Facts {
	var f Facts
	if f.KEV.Known = t.heads[KEV].Blob != ""; f.KEV.Known {
		var added Day
		if added, f.KEV.Listed = t.kev[id]; f.KEV.Listed {
			f.KEV.Added = added.Time()
		}
	}
	if list := t.epss[id]; len(list) > 0 {
		f.EPSS.Known, f.EPSS.Highest = true, float64(list[0].value)/units
	}
	f.SSVC = t.ssvc[id]
	return f
}

// Head tells which edition of a feed the shelf answers from.
func (s *Shelf) Head(f Feed) Head {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.heads[f]
}

// Version names what the editions in force say of some CVEs, as far as a rule with these EPSS thresholds can see it:
// equal as long as nothing changes that could change a decision. It is empty when they say nothing of any of them.
func (s *Shelf) Version(cves []string, thresholds []float64) string {
	var b strings.Builder
	for _, cve := range cves {
		if v := s.Look(cve).seen(thresholds); v != "" {
			fmt.Fprintf(&b, "%s %s;", cve, v)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return graph.Version(b.String())
}

// seen is what a rule sees of the facts; empty for a CVE of which nothing threatening or assessed is known.
func (f Facts) seen(thresholds []float64) string {
	level := 0
	for _, t := range thresholds {
		if f.EPSS.Highest >= t {
			level++
		}
	}
	if !f.KEV.Listed && level == 0 && f.SSVC == (SSVC{}) {
		return ""
	}
	return fmt.Sprintf("%t %d %s/%s/%s", f.KEV.Listed, level, f.SSVC.Exploitation, f.SSVC.Automatable, f.SSVC.Impact)
}
