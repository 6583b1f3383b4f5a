package assign

import (
	"context"
	"fmt"
	"testing"

	"throughline/shared/graph"
)

// desk is Defender for Cloud as far as assign writes to it.
type desk struct {
	tickets map[string]Ticket
	writes  int
	refuses error
}

func (d *desk) PutTicket(_ context.Context, assessment string, t Ticket) error {
	d.writes++
	if d.refuses != nil {
		return d.refuses
	}
	d.tickets[assessment] = t
	return nil
}

func behind(t *testing.T) (*bench, *desk, graph.RemediationID) {
	b := newBench(t)
	b.repository(nil)
	b.runs(map[int]int{1: 1})
	d := &desk{tickets: map[string]Ticket{}}
	b.stage.Tickets = d
	seen := finding(graph.RuntimeKind, words{})
	seen.Runtime.Digest = imageOf(1)
	put(b, graph.FindingKey(repositoryID, seen.ID), graph.KindFinding, seen)
	stranger := seen
	other := *seen.Runtime
	stranger.ID, other.ID, other.Assessment = "runtime-2", "runtime-2", "/subscriptions/s-1/providers/Microsoft.Security/assessments/a-2"
	stranger.Runtime = &other
	put(b, graph.FindingKey(repositoryID, stranger.ID), graph.KindFinding, stranger)
	f := b.finds(func(f *graph.Finding) {
		f.Matches = []graph.RuntimeMatch{{ID: seen.ID, Digest: imageOf(1), CVEs: f.CVEs}}
	})
	return b, d, f.Remediation
}

func TestTicketStandsOnTheAssessmentBehindTheIssue(t *testing.T) {
	b, d, id := behind(t)
	b.handle(id)
	m := b.remediation(id)
	got, found := d.tickets["/subscriptions/s-1/providers/Microsoft.Security/assessments/a-1"]
	if !found || len(d.tickets) != 1 || got.Number != 1 || got.URL != b.issue().URL || !got.Due.Equal(m.DueAt) || got.Status != string(m.Status) {
		t.Errorf("tickets %+v", d.tickets)
	}
	if b.handle(id); d.writes != 1 {
		t.Errorf("%d writes of an unchanged ticket", d.writes)
	}
	b.finds(func(f *graph.Finding) {
		f.Matches = []graph.RuntimeMatch{{ID: "runtime-11111111-1111-1111-1111-111111111111", Digest: imageOf(1), CVEs: f.CVEs}}
		fixed(b.now)(f)
	})
	b.handle(id)
	if got := d.tickets["/subscriptions/s-1/providers/Microsoft.Security/assessments/a-1"]; got.Status != string(graph.StatusFixedInCode) || d.writes != 2 {
		t.Errorf("after the fix: %+v, %d writes", got, d.writes)
	}
}

func TestTicketOfSomebodyElseStays(t *testing.T) {
	for _, refusal := range []error{fmt.Errorf("put: %w", ErrTicketTaken), fmt.Errorf("put: %w", graph.ErrNotFound)} {
		b, d, id := behind(t)
		d.refuses = refusal
		b.handle(id)
		if b.handle(id); d.writes != 1 {
			t.Errorf("%v is tried %d times", refusal, d.writes)
		}
	}
}

func TestObserveModeWritesNothingAnywhere(t *testing.T) {
	b, d, id := behind(t)
	b.stage.Mode = Observe
	b.handle(id)
	if len(b.hub.calls) != 0 || d.writes != 0 {
		t.Errorf("calls %v, %d tickets", b.hub.calls, d.writes)
	}
	if m := b.remediation(id); m.Held == "" {
		t.Error("nothing says why there is no issue")
	}
}
