package decision

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"throughline/shared/graph"
)

func onDay(n int) time.Time { return epoch.AddDate(0, 0, n) }

// The example of the specification: P3 on day 0, P1 on day 10, P3 on day 12.
func TestPublishExample(t *testing.T) {
	hold := DefaultPolicy().Hold()
	h := []TierChange{{At: onDay(12), Tier: graph.P3}, {At: onDay(0), Tier: graph.P3}, {At: onDay(10), Tier: graph.P1}}
	for n := range 40 {
		want := graph.P3
		if n >= 10 && n < 26 {
			want = graph.P1
		}
		if got := Publish(h, onDay(n), hold); got != want {
			t.Errorf("day %d: %s, want %s", n, got, want)
		}
	}
	got := PublishedAt(h, onDay(20), hold)
	want := Published{Tier: graph.P1, Since: "2026-09-11", Computed: graph.P3, Then: graph.P3, From: onDay(26)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if text := got.HeldText(); text != "P3 from 27 September" {
		t.Errorf("held: %q", text)
	}
	if got.Overdue(onDay(19), onDay(20)) {
		t.Error("what is held is counted overdue")
	}
	open := PublishedAt(h, onDay(11), hold)
	if open.Held() || open.HeldText() != "" || !open.Overdue(onDay(10), onDay(11)) || open.Overdue(onDay(11), onDay(11)) || open.Overdue(time.Time{}, onDay(11)) {
		t.Errorf("%+v", open)
	}
}

func TestPublish(t *testing.T) {
	hold := DefaultPolicy().Hold()
	for name, c := range map[string]struct {
		h    []TierChange
		day  int
		want graph.Tier
		then graph.Tier
	}{
		"no history":                {nil, 3, "", ""},
		"only later changes":        {[]TierChange{{At: onDay(5), Tier: graph.P1}}, 3, "", ""},
		"one":                       {[]TierChange{{At: onDay(1), Tier: graph.P2}}, 300, graph.P2, ""},
		"acceptance acts at once":   {[]TierChange{{At: onDay(0), Tier: graph.P1}, {At: onDay(1), Tier: graph.P4, Cause: R0}}, 1, graph.P4, ""},
		"acceptance ends":           {[]TierChange{{At: onDay(0), Tier: graph.P1}, {At: onDay(1), Tier: graph.P4, Cause: R0}, {At: onDay(9), Tier: graph.P2}}, 9, graph.P1, graph.P2},
		"acceptance ended long ago": {[]TierChange{{At: onDay(0), Tier: graph.P1}, {At: onDay(1), Tier: graph.P4, Cause: R0}, {At: onDay(19), Tier: graph.P2}}, 19, graph.P2, ""},
		"fix acts at once":          {[]TierChange{{At: onDay(0), Tier: graph.P0}, {At: onDay(2), Tier: graph.P4, Cause: Fixed}}, 2, graph.P4, ""},
		"regression after a fix":    {[]TierChange{{At: onDay(0), Tier: graph.P0}, {At: onDay(2), Tier: graph.P4, Cause: Fixed}, {At: onDay(3), Tier: graph.P2}}, 3, graph.P2, ""},
		"released":                  {[]TierChange{{At: onDay(0), Tier: graph.P0}, {At: onDay(2), Tier: graph.P3}, {At: onDay(3), Tier: graph.P3, Cause: Released, By: "ana", Reason: "checked"}}, 3, graph.P3, ""},
		"not released yet":          {[]TierChange{{At: onDay(0), Tier: graph.P0}, {At: onDay(2), Tier: graph.P3}, {At: onDay(3), Tier: graph.P3, Cause: Released}}, 2, graph.P0, graph.P3},
		"raise after a release":     {[]TierChange{{At: onDay(0), Tier: graph.P0}, {At: onDay(3), Tier: graph.P3, Cause: Released}, {At: onDay(4), Tier: graph.P2}, {At: onDay(5), Tier: graph.P3}}, 6, graph.P2, graph.P3},
		"two at one moment":         {[]TierChange{{At: onDay(1), Tier: graph.P1}, {At: onDay(1), Tier: graph.P3}}, 14, graph.P1, graph.P3},
		"stairs":                    {[]TierChange{{At: onDay(0), Tier: graph.P0}, {At: onDay(1), Tier: graph.P1}, {At: onDay(2), Tier: graph.P3}}, 2, graph.P0, graph.P1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Publish(c.h, onDay(c.day), hold); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			p := PublishedAt(c.h, onDay(c.day), hold)
			if p.Tier != c.want {
				t.Errorf("published %+v", p)
			}
			if p.Then != c.then {
				t.Errorf("then %q, want %q", p.Then, c.then)
			}
		})
	}
}

// Exposure goes on and off every day for 30 days: the published tier rises once and falls once, whether the readings
// flap or the computed tier does.
func TestFlappingExposure(t *testing.T) {
	p := DefaultPolicy()
	for name, exposure := range map[string]func(n int) Fact{
		"read": func(n int) Fact { return Combine(flappingReading(n), graph.InternetExposed, onDay(n), p) },
		"computed": func(n int) Fact {
			if n >= 5 && n < 35 && n%2 == 1 {
				return Fact{Value: "yes"}
			}
			return Fact{Value: "no"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var h []TierChange
			var shown []graph.Tier
			last := -1
			for n := range 80 {
				in := given(Vuln, "kev=no epss=0.01 severity=high automatable=no impact=total")
				in.Internet = exposure(n)
				if d := Decide(in, p); len(h) == 0 || h[len(h)-1].Tier != d.Tier {
					h = append(h, TierChange{At: onDay(n), Tier: d.Tier})
				}
				h = Compact(h, onDay(n), p.Hold())
				if got := Publish(h, onDay(n), p.Hold()); len(shown) == 0 || shown[len(shown)-1] != got {
					shown, last = append(shown, got), n
				}
			}
			if diff := cmp.Diff([]graph.Tier{graph.P3, graph.P1, graph.P3}, shown); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
			// On day 34 it was reachable for the last time.
			if last > 34+21 {
				t.Errorf("fell on day %d", last)
			}
		})
	}
}

// flappingReading is what a daily read keeps: open on odd days from 5 to 33.
func flappingReading(n int) []graph.Reading {
	r := graph.Reading{Factor: graph.InternetExposed, Source: "configuration", Says: graph.No, ReadAt: onDay(n)}
	for d := 5; d <= min(n, 33); d += 2 {
		r.YesAt = onDay(d)
		if d == n {
			r.Says = graph.Yes
		}
	}
	return []graph.Reading{r}
}

func TestClockReached(t *testing.T) {
	p := DefaultPolicy()
	end := func(n int) time.Time { return time.Date(2026, 9, 1+n, 23, 59, 59, 0, time.UTC) }
	for name, c := range map[string]struct {
		h    []TierChange
		tier graph.Tier
		want time.Time
	}{
		"first tier":                      {[]TierChange{{At: onDay(0), Tier: graph.P2}}, graph.P2, end(60)},
		"raised early":                    {[]TierChange{{At: onDay(0), Tier: graph.P2}, {At: onDay(10), Tier: graph.P1}}, graph.P1, end(24)},
		"a raise never gives more time":   {[]TierChange{{At: onDay(0), Tier: graph.P2}, {At: onDay(55), Tier: graph.P1}}, graph.P1, end(60)},
		"a drop never restarts":           {[]TierChange{{At: onDay(0), Tier: graph.P0}, {At: onDay(9), Tier: graph.P2}}, graph.P2, end(60)},
		"up and down and up":              {[]TierChange{{At: onDay(0), Tier: graph.P1}, {At: onDay(9), Tier: graph.P2}, {At: onDay(30), Tier: graph.P1}}, graph.P1, end(14)},
		"a fix ends the episode":          {[]TierChange{{At: onDay(0), Tier: graph.P1}, {At: onDay(9), Tier: graph.P4, Cause: Fixed}, {At: onDay(30), Tier: graph.P1}}, graph.P1, end(44)},
		"a release keeps the clock":       {[]TierChange{{At: onDay(0), Tier: graph.P1}, {At: onDay(9), Tier: graph.P2, Cause: Released}}, graph.P2, end(60)},
		"upgrade has no date":             {[]TierChange{{At: onDay(0), Tier: graph.P3}}, graph.P3, time.Time{}},
		"urgent tiers before do not hurt": {[]TierChange{{At: onDay(0), Tier: graph.P0}, {At: onDay(1), Tier: graph.P3}}, graph.P3, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, dated := Clock{Reached: Reach(nil, c.h)}.Due(c.tier, p)
			if !got.Equal(c.want) || dated != !c.want.IsZero() {
				t.Errorf("due %v %v, want %v", got, dated, c.want)
			}
		})
	}
}

// Taking history in piece by piece, twice over, gives what taking it in at once gives.
func TestReachIsKeptWhenHistoryIsCompacted(t *testing.T) {
	hold := DefaultPolicy().Hold()
	rapid.Check(t, func(t *rapid.T) {
		h := ordered(drawHistory(t))
		for i := range h {
			if rapid.IntRange(0, 9).Draw(t, "fixed") == 0 {
				h[i].Cause = Fixed
			}
		}
		var kept Reached
		var rest []TierChange
		for _, c := range h {
			rest = append(rest, c)
			kept = Reach(Reach(kept, rest), rest)
			rest = Compact(rest, c.At, hold)
			if got, want := Publish(rest, c.At, hold), Publish(h, c.At, hold); got != want && !sharesMoment(h, c) {
				t.Fatalf("compacted history publishes %s, not %s", got, want)
			}
		}
		if want := Reach(nil, h); !cmp.Equal(want, kept) {
			t.Fatalf("kept %v, want %v", kept, want)
		}
	})
}

func sharesMoment(h []TierChange, c TierChange) bool {
	n := 0
	for _, other := range h {
		if other.At.Equal(c.At) {
			n++
		}
	}
	return n > 1
}

func TestClockBOD(t *testing.T) {
	p, problems := ParsePolicy("p", []byte("clock: bod\n"))
	if p == nil {
		t.Fatal(problems)
	}
	early := time.Date(2026, 5, 1, 23, 0, 0, 0, time.FixedZone("west", -3*3600))
	for name, c := range map[string]struct {
		clock Clock
		want  string
	}{
		"KEV first, in UTC": {Clock{KEVAdded: early, Detected: onDay(0)}, "2026-05-16T23:59:59Z"},
		"detected first":    {Clock{KEVAdded: onDay(2), Detected: onDay(0)}, "2026-09-15T23:59:59Z"},
		"not in KEV":        {Clock{Detected: onDay(0)}, "2026-09-15T23:59:59Z"},
		"never detected":    {Clock{KEVAdded: onDay(1)}, "2026-09-16T23:59:59Z"},
		"no start":          {Clock{Reached: Reached{graph.P1: onDay(0)}}, "0001-01-01T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			got, dated := c.clock.Due(graph.P1, p)
			if got.Format(time.RFC3339) != c.want || dated == got.IsZero() {
				t.Errorf("due %v %v, want %s", got, dated, c.want)
			}
		})
	}
	if _, dated := (Clock{Detected: onDay(0)}).Due(graph.P3, p); dated {
		t.Error("an upgrade has a date")
	}
}

func TestGuard(t *testing.T) {
	p := DefaultPolicy()
	p.Guard = 2
	issues := func(cause string, n int) []Opening {
		var out []Opening
		for i := range n {
			out = append(out, Opening{Issue: "i" + strconv.Itoa(i), Cause: cause})
		}
		return out
	}
	for name, c := range map[string]struct {
		in         []Opening
		open, wait int
	}{
		"as many as allowed":          {issues("kev 2026.09.01", 2), 2, 0},
		"one more waits with all":     {issues("kev 2026.09.01", 3), 0, 3},
		"one issue twice counts once": {append(issues("feed", 2), issues("feed", 1)...), 3, 0},
		"own news is not guarded":     {issues("", 9), 9, 0},
		"causes are apart":            {append(issues("a", 2), issues("b", 3)...), 2, 3},
		"those opened before count":   {append(issues("a", 2), Opening{Issue: "before", Cause: "a", Opened: true}), 1, 2},
		"approved":                    {append(issues("a", 3), Opening{Issue: "i9", Cause: "a", Approved: true}), 4, 0},
	} {
		t.Run(name, func(t *testing.T) {
			open, wait := Guard(c.in, p)
			if len(open) != c.open || len(wait) != c.wait {
				t.Errorf("open %v, wait %v", open, wait)
			}
		})
	}
	if AlarmAfter != 24*time.Hour {
		t.Error("a failing source alarms after a day")
	}
}

// Histories are stored, so the words of the causes stay.
func TestCausesAreStored(t *testing.T) {
	if got := []Cause{Computed, R0, Fixed, Released}; !cmp.Equal(got, []Cause{"computed", "r0", "fixed", "released"}) {
		t.Errorf("%q", got)
	}
}

func TestCompact(t *testing.T) {
	hold := DefaultPolicy().Hold()
	h := []TierChange{{At: onDay(12), Tier: graph.P3}, {At: onDay(0), Tier: graph.P2}, {At: onDay(10), Tier: graph.P1}}
	for n, want := range map[int][]int{11: {0, 10, 12}, 23: {0, 10, 12}, 24: {10, 12}, 25: {10, 12}, 26: {12}, 99: {12}} {
		var got []int
		for _, c := range Compact(h, onDay(n), hold) {
			got = append(got, int(c.At.Sub(epoch)/day))
		}
		if !cmp.Equal(want, got) {
			t.Errorf("day %d: left %v, want %v", n, got, want)
		}
	}
	if got := Compact(nil, epoch, hold); len(got) > 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestSince(t *testing.T) {
	hold := DefaultPolicy().Hold()
	h := []TierChange{{At: onDay(12), Tier: graph.P3}, {At: onDay(0), Tier: graph.P3}, {At: onDay(10), Tier: graph.P1}}
	for n, want := range map[int]string{0: "2026-09-01", 9: "2026-09-01", 10: "2026-09-11", 25: "2026-09-11", 26: "2026-09-27", 60: "2026-09-27"} {
		if got := PublishedAt(h, onDay(n), hold).Since; got != want {
			t.Errorf("day %d: since %s, want %s", n, got, want)
		}
	}
	if want := onDay(12); !h[0].At.Equal(want) {
		t.Error("the history that was asked about is put in order")
	}
}

func TestContinueAddsWhatSaysSomethingElse(t *testing.T) {
	h := []TierChange{{At: onDay(0), Tier: graph.P1}, {At: onDay(2), Tier: graph.P4}}
	for name, c := range map[string]struct {
		next TierChange
		want int
	}{
		"the same tier":                    {TierChange{At: onDay(3), Tier: graph.P4, Cause: Computed}, 2},
		"another tier":                     {TierChange{At: onDay(3), Tier: graph.P3, Cause: Computed}, 3},
		"an acceptance of the tier held":   {TierChange{At: onDay(3), Tier: graph.P4, Cause: R0}, 3},
		"an acceptance that lowers it too": {TierChange{At: onDay(3), Tier: graph.P3, Cause: R0}, 3},
	} {
		if got := Continue(h, c.next); len(got) != c.want || c.want == 3 && got[2] != c.next {
			t.Errorf("%s: %+v", name, got)
		}
	}
	accepted := Continue(h, TierChange{At: onDay(3), Tier: graph.P4, Cause: R0})
	if got := Publish(accepted, onDay(3), 14*day); got != graph.P4 {
		t.Errorf("accepted while held: %s", got)
	}
	if again := Continue(accepted, TierChange{At: onDay(4), Tier: graph.P4, Cause: R0}); len(again) != 3 {
		t.Errorf("the same acceptance again: %+v", again)
	}
	ended := Continue(accepted, TierChange{At: onDay(5), Tier: graph.P4})
	if got := Publish(ended, onDay(5), 14*day); len(ended) != 4 || got != graph.P1 {
		t.Errorf("after its end: %s of %+v", got, ended)
	}
	if got := Continue(nil, TierChange{At: onDay(0), Tier: graph.P4}); len(got) != 1 {
		t.Errorf("the first of all: %+v", got)
	}
	if Continue(h[:1:2], TierChange{At: onDay(9), Tier: graph.P0}); h[1].At != onDay(2) {
		t.Error("the history before was written over")
	}
}

func TestCauseOfTheTierOverWorkloads(t *testing.T) {
	lowered := func(was graph.Tier) Decision { return Decision{Tier: graph.P4, Rule: "R0", WithoutR0: was} }
	plain := func(tier graph.Tier) Decision { return Decision{Tier: tier, Rule: "R1", WithoutR0: tier} }
	for name, c := range map[string]struct {
		ds   []Decision
		want Cause
	}{
		"nothing decided":                      {nil, Computed},
		"one workload":                         {[]Decision{plain(graph.P1)}, Computed},
		"lowered on the only one":              {[]Decision{lowered(graph.P1)}, R0},
		"accepted at the lowest tier":          {[]Decision{lowered(graph.P4), lowered(graph.P4)}, R0},
		"lowered on the most urgent":           {[]Decision{plain(graph.P2), lowered(graph.P1)}, R0},
		"lowered on one as urgent as another":  {[]Decision{plain(graph.P2), lowered(graph.P2)}, Computed},
		"lowered on one less urgent":           {[]Decision{lowered(graph.P3), plain(graph.P2)}, Computed},
		"lowered beside one that is urgent P4": {[]Decision{lowered(graph.P4), plain(graph.P4)}, Computed},
	} {
		if got := CauseOf(c.ds); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
