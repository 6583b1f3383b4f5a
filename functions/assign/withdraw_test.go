package assign

import (
	"context"
	"testing"
	"time"

	"throughline/shared/graph"
)

// vanish takes the finding out of its repository, as correlate does when its image has another owner; to is where it is
// shown now, if anywhere.
func (b *bench) vanish(f graph.FindingID, to graph.RepositoryID) {
	b.t.Helper()
	was, err := b.store.Read(context.Background(), graph.FindingKey(repositoryID, f))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.store.Write(context.Background(), graph.Write{Key: graph.FindingKey(repositoryID, f), Kind: graph.KindFinding, ETag: was.ETag}); err != nil {
		b.t.Fatal(err)
	}
	if to != "" {
		put(b, graph.SummaryKey("github-org-1", f), graph.KindSummary, graph.Summary{ID: f, Org: "github-org-1", Repository: to})
	}
}

func TestWithdraw(t *testing.T) {
	for name, c := range map[string]struct {
		to     graph.RepositoryID
		closes bool
	}{
		"another repository has the finding": {"github-42", true},
		"nobody knows whose it is":           {graph.Unmapped(imageOf(1)), false},
		"its line still names us":            {repositoryID, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, id := opened(t)
			b.vanish(b.remediation(id).Findings[0], c.to)
			said := b.handle(id)
			if closed := b.hub.issues[repositoryID][0].State == "closed"; closed != c.closes {
				t.Errorf("closed: %t", closed)
			}
			if again := len(said) == 1 && said[0].NotBefore.After(b.now); again == c.closes {
				t.Errorf("is looked at again: %t", again)
			}
		})
	}
}

// A finding that is nowhere for long is left to a person; one that comes back goes on as before.
func TestWithdrawWaits(t *testing.T) {
	b, id := opened(t)
	finding := b.remediation(id).Findings[0]
	b.vanish(finding, graph.Unmapped(imageOf(1)))
	b.handle(id)
	b.now = b.now.Add(time.Hour)
	b.finds(nil)
	if b.handle(id); b.remediation(id).Unsettled() || b.hub.issues[repositoryID][0].State != "open" {
		t.Errorf("after its return: %+v", b.remediation(id))
	}
	b.vanish(finding, graph.Unmapped(imageOf(1)))
	b.handle(id)
	b.now = b.now.Add(patience + time.Hour)
	if said := b.handle(id); len(said) != 0 || b.remediation(id).Held == "" || b.hub.issues[repositoryID][0].State != "open" {
		t.Errorf("after days: said %v, %+v", said, b.remediation(id))
	}
}
