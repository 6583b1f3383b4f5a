package kusto

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `[
 {"id":"/a","name":"a","type":"x/y","kind":"app,linux,container","n":3,"properties":{"status":{"code":"Unhealthy"},"list":[{"v":"one"},{"v":"Two"}],"text":"{\"Digest\":\"d1\"}","when":"2026-11-01T00:00:00Z"}},
 {"id":"/b","name":"B","type":"x/z","kind":"","n":11,"properties":{"status":{"code":"healthy"},"list":[],"text":{"Digest":"d2"},"when":"2026-11-20T00:00:00Z","flag":true}},
 {"id":"/c","name":"c","type":"X/Y","kind":"app","n":7,"properties":null}]`

func table(t testing.TB) []Row {
	t.Helper()
	var rows []Row
	if err := json.Unmarshal([]byte(sample), &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func run(t testing.TB, query string) []Row {
	t.Helper()
	q, err := Parse(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return q.Run(slices.Values(table(t)))
}

func TestWhere(t *testing.T) {
	for expression, want := range map[string]string{
		`type == "x/y"`:                             "/a",
		`type =~ 'X/y'`:                             "/a /c",
		`type != "x/y"`:                             "/b /c",
		`type !~ "x/y"`:                             "/b",
		`type in ("x/y", "x/z")`:                    "/a /b",
		`type in~ ("X/Y")`:                          "/a /c",
		`name !in~ ("b")`:                           "/a /c",
		`kind contains "CONTAINER"`:                 "/a",
		`kind has "linux"`:                          "/a",
		`kind has "linu"`:                           "",
		`kind !contains "app"`:                      "/b",
		`name startswith "b" or name == "c"`:        "/b /c",
		`n > 3 and n <= 11`:                         "/b /c",
		`properties.status.code =~ "HEALTHY"`:       "/b",
		`properties.Status.code =~ "HEALTHY"`:       "", // names are case-sensitive
		`properties["status"]["code"] == "healthy"`: "/b",
		`tostring(parse_json(tostring(properties.text)).Digest) in ("d1", "d2")`: "/a /b",
		`isnotempty(properties.flag)`:                                            "/b",
		`properties.flag == true`:                                                "/b",
		`not(properties.flag == true)`:                                           "/a /c",
		`isnull(properties)`:                                                     "/c",
		`array_length(properties.list) == 2`:                                     "/a",
		`properties.list[1].v == "Two"`:                                          "/a",
		`todatetime(properties.when) > datetime(2026-11-10)`:                     "/b",
		`todatetime(properties.when) < ago(1d) and name == "a"`:                  "/a",
		`coalesce(properties.flag, false) == true`:                               "/b",
		`iff(n > 5, "big", "small") == "small"`:                                  "/a",
		`case(n > 10, "l", n > 5, "m", "s") == "m"`:                              "/c",
		`strcat(name, "-", tostring(n)) == "a-3"`:                                "/a",
		`n + 1 == 4 or n * 2 == 14`:                                              "/a /c",
		`tolower(name) in (dynamic(["b"]))`:                                      "/b",
	} {
		var got []string
		for _, r := range run(t, "anything | where "+expression) {
			got = append(got, r["id"].(string))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", expression, strings.Join(got, " "), want)
		}
	}
}

func TestColumns(t *testing.T) {
	got := run(t, `t | where name == "a" | extend rad = parse_json(tostring(properties.text)), twice = n * 2
		| project id, code = tostring(properties.status.code), digest=tostring(rad.Digest), twice, properties.when // what remains`)
	want := []Row{{"id": "/a", "code": "Unhealthy", "digest": "d1", "twice": 6.0, "properties_when": "2026-11-01T00:00:00Z"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestExpandOrderTakeSummarize(t *testing.T) {
	if got := run(t, `t | mv-expand e = properties.list | project id, v = tostring(e.v)`); len(got) != 2 || got[1]["v"] != "Two" {
		t.Errorf("mv-expand: %v", got)
	}
	if got := run(t, `t | order by n desc | take 1 | project name`); len(got) != 1 || got[0]["name"] != "B" {
		t.Errorf("order and take: %v", got)
	}
	if got := run(t, `t | sort by n | project name`); got[0]["name"] != "B" {
		t.Errorf("the default order is downwards: %v", got)
	}
	got := run(t, `t | summarize c = count(), most = max(n), names = make_set(name) by kind = tolower(type) | order by c desc`)
	want := []Row{{"kind": "x/y", "c": 2.0, "most": 7.0, "names": []any{"a", "c"}}, {"kind": "x/z", "c": 1.0, "most": 11.0, "names": []any{"B"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := run(t, `t | count`); got[0]["Count"] != 3.0 {
		t.Errorf("count: %v", got)
	}
	if got := run(t, `t | distinct tolower(type)`); len(got) != 2 {
		t.Errorf("distinct: %v", got)
	}
}

func TestLazyValuesAreMadeWhenRead(t *testing.T) {
	made := 0
	row := Row{"id": "/l", "properties": map[string]any{"deep": Lazy(func() any { made++; return map[string]any{"x": "y"} })}}
	q, err := Parse(`t | where id == "/other" | project properties`)
	if err != nil {
		t.Fatal(err)
	}
	if q.Stream(row); made != 0 {
		t.Error("a row that is filtered out made its values")
	}
	if q, err = Parse(`t | where properties.deep.x == "y" | project p = properties`); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(q.Stream(row))
	if err != nil || string(raw) != `[{"p":{"deep":{"x":"y"}}}]` {
		t.Errorf("%s %v", raw, err)
	}
}

func TestQueriesThatAreNotUnderstoodAreErrors(t *testing.T) {
	for _, query := range []string{
		"", "|", "t | ", "t | where", "t | where (a", "t | join kind=inner (u) on id", "t | project a b", "t where a", `t | where a == "open`, "t | where f(x)",
		"t | take -1", "t | mv-expand a, b", "t | summarize n", "t | where a in (b)", "t | order id", "t | extend x = dynamic({)", "union t, u",
	} {
		if _, err := Parse(query); err == nil {
			t.Errorf("%q was understood", query)
		}
	}
}

func TestEqualFindsWhatATypeMustBe(t *testing.T) {
	for query, want := range map[string]string{
		`t | where type == "A/b"`: "a/b", `t | where n > 1 and type in~ ("A", "b") | where x`: "a b", `t | where type == "a" or n > 1`: "", `t | project type | where type == "a"`: "",
	} {
		q, err := Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := q.Equal("type"); strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %q", query, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`securityresources | where type == "microsoft.security/assessments" and properties.status.code =~ "Unhealthy" | project id, r=tolower(tostring(properties.a.b)) | order by id asc`,
		`t | mv-expand e = properties.list | summarize count() by x = e.v | take 3`, `t | where a in~ ('x', "y") or not(b !contains 'c') | extend d = dynamic({"a":[1]})[0]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := Parse(query)
		if err != nil {
			return
		}
		q.Run(slices.Values(table(t)))
	})
}
