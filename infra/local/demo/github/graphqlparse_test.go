package github

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseQuery(t *testing.T) {
	got, err := parseQuery(`# owners
		query Owners($n: String!, $d: Boolean = true) { a: repository(owner: "o\"x", name: $n) { object(expression: "HEAD:x") { ... on Blob { text } } }, rateLimit{cost} nodes(ids: ["1", "2"], first: 10, deep: true) { id } }`,
		map[string]any{"n": "name"})
	if err != nil {
		t.Fatal(err)
	}
	want := []field{
		{alias: "a", name: "repository", args: map[string]any{"owner": `o"x`, "name": "name"}, fields: []field{
			{name: "object", args: map[string]any{"expression": "HEAD:x"}, fields: []field{{name: "text"}}}}},
		{name: "rateLimit", fields: []field{{name: "cost"}}},
		{name: "nodes", args: map[string]any{"ids": []any{"1", "2"}, "first": 10.0, "deep": true}, fields: []field{{name: "id"}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestParseQueryRefusesTheRest(t *testing.T) {
	for _, q := range []string{"", "{", "{ a", "{ a( }", "{ a(b: ) }", `{ a(b: "x }`, "mutation { a }", "{ a } b", "{ ... { a } }", "query (", "{ a(b: [1) }", strings.Repeat("{a", 1000)} {
		if got, err := parseQuery(q, nil); err == nil {
			t.Errorf("%.40q was understood as %+v", q, got)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add(`query($n: String!) { a: repository(owner: "o", name: $n) { object(expression: "HEAD:x") { ... on Blob { text } } } nodes(ids: ["1", 2.5, true]) { id } }`)
	f.Add("{ a(b: [[[[1]]]]) { ...on B { c } } # }")
	f.Fuzz(func(t *testing.T, q string) {
		fields, err := parseQuery(q, map[string]any{"n": "x"})
		if err == nil && fields == nil && !strings.Contains(q, "{") {
			t.Errorf("%q gave nothing and no error", q)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("MjAyNi0wOC0wN1QxNjoxMzowMFovMDAwMDA0LzAwMDAwMDA4")
	f.Fuzz(func(t *testing.T, cursor string) {
		if rank := decodeCursor(cursor); rank != "" && decodeCursor(encodeCursor(rank)) != rank {
			t.Errorf("%q does not come back", rank)
		}
	})
}

func FuzzNameOrObject(f *testing.F) {
	for _, seed := range []string{`"a"`, `{"name":"a"}`, `{"login":"x","rationale":"y"}`, `1`, `null`, `{`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var n nameOrObject
		if err := n.UnmarshalJSON(raw); err != nil && n != "" {
			t.Errorf("%q gave both %q and %v", raw, n, err)
		}
	})
}
