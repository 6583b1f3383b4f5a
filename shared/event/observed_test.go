package event_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"throughline/shared/event"
	"throughline/shared/graph"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// drawObservation makes nouns that differ, of every kind that an observation carries, some of them large.
func drawObservation(t *rapid.T) graph.Observation {
	o := graph.Observation{Source: "github", ObservedAt: noon, Scope: &graph.Scope{ID: "github org:acme", Run: "r", StartedAt: noon, Complete: rapid.Bool().Draw(t, "complete")}}
	v := reflect.ValueOf(&o).Elem()
	for i := range v.NumField() {
		list := v.Field(i)
		if list.Kind() != reflect.Slice {
			continue
		}
		n := rapid.IntRange(0, 25).Draw(t, v.Type().Field(i).Name)
		list.Set(reflect.MakeSlice(list.Type(), n, n))
		for j := range n {
			size := rapid.SampledFrom([]int{1, 1, 1, 1, 10, 10, 10, 10, 10, 10, 3_000, 40_000}).Draw(t, "size")
			mark(t, list.Index(j), fmt.Sprintf("%s-%d-%s", v.Type().Field(i).Name, j, strings.Repeat("x", size)))
		}
	}
	return o
}

// mark writes a text into the first text field that the noun is stored with.
func mark(t rapid.TB, noun reflect.Value, text string) {
	if noun.Kind() == reflect.String {
		noun.SetString(text)
		return
	}
	for i := range noun.NumField() {
		if noun.Field(i).Kind() == reflect.String && noun.Type().Field(i).Tag.Get("json") != "-" {
			noun.Field(i).SetString(text)
			return
		}
	}
	t.Fatalf("%s has no text field", noun.Type())
}

// nouns lists what an observation carries, kind by kind.
func nouns(o graph.Observation) map[string][]string {
	all := map[string][]string{}
	v := reflect.ValueOf(o)
	for i := range v.NumField() {
		if list := v.Field(i); list.Kind() == reflect.Slice {
			for j := range list.Len() {
				name := v.Type().Field(i).Name
				all[name] = append(all[name], fmt.Sprintf("%+v", list.Index(j).Interface()))
			}
		}
	}
	return all
}

func TestNewObservedKeepsEveryNounOnceAndFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawObservation(t)
		before := rapid.IntRange(-1, 5).Draw(t, "before")
		events, err := event.NewObserved("/functions/collect", o, before)
		if err != nil {
			t.Fatal(err)
		}
		got, ids := map[string][]string{}, map[string]bool{}
		for i, e := range events {
			var part graph.Observation
			if err := e.Into(&part); err != nil {
				t.Fatal(err)
			}
			ids[e.ID] = true
			raw, err := e.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if part.Len() > 100 || part.Len() > 1 && len(raw) > 256<<10-1024 {
				t.Fatalf("part %d has %d nouns and %d bytes", i, part.Len(), len(raw))
			}
			want := *o.Scope
			if before >= 0 {
				want.Part = before + i + 1
			}
			if part.Source != o.Source || !part.ObservedAt.Equal(o.ObservedAt) || part.Scope == nil || *part.Scope != want {
				t.Fatalf("part %d: %s at %s, scope %+v, want %+v", i, part.Source, part.ObservedAt, part.Scope, want)
			}
			for name, list := range nouns(part) {
				got[name] = append(got[name], list...)
			}
		}
		for name, want := range nouns(o) {
			if !slices.Equal(got[name], want) {
				t.Fatalf("%s: %d of %d came through, or in another order", name, len(got[name]), len(want))
			}
		}
		if len(ids) != len(events) || len(events) == 0 || o.Scope.Part != 0 {
			t.Fatalf("%d events with %d ids; the scope given is now part %d", len(events), len(ids), o.Scope.Part)
		}
	})
}

func TestNewObservedOfLittleIsOneMessage(t *testing.T) {
	for name, o := range map[string]graph.Observation{
		"nothing":                           {Source: "github"},
		"a few":                             {Source: "github", Alerts: make([]graph.Alert, 100)},
		"one that is larger than a message": {Source: "github", Alerts: []graph.Alert{{Title: strings.Repeat("x", 300<<10)}}},
	} {
		events, err := event.NewObserved("/functions/ingest", o, 0)
		if err != nil || len(events) != 1 || events[0].Type != event.Observed || events[0].Subject != "github" {
			t.Errorf("%s: %d events, %v", name, len(events), err)
		}
	}
}
