package decision

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"throughline/shared/graph"
)

func TestSays(t *testing.T) {
	p := DefaultPolicy()
	now := onDay(30)
	for name, c := range map[string]struct {
		r    graph.Reading
		want graph.Answer
	}{
		"never read":                       {graph.Reading{}, graph.Unknown},
		"fresh yes":                        {graph.Reading{Says: graph.Yes, ReadAt: onDay(30)}, graph.Yes},
		"stale yes stays":                  {graph.Reading{Says: graph.Yes, ReadAt: onDay(1)}, graph.Yes},
		"fresh no":                         {graph.Reading{Says: graph.No, ReadAt: onDay(30)}, graph.No},
		"no at the edge":                   {graph.Reading{Says: graph.No, ReadAt: onDay(23)}, graph.No},
		"stale no":                         {graph.Reading{Says: graph.No, ReadAt: onDay(23).Add(-time.Second)}, graph.Unknown},
		"said yes a week before":           {graph.Reading{Says: graph.No, ReadAt: onDay(30), YesAt: onDay(23)}, graph.Yes},
		"said yes longer ago":              {graph.Reading{Says: graph.No, ReadAt: onDay(30), YesAt: onDay(23).Add(-time.Second)}, graph.No},
		"said yes, then failed ever since": {graph.Reading{Says: graph.No, ReadAt: onDay(3), YesAt: onDay(2)}, graph.Yes},
		"yes without a complete read":      {graph.Reading{YesAt: onDay(1)}, graph.Yes},
		"no without a complete read":       {graph.Reading{Says: graph.No}, graph.Unknown},
		"read and nothing said":            {graph.Reading{Says: graph.Unknown, ReadAt: onDay(30)}, graph.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Says(c.r, now, p); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	p.Windows.FactorDays = 10
	if got := Says(graph.Reading{Says: graph.No, ReadAt: onDay(20)}, now, p); got != graph.No {
		t.Errorf("the window is the policy's: %s", got)
	}
}

func TestCombine(t *testing.T) {
	p := DefaultPolicy()
	yes := graph.Reading{Factor: graph.SensitiveData, Source: "mdc", Says: graph.Yes, Raw: "Sensitive Data", Path: "assessment/1", ReadAt: onDay(1)}
	later := graph.Reading{Factor: graph.SensitiveData, Source: "tag", Says: graph.No, YesAt: onDay(28), ReadAt: onDay(29)}
	no := graph.Reading{Factor: graph.SensitiveData, Source: "configuration", Says: graph.No, ReadAt: onDay(29)}
	noByPerson := graph.Reading{Factor: graph.SensitiveData, Source: "person", Says: graph.No, Raw: "ana: test data", ReadAt: onDay(30)}
	stale := graph.Reading{Factor: graph.SensitiveData, Source: "mdc-contextual", Says: graph.No, ReadAt: onDay(2)}
	unheard := graph.Reading{Factor: graph.SensitiveData, Source: "mdc", Says: graph.No, ReadAt: onDay(30)}
	other := graph.Reading{Factor: graph.LateralMovement, Source: "mdc", Says: graph.Yes, ReadAt: onDay(30)}
	for name, c := range map[string]struct {
		readings []graph.Reading
		want     Fact
	}{
		"nobody":                    {nil, Fact{Value: "unknown"}},
		"another factor":            {[]graph.Reading{other}, Fact{Value: "unknown"}},
		"one yes is enough":         {[]graph.Reading{no, yes, noByPerson}, Fact{Value: "yes", Source: `mdc "Sensitive Data"`, Path: "assessment/1", At: onDay(1)}},
		"the freshest yes is named": {[]graph.Reading{yes, later}, Fact{Value: "yes", Source: "tag", At: onDay(28)}},
		"a no that counts":          {[]graph.Reading{unheard, no}, Fact{Value: "no", Source: "configuration", At: onDay(29)}},
		"the freshest no is named":  {[]graph.Reading{no, noByPerson}, Fact{Value: "no", Source: `person "ana: test data"`, At: onDay(30)}},
		"a no that does not count":  {[]graph.Reading{unheard}, Fact{Value: "unknown", Source: "mdc", At: onDay(30)}},
		"a stale no":                {[]graph.Reading{stale}, Fact{Value: "unknown", Source: "mdc-contextual", At: onDay(2)}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Combine(c.readings, graph.SensitiveData, onDay(30), p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	p.NoFrom = []string{}
	if got := Combine([]graph.Reading{no}, graph.SensitiveData, onDay(30), p); got.Value != "unknown" {
		t.Errorf("no_from is the policy's: %+v", got)
	}
}

func TestOrderOfReadingsDoesNotDecide(t *testing.T) {
	p := DefaultPolicy()
	rapid.Check(t, func(t *rapid.T) {
		var readings []graph.Reading
		for range rapid.IntRange(0, 6).Draw(t, "n") {
			r := graph.Reading{
				Factor: rapid.SampledFrom(graph.Factors[:]).Draw(t, "factor"),
				Source: rapid.SampledFrom([]string{"configuration", "mdc", "mdc-contextual", "attack-path", "person"}).Draw(t, "source"),
				Says:   rapid.SampledFrom([]graph.Answer{graph.Yes, graph.No, graph.Unknown}).Draw(t, "says"),
				Raw:    rapid.SampledFrom([]string{"", "a"}).Draw(t, "raw"), ReadAt: onDay(rapid.IntRange(0, 20).Draw(t, "read")),
			}
			if rapid.Bool().Draw(t, "said yes") {
				r.YesAt = onDay(rapid.IntRange(0, 20).Draw(t, "yes"))
			}
			readings = append(readings, r)
		}
		shuffled := rapid.Permutation(readings).Draw(t, "order")
		now := onDay(rapid.IntRange(15, 30).Draw(t, "now"))
		for _, f := range graph.Factors {
			if a, b := Combine(readings, f, now, p), Combine(shuffled, f, now, p); a != b {
				t.Fatalf("%+v and %+v", a, b)
			}
		}
		i := Inventory{Scopes: readings, KnownImages: true}
		if a, b := Running(i, now, p), Running(Inventory{Scopes: shuffled, KnownImages: true}, now, p); a != b {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
}

func TestRunning(t *testing.T) {
	p := DefaultPolicy()
	here := graph.Reading{Source: "inventory", Path: "sub-1", Says: graph.Yes, ReadAt: onDay(29)}
	gone := graph.Reading{Source: "inventory", Path: "sub-2", Says: graph.No, ReadAt: onDay(28)}
	away := graph.Reading{Source: "inventory", Path: "sub-3", Says: graph.No, ReadAt: onDay(30)}
	partial := graph.Reading{Source: "inventory", Path: "sub-4", Says: graph.No, ReadAt: onDay(4)}
	never := graph.Reading{Source: "inventory", Path: "sub-5"}
	for name, c := range map[string]struct {
		in   Inventory
		want Fact
	}{
		"in one scope":                  {Inventory{Scopes: []graph.Reading{away, partial, here}, KnownImages: true}, Fact{Value: "yes", Source: "inventory", Path: "sub-1", At: onDay(29)}},
		"in none":                       {Inventory{Scopes: []graph.Reading{away, gone}, KnownImages: true}, Fact{Value: "no", Source: "inventory", Path: "sub-2", At: onDay(28)}},
		"a scope not read to its end":   {Inventory{Scopes: []graph.Reading{away, partial, gone}, KnownImages: true}, Fact{Value: "unknown", Source: InventoryIncomplete, Path: "sub-4", At: onDay(4)}},
		"the oldest of those is named":  {Inventory{Scopes: []graph.Reading{away, partial, never}, KnownImages: true}, Fact{Value: "unknown", Source: InventoryIncomplete, Path: "sub-5"}},
		"the only scope was not read":   {Inventory{Scopes: []graph.Reading{partial}, KnownImages: true}, Fact{Value: "unknown", Source: "inventory incomplete", Path: "sub-4", At: onDay(4)}},
		"no image known, in words":      {Inventory{}, Fact{Value: "unknown", Source: "no image is known"}},
		"development scope, in words":   {Inventory{Development: true}, Fact{Value: "unknown", Source: "development scope without SBOM"}},
		"no image known":                {Inventory{Scopes: []graph.Reading{away}}, Fact{Value: "unknown", Source: NoKnownImage}},
		"nothing connected":             {Inventory{KnownImages: true}, Fact{Value: "unknown", Source: InventoryIncomplete}},
		"development scope, no SBOM":    {Inventory{Scopes: []graph.Reading{here}, KnownImages: true, Development: true}, Fact{Value: "unknown", Source: DevelopmentScope}},
		"seen within the window before": {Inventory{Scopes: []graph.Reading{{Source: "inventory", Says: graph.No, ReadAt: onDay(30), YesAt: onDay(25)}}, KnownImages: true}, Fact{Value: "yes", Source: "inventory", At: onDay(25)}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Running(c.in, onDay(30), p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
