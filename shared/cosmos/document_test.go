package cosmos

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"throughline/shared/graph"
)

func TestEscape(t *testing.T) {
	for id, want := range map[string]string{
		"github-4711-dependabot-88": "github-4711-dependabot-88", "evidence-sha256:ab-attestation-verified": "evidence-sha256:ab-attestation-verified",
		"a b": "a b", "a ": "a~20", "a  ": "a~20~20", " a": " a", "/": "~2f", "a\\b": "a~5cb", "#?%\"": "~23~3f~25~22", "~": "~7e", "~2f": "~7e2f",
		"\n": "~0a", "größe": "größe", ".": "~2e", "..": "~2e.", "...": "...", "": "",
	} {
		if got := escape(id); got != want {
			t.Errorf("escape(%q) = %q, want %q", id, got, want)
		}
	}
}

// allowed tells whether every way to Cosmos DB can address the id.
func allowed(id string) bool {
	return len(id) <= 1023 && !strings.ContainsAny(id, "/\\#?%\"\n\t\x00") && !strings.HasSuffix(id, " ") && id != "." && id != ".."
}

func TestEscapeIsReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringOfN(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune("~2fF/ .%\\\""))), 1, graph.MaxID, -1).Draw(t, "id")
		escaped := escape(id)
		if got := unescape(escaped); got != id || !utf8.ValidString(escaped) || !allowed(escaped) {
			t.Fatalf("%q became %q and then %q", id, escaped, got)
		}
	})
}

func FuzzUnescape(f *testing.F) {
	for _, id := range []string{"", "a", "~", "~2", "~2f", "~zz", "a~2fb~", "~~", "é~c3"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		unescape(id) // whatever stands there
		if got := unescape(escape(id)); got != id {
			t.Errorf("%q came back as %q", id, got)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"id":"a","pk":"p","kind":"k","v":1,"data":{"n":1},"_etag":"\"e1\"","_rid":"x","_ts":1}`)
	f.Add(`{"id":"~2f","org":"o","kind":"k","v":1,"data":null}`)
	f.Add(`{"v":9}`)
	f.Add(`[]`)
	f.Add(`{"id":1}`)
	k := graph.Key{Container: graph.GraphContainer, Partition: "p"}
	f.Fuzz(func(t *testing.T, raw string) {
		d, err := decode(k, []byte(raw))
		if err == nil && (d.Key.Container != k.Container || d.Key.Partition != k.Partition) {
			t.Errorf("decode %q gives a document of %s", raw, d.Key)
		}
	})
}

func TestStatement(t *testing.T) {
	q := graph.Query{Kind: "finding", OrderBy: "a b.rank", Descending: true, Where: []graph.Where{
		{Field: "issue.number", Op: graph.Equal, Value: 7}, {Field: "tier", Op: graph.NotEqual, Value: graph.P1}, {Field: "tier", Op: graph.In, Value: []any{"P0", 2}},
		{Field: "cves", Op: graph.Contains, Value: "CVE-1"}, {Field: "path", Op: graph.Prefix, Value: "/s"}, {Field: "title", Op: graph.Search, Value: "x"},
		{Field: "n", Op: graph.AtLeast, Value: 1.5}, {Field: "open", Op: graph.NotEqual, Value: true}, {Field: "none", Op: graph.In, Value: []any{}},
		{Field: `x"] = 1 OR c["y`, Op: graph.Less, Value: 1},
	}}
	text, parameters, err := statement(q)
	if err != nil {
		t.Fatal(err)
	}
	want := `SELECT * FROM c WHERE c.kind = @p0 AND c.data["issue"]["number"] = @p1 AND (IS_STRING(c.data["tier"]) AND c.data["tier"] != @p2)` +
		` AND c.data["tier"] IN (@p3, @p4) AND ARRAY_CONTAINS(c.data["cves"], @p5) AND STARTSWITH(c.data["path"], @p6) AND CONTAINS(c.data["title"], @p7, true)` +
		` AND c.data["n"] >= @p8 AND (IS_BOOL(c.data["open"]) AND c.data["open"] != @p9) AND false AND c.data["x\"] = 1 OR c[\"y"] < @p10` +
		` ORDER BY c.data["a b"]["rank"] DESC`
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if len(parameters) != 11 || parameters[2].Value != "P1" || parameters[1].Value != 7.0 {
		t.Errorf("parameters %+v", parameters)
	}
}
