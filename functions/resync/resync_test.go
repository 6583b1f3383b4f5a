package resync

import (
	"context"
	"strings"
	"testing"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

var root = graph.Collection{Source: "github", Scope: "all"}

// collections gives what a call asked for.
func collections(t *testing.T, events []event.Event, err error) []graph.Collection {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var out []graph.Collection
	for _, e := range events {
		var c graph.Collection
		if err := e.Into(&c); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func (c *clockwork) asked() []graph.Collection {
	c.t.Helper()
	events, err := c.stage.Tick(context.Background())
	return collections(c.t, events, err)
}

func (c *clockwork) started() []graph.Collection {
	c.t.Helper()
	events, err := c.stage.Start(context.Background())
	return collections(c.t, events, err)
}

func (c *clockwork) chain(ch graph.Chain) {
	c.t.Helper()
	c.put(graph.ChainKey(ch.Scope), graph.KindChain, ch)
}

func TestTwoRunsAtOnceAreOne(t *testing.T) {
	c := newClockwork(t)
	c.stage.Roots = []graph.Collection{root}
	first := c.asked()
	if len(first) != 1 || first[0].Run == "" || first[0].Ticket == "" {
		t.Fatalf("%+v, want one run", first)
	}
	if again := c.started(); len(again) != 0 {
		t.Errorf("a run that nobody has taken yet is doubled: %+v", again)
	}
	c.chain(graph.Chain{Scope: "github all", Run: first[0].Run, StartedAt: noon, At: noon, Closed: true, Read: noon})
	c.chain(graph.Chain{Scope: "github dependabot:acme", Run: first[0].Run, StartedAt: noon, At: noon})
	c.now = noon.Add(30 * time.Minute)
	if again := c.started(); len(again) != 0 {
		t.Errorf("a run that is under way is doubled: %+v", again)
	}
	c.chain(graph.Chain{Scope: "github dependabot:acme", Run: first[0].Run, StartedAt: noon, At: noon, Closed: true, Read: noon})
	if again := c.started(); len(again) != 1 || again[0].Run == first[0].Run {
		t.Errorf("after its end: %+v, want a new run", again)
	}
}

func TestAFirstMessageThatWasLostIsSentAgainInTheSameRun(t *testing.T) {
	c := newClockwork(t)
	c.stage.Roots = []graph.Collection{root}
	first := c.asked()
	c.now = noon.Add(patience)
	if again := c.asked(); len(again) != 1 || again[0].Run != first[0].Run || again[0].Ticket == first[0].Ticket {
		t.Errorf("%+v, want the same run under another ticket", again)
	}
}

func TestAStalledRunIsBegunAnew(t *testing.T) {
	c := newClockwork(t)
	c.stage.Roots = []graph.Collection{root}
	first := c.asked()
	c.chain(graph.Chain{Scope: "github all", Run: first[0].Run, StartedAt: noon, At: noon})
	c.now = noon.Add(50 * time.Minute)
	if again := c.started(); len(again) != 0 {
		t.Fatalf("%+v although it is read", again)
	}
	c.now = noon.Add(2 * time.Hour)
	if again := c.asked(); len(again) != 1 || again[0].Run == first[0].Run {
		t.Errorf("%+v, want a new run", again)
	}
}

func TestDeltasLookBackBehindTheLastReading(t *testing.T) {
	c := newClockwork(t)
	c.stage.Deltas = []graph.Collection{{Source: "azure", Scope: "delta"}}
	if early := c.asked(); len(early) != 0 {
		t.Errorf("%+v before anything was read", early)
	}
	full := noon.Add(-time.Hour)
	c.chain(graph.Chain{Scope: "github dependabot:acme", Run: "r", At: full, Closed: true, Read: full})
	c.chain(graph.Chain{Scope: "github secret_scanning:someone/app", Run: "r", At: full, Closed: true, Read: full})
	c.chain(graph.Chain{Scope: "azure all", Run: "r", At: full, Closed: true, Read: full})
	got := c.asked()
	if len(got) != 2 || got[0].Scope != "delta:dependabot:acme" || got[1].Scope != "delta" {
		t.Fatalf("%+v, want the deltas of dependabot:acme and azure", got)
	}
	for _, d := range got {
		if want := full.Add(-overlap).Format(time.RFC3339); d.Cursor != want {
			t.Errorf("%s begins at %s, want %s", d.Scope, d.Cursor, want)
		}
	}
	c.chain(graph.Chain{Scope: "github delta:dependabot:acme", Run: "d", At: noon, Closed: true, Read: noon})
	c.chain(graph.Chain{Scope: "azure delta", Run: "d", At: noon})
	c.now = noon.Add(5 * time.Minute)
	if got = c.asked(); len(got) != 1 || !strings.HasPrefix(got[0].Cursor, noon.Add(-overlap).Format(time.RFC3339)) {
		t.Errorf("%+v, want one delta since the last, and none beside the one under way", got)
	}
}

func TestASourceThatDoesNotAnswerHoldsUpNoMapping(t *testing.T) {
	c := newClockwork(t)
	d := graph.Digest("sha256:" + strings.Repeat("a", 64))
	c.put(graph.InquiryKey(string(d)), "inquiry", graph.Inquiry{About: string(d), Left: []string{"registry image:x@" + string(d)}, At: noon})
	c.put(graph.InquiryKey("r.example/x:1"), "inquiry", graph.Inquiry{About: "r.example/x:1", Left: []string{"registry image:r.example/x:1"}, At: noon})
	said := func() []graph.Observation {
		events, err := c.stage.Tick(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var out []graph.Observation
		for _, e := range events {
			var o graph.Observation
			if err := e.Into(&o); err != nil || e.Type != event.Observed {
				t.Fatalf("%s: %v", e.Type, err)
			}
			out = append(out, o)
		}
		return out
	}
	if early := said(); len(early) != 0 {
		t.Errorf("%+v before its time", early)
	}
	c.now = noon.Add(11 * time.Minute)
	if got := said(); len(got) != 1 || got[0].Source != "registry" || len(got[0].Answered) != 1 || got[0].Answered[0] != d {
		t.Errorf("%+v, want the last word of the registry on the image alone", got)
	}
}
