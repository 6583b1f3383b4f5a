package assign

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// maintainers may triage.
type maintainers map[string]bool

func (m maintainers) MayTriage(_ context.Context, _ graph.Repository, login string) (bool, error) {
	if login == "unreachable" {
		return false, errBroken
	}
	return m[login], nil
}

// writes lets somebody comment on the issue, as correlate hands it on.
func (b *bench) writes(id graph.RemediationID, comment int64, login, text string) {
	b.t.Helper()
	_, _, err := graph.Update(context.Background(), b.store, graph.RemediationKey(repositoryID, id), graph.KindRemediation, func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
		next := old.Value
		next.Command(graph.Command{Repository: repositoryID, Issue: 1, Comment: comment, Actor: login, Text: text, At: b.now})
		return next, true, nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// comments are the comments on the issue, without their markers.
func (b *bench) comments() []string {
	var texts []string
	for _, c := range b.hub.comments[fmt.Sprintf("%s#1", repositoryID)] {
		_, text, _ := strings.Cut(c, "\n")
		texts = append(texts, text)
	}
	return texts
}

func (b *bench) acceptance(f graph.FindingID) *graph.Acceptance {
	b.t.Helper()
	got, err := graph.Get[graph.Finding](context.Background(), b.store, graph.FindingKey(repositoryID, f))
	if err != nil {
		b.t.Fatal(err)
	}
	return got.Value.Acceptance
}

func TestCommandAccepts(t *testing.T) {
	b, id := opened(t)
	b.stage.Rights = maintainers{"ada": true}
	until := b.now.AddDate(0, 0, 10).Format(time.DateOnly)
	b.writes(id, 7, "ada", "/throughline accept until "+until+" behind @everyone's <!-- proxy")
	said := b.handle(id)
	finding := b.remediation(id).Findings[0]
	a := b.acceptance(finding)
	if a == nil || a.By != "ada" || a.Until.Format(time.DateOnly) != until || a.Tier != b.remediation(id).Tier {
		t.Fatalf("%+v", a)
	}
	var l event.Lag
	if len(said) != 1 || said[0].Into(&l) != nil || len(l.Findings) != 1 || l.Findings[0] != finding {
		t.Errorf("said %+v", said)
	}
	if c := b.comments(); len(c) != 1 || !strings.Contains(c[0], "accepted until "+until) || strings.Contains(c[0], "@everyone") && !strings.Contains(c[0], "`") || strings.Contains(c[0], "<!--") {
		t.Errorf("%q", c)
	}
	if b.handle(id); len(b.comments()) != 1 {
		t.Errorf("said twice: %q", b.comments())
	}
	last := b.remediation(id).Timeline
	if e := last[len(last)-1]; e.Actor != "ada" || !strings.Contains(e.Why, "accepted") {
		t.Errorf("%+v", e)
	}
}

// The text alone gives nobody a right, and a stranger does not make us write.
func TestCommandOfAStranger(t *testing.T) {
	b, id := opened(t)
	b.stage.Rights = maintainers{}
	b.writes(id, 7, "eve", "/throughline accept until "+b.now.AddDate(0, 0, 10).Format(time.DateOnly)+" because")
	b.handle(id)
	if a := b.acceptance(b.remediation(id).Findings[0]); a != nil || len(b.comments()) != 0 {
		t.Errorf("%+v %q", a, b.comments())
	}
	if m := b.remediation(id); m.Ordered() || !strings.Contains(m.Commands[0].Answer, "no right") {
		t.Errorf("%+v", m.Commands)
	}
}

// What a person gets wrong is told in one comment, and changes nothing.
func TestCommandMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"/throughline":       "not understood; write /throughline accept until",
		"/throughline close": "not understood",
		"/throughline accept until tomorrow because":   "is not a day like",
		"/throughline accept until 2026-12-01":         "needs a reason",
		"/throughline accept until 2020-01-01 because": "is not in the future",
		"/throughline accept until 2036-01-01 because": "may be accepted for at most",
	} {
		t.Run(text, func(t *testing.T) {
			b, id := opened(t)
			b.stage.Rights = maintainers{"ada": true}
			b.writes(id, 7, "ada", text)
			b.handle(id)
			if a := b.acceptance(b.remediation(id).Findings[0]); a != nil {
				t.Errorf("accepted: %+v", a)
			}
			if c := b.comments(); len(c) != 1 || !strings.Contains(strings.NewReplacer(`\`, "", breaker, "").Replace(c[0]), want) {
				t.Errorf("%q, want %q", c, want)
			}
		})
	}
}

// GitHub does not answer, or the process ends between doing and saying: nothing is lost, nothing is done twice.
func TestCommandSurvivesFaults(t *testing.T) {
	b, id := opened(t)
	b.stage.Rights = maintainers{"ada": true}
	b.writes(id, 7, "unreachable", "/throughline accept until 2026-12-20 because")
	e, err := event.NewDue("/test", event.Due{Repository: repositoryID, Remediation: id})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.stage.Handle(context.Background(), e); !errors.Is(err, errBroken) || !b.remediation(id).Ordered() {
		t.Fatalf("%v", err)
	}
	b, id = opened(t)
	b.stage.Rights = maintainers{"ada": true}
	b.writes(id, 7, "ada", "/throughline accept until "+b.now.AddDate(0, 0, 10).Format(time.DateOnly)+" because")
	for _, effect := range []bool{false, true} { // the answer is lost before it is written, and after
		b.hub.fault = func(call string, after bool) error {
			if call == "comment" && after == effect {
				return errBroken
			}
			return nil
		}
		if _, err := b.stage.Handle(context.Background(), e); !errors.Is(err, errBroken) {
			t.Fatalf("%v", err)
		}
	}
	b.hub.fault = nil
	b.now = b.now.Add(time.Minute)
	first := *b.acceptance(b.remediation(id).Findings[0])
	if said := b.handle(id); len(said) != 1 || len(b.comments()) != 1 || b.acceptance(b.remediation(id).Findings[0]).At != first.At || b.remediation(id).Ordered() {
		t.Errorf("said %d events, %q", len(said), b.comments())
	}
}
