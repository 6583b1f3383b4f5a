package feeds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"throughline/shared/graph"
)

// Source collects the feeds: the scope "all" calls for each of them, a feed's own scope reads it, and "changes" names
// the findings that lag behind an edition.
type Source struct {
	Store graph.Store
	// Dir is a folder with the feeds as files: then no network is asked. Empty: the published addresses are.
	Dir string
	// Offline leaves out what has no file: without Dir no feed is read.
	Offline bool
	// Addresses replace those published, by feed.
	Addresses map[Feed]string
	Client    *http.Client // nil: one of its own
	// Window is how many days the highest EPSS value is taken over, Thresholds the values at which a rule sees a change.
	Window     func() int
	Thresholds func() []float64
	Now        func() time.Time
	Log        *slog.Logger
}

// changes is the scope that names lagging findings.
const changes = "changes"

// Refused tells that an edition was not taken; the one before stays in force.
type Refused struct{ Err error }

// Error says why.
func (r *Refused) Error() string { return r.Err.Error() }

// Unwrap gives the cause.
func (r *Refused) Unwrap() error { return r.Err }

// Permanent tells that reading again at once does not help.
func (r *Refused) Permanent() bool { return true }

// Read reads one page: the list of feeds, a feed, or findings that lag behind a feed.
func (s *Source) Read(ctx context.Context, c graph.Collection) (graph.Collected, error) {
	got := graph.Collected{Observation: graph.Observation{Source: "feeds", ObservedAt: s.Now()}}
	switch c.Scope {
	case "all":
		if s.Offline && s.Dir == "" {
			return got, nil
		}
		for _, f := range All {
			got.Follow = append(got.Follow, graph.Collection{Source: c.Source, Scope: string(f)})
		}
		return got, nil
	case changes:
		return s.changed(ctx, c, got)
	case string(KEV), string(EPSS), string(Vulnrichment):
	default:
		return got, &Refused{fmt.Errorf("there is no feed %q", c.Scope)}
	}
	if err := s.renew(ctx, Feed(c.Scope)); err != nil {
		return got, err
	}
	// Asked for whenever something is left, not only by the reading that found it: that one may have been cut off.
	left, err := s.pending(ctx)
	if len(left) > 0 {
		got.Follow = append(got.Follow, graph.Collection{Source: c.Source, Scope: changes})
	}
	return got, err
}

// renew brings one feed up to date, or leaves the edition in force and raises an alarm.
func (s *Source) renew(ctx context.Context, f Feed) error {
	old, err := graph.Get[Head](ctx, s.Store, headKey(f))
	if err != nil {
		return err
	}
	old.Value.Feed = f
	c, err := s.fetch(ctx, f, old.Value)
	if errors.Is(err, errUnchanged) {
		return s.unchanged(ctx, f)
	}
	if err != nil {
		return s.alarm(ctx, f, err)
	}
	defer c.done()
	next := old.Value
	next.ETag, next.LastModified = c.etag, c.lastModified
	next.ReadAt, next.CheckedAt, next.Alarm, next.AlarmAt = s.Now(), s.Now(), "", time.Time{}
	work := map[Feed]func(context.Context, graph.Versioned[Head], Head, copies) error{KEV: s.renewKEV, EPSS: s.renewEPSS, Vulnrichment: s.renewVulnrichment}
	err = work[f](ctx, old, next, c)
	switch {
	case errors.Is(err, graph.ErrStale):
		return nil // somebody else has read the same
	case errors.Is(err, errUnchanged):
		return s.unchanged(ctx, f)
	case errors.As(err, new(*Refused)):
		return s.alarm(ctx, f, err)
	}
	return err
}

// checkedEvery is how often a feed that stays the same is noted as looked at: a reading that finds nothing new writes
// nothing.
const checkedEvery = 20 * time.Hour

// unchanged ends an alarm, and notes from time to time that the source was asked.
func (s *Source) unchanged(ctx context.Context, f Feed) error {
	_, _, err := graph.Update(ctx, s.Store, headKey(f), kindFeed, func(h graph.Versioned[Head]) (Head, bool, error) {
		next := h.Value
		if !h.Exists() || next.Alarm == "" && s.Now().Sub(next.CheckedAt) < checkedEvery {
			return next, false, nil
		}
		next.CheckedAt, next.Alarm, next.AlarmAt = s.Now(), "", time.Time{}
		return next, true, nil
	})
	return err
}

// alarm keeps the edition in force and says aloud what is wrong with the newest.
func (s *Source) alarm(ctx context.Context, f Feed, why error) error {
	h, _, err := graph.Update(ctx, s.Store, headKey(f), kindFeed, func(old graph.Versioned[Head]) (Head, bool, error) {
		next := old.Value
		next.Feed = f
		if next.Alarm == why.Error() {
			return next, false, nil
		}
		if next.Alarm == "" {
			next.AlarmAt = s.Now()
		}
		next.Alarm = why.Error()
		return next, true, nil
	})
	if err != nil {
		return err
	}
	s.Log.ErrorContext(ctx, "feed refused", "feed", f, "why", why.Error(), "inForce", h.Edition.Version, "since", h.AlarmAt)
	return &Refused{fmt.Errorf("feed %s: %w", f, why)}
}

// fits compares a new edition with the one in force: an older one, or one of quite another size, is not taken.
func fits(old, next Edition) error {
	switch {
	case old.Entries == 0:
		return nil
	case next.Date.Before(old.Date):
		return &Refused{fmt.Errorf("it is of %s, older than the one in force, of %s", next.Date.Format(time.DateOnly), old.Date.Format(time.DateOnly))}
	case next.Entries >= 10*old.Entries:
		return &Refused{fmt.Errorf("it has %d entries, ten times the %d in force", next.Entries, old.Entries)}
	case next.Entries*10 <= old.Entries:
		return &Refused{fmt.Errorf("it has %d entries, a tenth of the %d in force", next.Entries, old.Entries)}
	}
	return nil
}

func (s *Source) renewKEV(ctx context.Context, old graph.Versioned[Head], next Head, c copies) error {
	file, err := os.Open(c.files[0])
	if err != nil {
		return &Refused{err}
	}
	defer file.Close()
	read, err := parseKEV(file)
	if err != nil {
		return &Refused{err}
	}
	if err := fits(old.Value.Edition, read.edition); err != nil {
		return err
	}
	before, err := stored(ctx, s.Store, old.Value, unpackKEV)
	if err != nil {
		return err
	}
	next.Edition = read.edition
	packed, err := packKEV(read.added)
	if err != nil {
		return err
	}
	listed := func(table map[CVE]Day) func(CVE) any {
		return func(c CVE) any { _, found := table[c]; return found }
	}
	return s.swap(ctx, old, next, packed, differing(before, read.added, listed(before), listed(read.added)))
}

func (s *Source) renewVulnrichment(ctx context.Context, old graph.Versioned[Head], next Head, c copies) error {
	read, err := readVulnrichment(c.files[len(c.files)-1])
	if err != nil {
		return &Refused{err}
	}
	if read.edition.Date.IsZero() {
		read.edition.Date = s.Now()
	}
	if err := fits(old.Value.Edition, read.edition); err != nil {
		return err
	}
	before, err := stored(ctx, s.Store, old.Value, unpackSSVC)
	if err != nil {
		return err
	}
	next.Edition = read.edition
	packed, err := packSSVC(read.points)
	if err != nil {
		return err
	}
	points := func(table map[CVE]SSVC) func(CVE) any { return func(c CVE) any { return table[c] } }
	return s.swap(ctx, old, next, packed, differing(before, read.points, points(before), points(read.points)))
}

// renewEPSS takes in every day that the files hold and the table does not.
func (s *Source) renewEPSS(ctx context.Context, old graph.Versioned[Head], next Head, c copies) error {
	before, err := stored(ctx, s.Store, old.Value, unpackEPSS)
	if err != nil {
		return err
	}
	table, err := stored(ctx, s.Store, old.Value, unpackEPSS)
	if err != nil {
		return err
	}
	taken := false
	for _, name := range c.files {
		day, err := readScoreFile(name)
		if err != nil {
			return &Refused{err}
		}
		if next.Edition.Entries > 0 && !day.edition.Date.After(next.Edition.Date) {
			continue
		}
		if err := fits(next.Edition, day.edition); err != nil {
			return err
		}
		table.add(day, s.Window())
		next.Edition, taken = day.edition, true
	}
	if !taken {
		return errUnchanged
	}
	packed, err := packEPSS(table)
	if err != nil {
		return err
	}
	thresholds := s.Thresholds()
	level := func(table peaks) func(CVE) any {
		return func(c CVE) any { return table.level(c, thresholds) }
	}
	return s.swap(ctx, old, next, packed, differing(before, table, level(before), level(table)))
}

func readScoreFile(name string) (scores, error) {
	file, err := os.Open(name)
	if err != nil {
		return scores{}, err
	}
	defer file.Close()
	return parseEPSS(file)
}

// level counts the thresholds that the highest value of a CVE reaches.
func (p peaks) level(c CVE, thresholds []float64) int {
	level := 0
	if list := p[c]; len(list) > 0 {
		for _, t := range thresholds {
			if float64(list[0].value)/units >= t {
				level++
			}
		}
	}
	return level
}

// stored is the table in force; an empty one when there is none yet.
func stored[T any](ctx context.Context, st graph.Store, h Head, unpack func([]byte) (T, error)) (T, error) {
	var none T
	if h.Blob == "" {
		packed, err := (&packer{}).pack()
		if err != nil {
			return none, err
		}
		return unpack(packed)
	}
	packed, err := load(ctx, st, h)
	if err != nil {
		return none, err
	}
	return unpack(packed)
}

// differing lists the CVEs of which two tables say something else.
func differing[V any](before, after map[CVE]V, was, is func(CVE) any) []CVE {
	both := make(map[CVE]bool, len(after))
	for c := range before {
		both[c] = true
	}
	for c := range after {
		both[c] = true
	}
	var out []CVE
	for _, c := range sorted(both) {
		if was(c) != is(c) {
			out = append(out, c)
		}
	}
	return out
}

// swap notes which CVEs change and then puts the edition in force: in this order nothing that changed is forgotten.
func (s *Source) swap(ctx context.Context, old graph.Versioned[Head], next Head, packed []byte, differ []CVE) error {
	if len(differ) > 0 {
		if err := s.noteChange(ctx, next, differ); err != nil {
			return err
		}
	}
	if err := save(ctx, s.Store, old, next, packed); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "feed renewed", "feed", next.Feed, "edition", next.Edition.Version, "entries", next.Edition.Entries, "changed", len(differ))
	return nil
}
