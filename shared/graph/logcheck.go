package graph

import (
	"context"
	"encoding/json"
	"fmt"
)

// LogReport is what a check of the decision log of a repository found. Without faults nothing was changed in it.
type LogReport struct {
	Repository RepositoryID `json:"repository"`
	Segments   int          `json:"segments"`
	Entries    int          `json:"entries"`
	Decisions  int          `json:"decisions"` // that stand now
	Records    int          `json:"records"`   // of decisions that were replaced
	// Waiting are decisions that no segment holds yet; each still holds its own link.
	Waiting int `json:"waiting"`
	// Unsigned are segments without a signature: those from before there was a key. After a signed one it is a fault.
	Unsigned int        `json:"unsigned"`
	Head     string     `json:"head,omitempty"` // hash of the newest segment: note it elsewhere to compare later
	Faults   []LogFault `json:"faults"`
}

// LogFault is a place of the log that is not what was written.
type LogFault struct {
	Place string `json:"place"` // the document
	What  string `json:"what"`
}

// LogCheck checks decision logs.
type LogCheck struct {
	Store Store
	// Verify tells whether a signature is ours; nil: signatures are not checked.
	Verify func(hash string, signature []byte) error
}

// Of checks the log of a repository: that the segments are a chain whose end is the head, that every decision is what its
// link and the newest line about it say, and that every record is what the decision after it was bound to.
func (c LogCheck) Of(ctx context.Context, r RepositoryID) (LogReport, error) {
	w := &logWalk{LogCheck: c, LogReport: LogReport{Repository: r, Faults: []LogFault{}}, newest: map[FindingID]Logged{}}
	if err := w.segments(ctx); err != nil {
		return w.LogReport, fmt.Errorf("check the log of %s: %w", r, err)
	}
	if err := w.decisions(ctx); err != nil {
		return w.LogReport, fmt.Errorf("check the log of %s: %w", r, err)
	}
	return w.LogReport, nil
}

// logWalk is one check of one repository.
type logWalk struct {
	LogCheck
	LogReport
	newest map[FindingID]Logged // the last line of each finding
	signed bool                 // a segment was
}

func (w *logWalk) fault(k Key, format string, args ...any) {
	w.Faults = append(w.Faults, LogFault{k.String(), fmt.Sprintf(format, args...)})
}

// each calls use for every document of a kind of the repository, in the order of their ids.
func (w *logWalk) each(ctx context.Context, kind Kind, use func(Document)) error {
	q := Query{Container: GraphContainer, Partition: RepositoryPartition(w.Repository), Kind: kind}
	for more := true; more; more = q.Cursor != "" {
		page, err := w.Store.Query(ctx, q)
		if err != nil {
			return err
		}
		for _, d := range page.Documents {
			use(d)
		}
		q.Cursor = page.Cursor
	}
	return nil
}

func (w *logWalk) segments(ctx context.Context) error {
	head, err := Get[logHead](ctx, w.Store, logHeadKey(w.Repository))
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		d, err := w.segment(ctx, n, head.Value)
		if err != nil || !d {
			return err
		}
	}
}

// segment checks one segment; false when the log ends before it.
func (w *logWalk) segment(ctx context.Context, n int, head logHead) (bool, error) {
	k := LogKey(w.Repository, n)
	stored, err := Get[json.RawMessage](ctx, w.Store, k)
	if err != nil {
		return false, err
	}
	if !stored.Exists() {
		if n <= head.Number {
			w.fault(k, "the segment is missing; the log has %d", head.Number)
		}
		return n < head.Number, nil
	}
	var s Segment
	if err := json.Unmarshal(stored.Value, &s); err != nil {
		w.fault(k, "the segment cannot be read: %v", err)
		return true, nil
	}
	w.seal(k, stored.Value, s)
	switch {
	case s.Number != n:
		w.fault(k, "the segment says that its number is %d", s.Number)
	case s.Prev != w.Head:
		w.fault(k, "the segment does not follow the one before it")
	}
	if n == head.Number && s.Hash != head.Hash {
		w.fault(logHeadKey(w.Repository), "the head is not the hash of segment %d", n)
	}
	w.Head = s.Hash
	w.Segments++
	w.Entries += len(s.Entries)
	for _, e := range s.Entries {
		if e.Finding != "" && !e.At.Before(w.newest[e.Finding].At) {
			w.newest[e.Finding] = e
		}
	}
	return true, nil
}

func (w *logWalk) seal(k Key, raw []byte, s Segment) {
	hash, err := chainHash(raw, "hash", "signature")
	if err != nil || hash != s.Hash {
		w.fault(k, "the segment is not what was written: its hash differs")
	}
	if len(s.Signature) == 0 {
		w.Unsigned++
		if w.signed {
			w.fault(k, "the segment is not signed, one before it is: the signature was taken away, or EVIDENCE_KEY was")
		}
		return
	}
	w.signed = true
	if w.Verify == nil {
		return
	}
	if err := w.Verify(s.Hash, s.Signature); err != nil {
		w.fault(k, "the signature of the segment is not ours: %v", err)
	}
}

func (w *logWalk) decisions(ctx context.Context) error {
	records := map[string]json.RawMessage{}
	if err := w.each(ctx, KindRecord, func(d Document) { records[d.Key.ID] = d.Data }); err != nil {
		return err
	}
	w.Records = len(records)
	return w.each(ctx, KindFinding, func(d Document) { w.finding(d, records) })
}

func (w *logWalk) finding(d Document, records map[string]json.RawMessage) {
	var members map[string]json.RawMessage
	var f Finding
	if err := json.Unmarshal(d.Data, &members); err != nil {
		w.fault(d.Key, "the finding cannot be read: %v", err)
		return
	}
	if err := json.Unmarshal(d.Data, &f); err != nil {
		w.fault(d.Key, "the finding cannot be read: %v", err)
		return
	}
	last, logged := w.newest[f.ID]
	if f.Decision == nil {
		return
	}
	w.Decisions++
	if f.Decision.Link == "" && !logged {
		w.Waiting++ // decided before there was a log
		return
	}
	hash, err := chainHash(members["decision"], "link")
	if err != nil || hash != f.Decision.Link {
		w.fault(d.Key, "the decision is not what was written: its link differs")
	}
	switch {
	case logged && last.At.Equal(f.Decision.DecidedAt) && last.Link != f.Decision.Link:
		w.fault(d.Key, "the decision is not the one in the log: its link differs")
	case logged && f.Decision.DecidedAt.Before(last.At):
		w.fault(d.Key, "the decision is older than the newest one in the log")
	case !logged || f.Decision.DecidedAt.After(last.At):
		w.Waiting++
	}
	w.past(f, records)
}

// past follows the records of a finding backwards, each by the hash in the decision after it.
func (w *logWalk) past(f Finding, records map[string]json.RawMessage) {
	after := f.Decision.After
	for i := len(f.Decision.Past) - 1; i >= 0 && after != ""; i-- {
		k := RecordKey(f.Repository, f.ID, f.Decision.Past[i])
		raw, there := records[k.ID]
		if !there {
			w.fault(k, "the record is missing")
			return
		}
		if hash, err := chainHash(raw); err != nil || hash != after {
			w.fault(k, "the record is not what was written: its hash differs")
		}
		var r Record
		if err := json.Unmarshal(raw, &r); err != nil {
			return // named above: nothing that was written is unreadable
		}
		d, err := r.Decision()
		if err != nil {
			return
		}
		after = d.After
	}
}
