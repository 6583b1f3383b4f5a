package assign

import (
	"context"
	"errors"
	"testing"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// other is a second fix of the same repository.
func other(f *graph.Finding) {
	f.ID, f.Alert.ID, f.Alert.Number = "github-4711-dependabot-89", "github-4711-dependabot-89", 89
	f.FixKey = "dependabot:maven:other:pom.xml"
	f.Remediation = graph.NewRemediationID(repositoryID, f.FixKey)
}

// loses empties the store, as after a loss, and reads the world again.
func (b *bench) loses() (first, second graph.RemediationID) {
	b.store = graph.NewMemory()
	b.stage.Store = b.store
	b.repository(nil)
	b.runs(map[int]int{1: 1, 2: 1})
	return b.finds(nil).Remediation, b.finds(other).Remediation
}

func twoIssues(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	first, second := b.loses()
	b.handle(first)
	b.handle(second)
	if n := len(b.hub.issues[repositoryID]); n != 2 {
		t.Fatalf("%d issues, want 2", n)
	}
	return b
}

func TestAYoungerStoreFindsTheIssuesAgain(t *testing.T) {
	b := twoIssues(t)
	b.now = b.now.Add(time.Hour)
	b.hub.issues[repositoryID][0].Assignees = []string{"alice"}
	looked := b.hub.calls["find"]
	first, second := b.loses()
	b.follows(b.handle(second))
	if n := len(b.hub.issues[repositoryID]); n != 2 {
		t.Fatalf("%d issues after the loss, want 2", n)
	}
	third := b.finds(func(f *graph.Finding) {
		other(f)
		f.ID, f.Alert.ID, f.Alert.Number = "github-4711-dependabot-90", "github-4711-dependabot-90", 90
		f.FixKey = "dependabot:maven:third:pom.xml"
		f.Remediation = graph.NewRemediationID(repositoryID, f.FixKey)
	})
	b.follows(b.handle(third.Remediation))
	if n := len(b.hub.issues[repositoryID]); n != 3 {
		t.Fatalf("%d issues after a new finding, want 3", n)
	}
	if n := b.hub.calls["find"] - looked; n != 2 {
		t.Errorf("looked %d times, want twice: to bring back, and to find nothing more", n)
	}
	if m := b.remediation(first); m.Issue == nil || m.Issue.Number != 1 || m.Status != graph.StatusAssigned || m.Intent != nil || m.Applied == "" {
		t.Errorf("the first fix: %+v", m)
	}
	if m := b.remediation(second); m.Issue == nil || m.Issue.Number != 2 || m.Status != graph.StatusOpen || m.Applied == "" {
		t.Errorf("the second fix: %+v", m)
	}
}

// TestAnIssueOfSomethingUnseenIsLeftAlone brings an issue back whose finding this store does not know.
func TestAnIssueOfSomethingUnseenIsLeftAlone(t *testing.T) {
	b := twoIssues(t)
	first, second := b.loses()
	b.store = graph.NewMemory()
	b.stage.Store = b.store
	b.repository(nil)
	b.runs(map[int]int{1: 1, 2: 1})
	b.finds(nil)
	b.follows(b.handle(first))
	if m := b.remediation(second); m.Issue == nil || m.Issue.State != "open" || b.hub.issues[repositoryID][1].State != "open" {
		t.Errorf("the second fix: %+v", m)
	}
}

// follows handles what the stage said, until it says nothing more.
func (b *bench) follows(said []event.Event) {
	b.t.Helper()
	for n := 0; len(said) > 0; n++ {
		if n == 10 {
			b.t.Fatalf("the stage goes on and on: %+v", said)
		}
		var due event.Due
		if err := said[0].Into(&due); err != nil {
			b.t.Fatal(err)
		}
		said = append(said[1:], b.handle(due.Remediation)...)
	}
}

// TestTurnsAreSaidAgainAfterACrash handles the message that brought an issue back a second time, as if what the first
// time said had never been sent.
func TestTurnsAreSaidAgainAfterACrash(t *testing.T) {
	b := twoIssues(t)
	first, second := b.loses()
	e, err := event.NewDue("/test", event.Due{Repository: repositoryID, Remediation: first})
	if err != nil {
		t.Fatal(err)
	}
	for try := range 2 {
		said, err := b.stage.Handle(context.Background(), e)
		if err != nil {
			t.Fatal(err)
		}
		turns := 0
		for _, one := range said {
			var due event.Due
			if err := one.Into(&due); err != nil {
				t.Fatal(err)
			}
			if due.Remediation == second {
				turns++
			}
		}
		if turns != 1 {
			t.Fatalf("handled %d times, the second fix has %d turns, want 1", try+1, turns)
		}
		if try == 1 {
			b.follows(said)
		}
	}
	if m := b.remediation(second); m.Issue == nil || m.Issue.Number != 2 || len(b.hub.issues[repositoryID]) != 2 {
		t.Errorf("the second fix: %+v", m)
	}
}

func TestAForgedMarkerIsNotFoundAgain(t *testing.T) {
	b := twoIssues(t)
	for _, i := range b.hub.issues[repositoryID] {
		i.Body = Marker{Key: []byte("somebody else's key")}.Line(b.remediation(graph.NewRemediationID(repositoryID, "x")).ID) + "\n"
	}
	first, _ := b.loses()
	b.handle(first)
	if m := b.remediation(first); m.Issue == nil || m.Issue.Number != 3 {
		t.Errorf("a forged issue was taken for ours: %+v", m.Issue)
	}
}

// TestALookThatFailsOpensNothing breaks off before the mark is set: the next try looks again.
func TestALookThatFailsOpensNothing(t *testing.T) {
	b := twoIssues(t)
	first, _ := b.loses()
	b.hub.fault = func(call string, after bool) error {
		if call == "find" {
			return errBroken
		}
		return nil
	}
	e, err := event.NewDue("/test", event.Due{Repository: repositoryID, Remediation: first})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.stage.Handle(context.Background(), e); !errors.Is(err, errBroken) {
		t.Fatalf("the stage says %v", err)
	}
	b.hub.fault = nil
	b.follows(b.handle(first))
	if n := len(b.hub.issues[repositoryID]); n != 2 {
		t.Errorf("%d issues, want 2", n)
	}
}

func TestAnIssueThatAPersonClosedStaysClosed(t *testing.T) {
	b := twoIssues(t)
	b.hub.issues[repositoryID][0].State, b.hub.issues[repositoryID][0].StateReason = "closed", "not_planned"
	first, _ := b.loses()
	b.follows(b.handle(first))
	m := b.remediation(first)
	if n := len(b.hub.issues[repositoryID]); n != 2 || m.Issue == nil || m.Issue.State != "closed" || m.Closed == nil {
		t.Errorf("%d issues; %+v closed %+v", n, m.Issue, m.Closed)
	}
}
