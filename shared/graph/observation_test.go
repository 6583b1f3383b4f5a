package graph_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"throughline/shared/graph"
)

// lists gives the lists of nouns of an observation by name.
func lists(o *graph.Observation) map[string]reflect.Value {
	found := map[string]reflect.Value{}
	v := reflect.ValueOf(o).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Slice {
			found[v.Type().Field(i).Name] = v.Field(i)
		}
	}
	return found
}

func TestHalvesKeepEveryNoun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := graph.Observation{Source: "github", ObservedAt: time.Unix(1, 0), Scope: &graph.Scope{ID: "s"}}
		total := 0
		names := make([]string, 0, 10)
		for name := range lists(&o) {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			n := rapid.IntRange(0, 5).Draw(t, name)
			list := lists(&o)[name]
			list.Set(reflect.MakeSlice(list.Type(), n, n))
			for i := range n {
				field := list.Index(i)
				if field.Kind() == reflect.Struct {
					field = field.Field(0)
				}
				field.SetString(fmt.Sprint(name, i))
			}
			total += n
		}
		if o.Len() != total {
			t.Fatalf("length %d, want %d: Len forgets a kind of noun", o.Len(), total)
		}
		a, b := o.Halves()
		if a.Len() != total/2 || a.Len()+b.Len() != total {
			t.Fatalf("%d nouns in halves of %d and %d", total, a.Len(), b.Len())
		}
		for _, half := range []graph.Observation{a, b} {
			if half.Source != o.Source || !half.ObservedAt.Equal(o.ObservedAt) || half.Scope != o.Scope {
				t.Fatalf("a half under another mark: %+v", half)
			}
		}
		for _, name := range names {
			joined := reflect.AppendSlice(lists(&a)[name], lists(&b)[name]) // must not write over what b holds
			if !reflect.DeepEqual(joined.Interface(), lists(&o)[name].Interface()) && joined.Len()+lists(&o)[name].Len() > 0 {
				t.Fatalf("%s: %v, want %v", name, joined, lists(&o)[name])
			}
		}
	})
}

func TestByDigestKeepsTheLastWordWithItsEvidence(t *testing.T) {
	var o graph.Observation
	for i := range 95 {
		d := graph.Digest(fmt.Sprint("d", i))
		o.Answered = append(o.Answered, d)
		for range i % 4 {
			o.Evidence = append(o.Evidence, graph.Evidence{Digest: d})
		}
	}
	parts := o.ByDigest(40)
	nouns := 0
	for _, p := range parts {
		nouns += p.Len()
		if p.Len() > 44 {
			t.Errorf("a part of %d nouns", p.Len())
		}
		for _, e := range p.Evidence {
			if !slices.Contains(p.Answered, e.Digest) {
				t.Errorf("evidence of %s goes without its last word", e.Digest)
			}
		}
	}
	if nouns != o.Len() || len(parts) < 5 {
		t.Errorf("%d nouns in %d parts, want %d", nouns, len(parts), o.Len())
	}
}

func TestLimitedSaysUntilWhen(t *testing.T) {
	err := error(&graph.Limited{Until: time.Date(2026, 11, 24, 13, 0, 0, 0, time.FixedZone("", 3600)), Why: "secondary limit"})
	if got := err.Error(); !strings.Contains(got, "2026-11-24T12:00:00Z") || !strings.Contains(got, "secondary limit") {
		t.Error(got)
	}
}
