package sql_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"throughline/infra/local/cosmosdb/sql"
	"throughline/infra/local/cosmosdb/value"
)

func parse(t testing.TB, text string) value.Value {
	t.Helper()
	v, err := value.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// run evaluates a query over documents and gives the results as JSON.
func run(t testing.TB, query string, params map[string]value.Value, docs ...string) []string {
	t.Helper()
	s, err := sql.Parse(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	q, err := s.Bind(params)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	r := q.Start()
	for _, d := range docs {
		r.Add(parse(t, d))
	}
	list := []string{}
	for _, v := range r.Results() {
		list = append(list, v.JSON())
	}
	return list
}

func TestExpression(t *testing.T) {
	const doc = `{"id":"1","n":5,"s":"Hello World","b":true,"z":null,"a":[1,"x",{"k":1,"m":2}],"o":{"x":{"y":7}},"select":1}`
	for expr, want := range map[string]string{
		// three values
		`c.n = 5`: "true", `c.n = 5.0`: "true", `c.n = "5"`: "false", `c.n != "5"`: "true", `c.none = 1`: "", `c.none != 1`: "", `c.none = c.none`: "",
		`c.z = null`: "true", `c.z != null`: "false", `c.s != null`: "true", `c.none = null`: "", `c.none = undefined`: "",
		`c.n < "a"`: "", `c.n < 6`: "true", `c.s > "Hello"`: "true", `c.a > 1`: "", `c.b > false`: "true", `c.o < c.o`: "", `c.o = {"x":{"y":7}}`: "true",
		`true AND c.none`: "", `false AND c.none`: "false", `c.none AND false`: "false", `true OR c.none`: "true", `c.none OR true`: "true", `c.none OR false`: "",
		`false OR c.none`: "", `NOT c.none`: "", `NOT (c.none = 1)`: "", `NOT c.n`: "", `NOT c.b`: "false", `c.n AND true`: "", `NOT NOT true`: "true",
		`c.n IN (1, 5)`: "true", `c.n IN ("5")`: "false", `c.none IN (1)`: "", `c.n NOT IN (1, 2)`: "true", `c.n IN (c.none, 5)`: "true", `c.n IN (c.none)`: "false",
		`c.n BETWEEN 5 AND 6`: "true", `c.n NOT BETWEEN 1 AND 4`: "true", `c.none BETWEEN 1 AND 2`: "",
		// operators
		`1 + 2 * 3 - 4 / 2`: "5", `(1 + 2) * 3`: "9", `7 % 4`: "3", `1 / 0`: "", `-c.n`: "-5", `c.n + "1"`: "", `"a" || "b"`: `"ab"`, `"a" || 1`: "",
		`6 & 3`: "2", `6 | 3`: "7", `6 ^ 3`: "5", `~0`: "-1", `1 << 4`: "16", `-16 >> 2`: "-4", `-1 >>> 28`: "15",
		`c.none ?? "d"`: `"d"`, `c.z ?? "d"`: "null", `c.n > 3 ? "big" : "small"`: `"big"`, `c.none ? 1 : 2`: "2",
		// paths
		`c["s"]`: `"Hello World"`, `c.o["x"].y`: "7", `c.a[1]`: `"x"`, `c.a[2].m`: "2", `c.a[9]`: "", `c.s.length`: "", `c["select"]`: "1", `c.a["0"]`: "",
		`[c.n, c.none, 1]`: "[5,1]", `{"k": c.n, "u": c.none}`: `{"k":5}`,
		// functions
		`STARTSWITH(c.s, "Hell")`: "true", `startswith(c.s, "hell")`: "false", `STARTSWITH(c.s, "hell", true)`: "true", `STARTSWITH(c.n, "5")`: "", `STARTSWITH(c.none, "x")`: "",
		`ENDSWITH(c.s, "World")`: "true", `CONTAINS(c.s, "lo W")`: "true", `CONTAINS(c.s, "LO w", true)`: "true", `STRINGEQUALS(c.s, "hello world", true)`: "true",
		`ARRAY_CONTAINS(c.a, 1)`: "true", `ARRAY_CONTAINS(c.a, "1")`: "false", `ARRAY_CONTAINS(c.a, {"k":1})`: "false", `ARRAY_CONTAINS(c.a, {"k":1}, true)`: "true", `ARRAY_CONTAINS(c.s, "H")`: "",
		`ARRAY_CONTAINS_ANY(c.a, 9, "x")`: "true", `ARRAY_CONTAINS_ALL(c.a, 1, "y")`: "false", `ARRAY_LENGTH(c.a)`: "3", `ARRAY_SLICE(c.a, -2, 1)`: `["x"]`, `ARRAY_CONCAT([1],[2])`: "[1,2]",
		`SETUNION([1,2,2],[2,3])`: "[1,2,3]", `SETINTERSECT([1,2,2],[2,3])`: "[2]",
		`IS_DEFINED(c.none)`: "false", `IS_DEFINED(c.z)`: "true", `IS_NULL(c.z)`: "true", `IS_NULL(c.none)`: "false", `IS_STRING(c.s)`: "true", `IS_NUMBER(c.s)`: "false", `IS_ARRAY(c.a)`: "true",
		`IS_OBJECT(c.o)`: "true", `IS_BOOL(c.b)`: "true", `IS_PRIMITIVE(c.o)`: "false", `IS_INTEGER(1.5)`: "false",
		`LENGTH("äb")`: "2", `UPPER("ä")`: `"Ä"`, `LOWER("AB")`: `"ab"`, `SUBSTRING(c.s, 6, 99)`: `"World"`, `LEFT(c.s, 2)`: `"He"`, `RIGHT(c.s, 2)`: `"ld"`, `INDEX_OF(c.s, "o")`: "4", `INDEX_OF(c.s, "o", 5)`: "7",
		`TRIM("  a ")`: `"a"`, `REPLACE("aba", "a", "c")`: `"cbc"`, `CONCAT("a", "b", "c")`: `"abc"`, `REVERSE("abc")`: `"cba"`, `REPLICATE("ab", 2)`: `"abab"`, `TOSTRING(c.n)`: `"5"`, `STRINGTONUMBER("12")`: "12", `STRINGTONUMBER("x")`: "",
		`ROUND(2.5)`: "3", `ROUND(1.234, 2)`: "1.23", `FLOOR(-1.5)`: "-2", `CEILING(1.2)`: "2", `ABS(-3)`: "3", `POWER(2, 3)`: "8", `SQRT(16)`: "4", `TRUNC(1.9)`: "1", `SIGN(-2)`: "-1", `LOG10(100)`: "2", `ABS("x")`: "",
		`IIF(c.n = 5, "y", "n")`: `"y"`, `REGEXMATCH(c.s, "^h.*d$", "i")`: "true", `REGEXMATCH(c.s, "(")`: "",
		`FULLTEXTCONTAINS(c.s, "world")`: "true", `FULLTEXTCONTAINS(c.s, "wor")`: "false", `FULLTEXTCONTAINSALL(c.s, "hello", "world")`: "true", `FULLTEXTCONTAINSANY(c.s, "x", "hello world")`: "true",
		`c.s LIKE "Hello%"`: "true", `c.s LIKE "hello%"`: "false", `c.s LIKE "%o_W%"`: "true", `c.s LIKE "[A-H]%"`: "true", `c.s LIKE "[^A-H]%"`: "false", `c.s NOT LIKE "%x%"`: "true", `"50%" LIKE "50!%" ESCAPE "!"`: "true", `"500" LIKE "50!%" ESCAPE "!"`: "false",
		`ATN2(0, 1)`: "0", `DEGREES(PI())`: "180", `COT("x")`: "", `RAND() < 1`: "true", `NUMBERBIN(37, 10)`: "30", `NUMBERBIN(-1.5)`: "-2", `NUMBERBIN(1, 0)`: "",
		`INTADD(20, 10)`: "30", `INTDIV(7, 2)`: "3", `INTDIV(7, 0)`: "", `INTMOD(7, 4)`: "3", `INTADD(1.5, 1)`: "", `INTBITLEFTSHIFT(16, 4)`: "256", `INTBITXOR(6, 3)`: "5",
		`CHOOSE(2, "a", "b")`: `"b"`, `CHOOSE(3, "a", "b")`: "", `CHOOSE(0, "a")`: "", `OBJECTTOARRAY(c.a[2])`: `[{"k":"k","v":1},{"k":"m","v":2}]`, `OBJECTTOARRAY({"x":1}, "name", "value")`: `[{"name":"x","value":1}]`, `OBJECTTOARRAY(c.n)`: "", `LASTINDEXOF(c.s, "o")`: "7", `LASTINDEXOF(c.s, "q")`: "-1",
		`DateTimeAdd("mm", 1, "2026-01-31T10:00:00.0000000Z")`: `"2026-02-28T10:00:00.0000000Z"`, `DateTimeAdd("day", -1, "2026-03-01")`: `"2026-02-28T00:00:00.0000000Z"`, `DateTimeAdd("hh", 25, "2026-12-01T05:00:00Z")`: `"2026-12-02T06:00:00.0000000Z"`, `DateTimeAdd("x", 1, "2026-03-01")`: "", `DateTimeAdd("day", "1", "2026-03-01")`: "", `DateTimeAdd("day", 1, "today")`: "",
		`DateTimeDiff("day", "2026-12-01T23:59:59.0000000Z", "2026-12-02T00:00:00.0000000Z")`: "1", `DateTimeDiff("yyyy", "2028-01-02", "2020-01-03")`: "-8", `DateTimeDiff("mm", "2026-11-30", "2027-01-01")`: "2", `DateTimeDiff("hour", "1969-12-31T23:30:00Z", "1970-01-01T00:30:00Z")`: "1", `DateTimeDiff("ms", "2026-12-01", "2026-12-01T00:00:00.5000000Z")`: "500",
		`DateTimePart("yyyy", "2020-01-02T03:04:05.6789123Z")`: "2020", `DateTimePart("ms", "2020-01-02T03:04:05.6789123Z")`: "678", `DateTimePart("ns", "2020-01-02T03:04:05.6789123Z")`: "678912300", `DateTimePart("yyyy", c.n)`: "",
		`DateTimeFromParts(2020, 9, 4, 15, 30, 10, 5001234)`: `"2020-09-04T15:30:10.5001234Z"`, `DateTimeFromParts(2020, 13, 1)`: "", `DateTimeFromParts(2020, 2, 29)`: `"2020-02-29T00:00:00.0000000Z"`,
		`DateTimeToTicks("2020-01-02T03:04:05Z")`: "15779342450000000", `DateTimeToTimestamp("2020-01-02T03:04:05.678Z")`: "1577934245678", `TicksToDateTime(15779342450000000)`: `"2020-01-02T03:04:05.0000000Z"`, `TimestampToDateTime(1577934245678)`: `"2020-01-02T03:04:05.6780000Z"`, `TimestampToDateTime("1")`: "", `GetCurrentTicks() > GetCurrentTimestamp()`: "true",
		// subqueries
		`EXISTS(SELECT VALUE x FROM x IN c.a WHERE x = 1)`: "true", `ARRAY(SELECT VALUE x FROM x IN c.a WHERE IS_NUMBER(x))`: "[1]", `(SELECT VALUE COUNT(1) FROM x IN c.a)`: "3",
		`'it\'s'`: `"it's"`, `"a\u0041\n"`: `"aA\n"`, `'"'`: `"\""`,
	} {
		got := strings.Join(run(t, "SELECT VALUE "+expr+" FROM c", nil, doc), " ")
		if got != want {
			t.Errorf("%s is %s, want %s", expr, got, want)
		}
	}
}

func TestQuery(t *testing.T) {
	docs := []string{
		`{"id":"1","kind":"a","n":3,"tags":["x","y"]}`, `{"id":"2","kind":"b","n":1,"tags":[]}`,
		`{"id":"3","kind":"a","n":"two","tags":["x"]}`, `{"id":"4","kind":"b","n":null}`, `{"id":"5","kind":"a"}`,
	}
	for query, want := range map[string][]string{
		`SELECT VALUE c.id FROM c`:                                                                    {`"1"`, `"2"`, `"3"`, `"4"`, `"5"`},
		`select value r.id from root r where r.kind = "a"`:                                            {`"1"`, `"3"`, `"5"`},
		`SELECT VALUE c.id FROM c ORDER BY c.n`:                                                       {`"5"`, `"4"`, `"2"`, `"1"`, `"3"`},
		`SELECT VALUE c.id FROM c ORDER BY c.n DESC`:                                                  {`"3"`, `"1"`, `"2"`, `"4"`, `"5"`},
		`SELECT c.id, c.n FROM c WHERE c.kind = "b"`:                                                  {`{"id":"2","n":1}`, `{"id":"4","n":null}`},
		`SELECT c.id AS x, c.none, 1 FROM c WHERE c.id = "1"`:                                         {`{"x":"1","$1":1}`},
		`SELECT DISTINCT VALUE c.kind FROM c`:                                                         {`"a"`, `"b"`},
		`SELECT TOP 2 VALUE c.id FROM c`:                                                              {`"1"`, `"2"`},
		`SELECT VALUE c.id FROM c ORDER BY c.id DESC OFFSET 1 LIMIT 2`:                                {`"4"`, `"3"`},
		`SELECT VALUE COUNT(1) FROM c`:                                                                {`5`},
		`SELECT COUNT(c.n) AS n, MIN(c.id) AS low, MAX(c.id) AS high FROM c`:                          {`{"n":4,"low":"1","high":"5"}`},
		`SELECT VALUE SUM(c.n) FROM c WHERE IS_NUMBER(c.n)`:                                           {`4`},
		`SELECT VALUE AVG(c.n) FROM c WHERE IS_NUMBER(c.n)`:                                           {`2`},
		`SELECT VALUE SUM(c.n) FROM c`:                                                                {},
		`SELECT VALUE COUNT(1) FROM c WHERE false`:                                                    {`0`},
		`SELECT c.kind, COUNT(1) AS n FROM c GROUP BY c.kind`:                                         {`{"kind":"a","n":3}`, `{"kind":"b","n":2}`},
		`SELECT c.id, t FROM c JOIN t IN c.tags`:                                                      {`{"id":"1","t":"x"}`, `{"id":"1","t":"y"}`, `{"id":"3","t":"x"}`},
		`SELECT VALUE t FROM t IN c.tags`:                                                             {`"x"`, `"y"`, `"x"`},
		`SELECT * FROM c.tags`:                                                                        {`["x","y"]`, `[]`, `["x"]`},
		`SELECT s.id FROM (SELECT c.id, c.n FROM c WHERE c.kind = "b") AS s WHERE s.n = 1`:            {`{"id":"2"}`},
		`SELECT VALUE s FROM (SELECT VALUE t FROM (SELECT VALUE r.tags FROM root r) x JOIN t IN x) s`: {`"x"`, `"y"`, `"x"`},
		`SELECT VALUE s.n FROM (SELECT ARRAY(SELECT VALUE t FROM t IN c.tags) AS n FROM c) s WHERE EXISTS(SELECT VALUE x FROM x IN s.n WHERE x = "y")`: {`["x","y"]`},
		`SELECT 1`: {`{"$1":1}`},
		`SELECT VALUE c.id FROM c WHERE c.kind = "a" AND (c.n = 3 OR c.n = "two") -- a comment`: {`"1"`, `"3"`},
	} {
		if diff := cmp.Diff(want, run(t, query, nil, docs...)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

func TestParameters(t *testing.T) {
	params := map[string]value.Value{"@kind": value.OfString("a"), "@list": parse(t, `["1","9"]`), "@n": value.OfNumber(1)}
	got := run(t, `SELECT VALUE c.id FROM c WHERE c.kind = @kind AND ARRAY_CONTAINS(@list, c.id) OFFSET 0 LIMIT @n`, params, `{"id":"1","kind":"a"}`, `{"id":"2","kind":"a"}`)
	if diff := cmp.Diff([]string{`"1"`}, got); diff != "" {
		t.Error(diff)
	}
	s, err := sql.Parse("SELECT * FROM c WHERE c.a = @a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bind(nil); !errors.Is(err, sql.ErrSyntax) {
		t.Errorf("a missing parameter: %v", err)
	}
}

func TestRefused(t *testing.T) {
	for _, query := range []string{
		"", " ", "SELECT", "SELECT *", "SELECT FROM c", "SELECT * FROM", "SELECT * FROM c WHERE", "SELECT * FROM c WHERE c.a ==1", "SELECT * FROM c WHERE c.", "SELECT * FROM c WHERE c..a = 1",
		"SELECT * FROM c WHERE (c.a = 1", "SELECT * FROM c WHERE c.a = 1)", "SELECT * FROM c WHERE c.a IN ()", "SELECT * FROM c WHERE c.a IN (1,)", "SELECT * FROM c WHERE c.a BETWEEN 1", "SELECT * FROM c WHERE c.a LIKE",
		"SELECT * FROM c WHERE c.a = 'open", "SELECT * FROM c WHERE c.a = \"\\q\"", "SELECT * FROM c WHERE x.a = 1", "SELECT c.order FROM c", "SELECT * FROM c ORDER BY 1", "SELECT * FROM c ORDER BY c.a + 1", "SELECT * FROM c ORDER c.a",
		"SELECT * FROM c ORDER BY c.a ASCENDING", "SELECT * FROM c OFFSET 1", "SELECT * FROM c OFFSET -1 LIMIT 1", "SELECT TOP x * FROM c", "SELECT TOP 1.5 * FROM c", "SELECT TOP 1 * FROM c OFFSET 1 LIMIT 1",
		"SELECT * FROM c, d", "SELECT * FROM c JOIN t IN c.tags", "SELECT VALUE 1, 2 FROM c", "SELECT UNKNOWN(c.a) FROM c", "SELECT STARTSWITH(c.a) FROM c", "SELECT COUNT() FROM c", "SELECT COUNT(COUNT(1)) FROM c",
		"SELECT * FROM c WHERE SUM(c.a) > 1", "UPDATE c SET a = 1", "DELETE FROM c", "SELECT * FROM c; SELECT * FROM c", "SELECT * FROM c WHERE c.a = @", "SELECT * FROM c WHERE c.a = 1x", "SELECT * FROM c c c",
		"SELECT * FROM c WHERE \x00", "SELECT * FROM c WHERE c.a = \xff", "SELECT * FROM c WHERE NOT", "SELECT * FROM c WHERE c.a NOT 1", "SELECT c.a AS FROM c", "SELECT {a} FROM c", "SELECT * FROM c JOIN c IN c.x",
		"SELECT * FROM c WHERE " + strings.Repeat("(", 5000), "SELECT * FROM c WHERE " + strings.Repeat("NOT ", 5000) + "true", "SELECT VALUE " + strings.Repeat("-", 5000) + "1", "SELECT udf.f(1) FROM c",
	} {
		if _, err := sql.Parse(query); !errors.Is(err, sql.ErrSyntax) {
			t.Errorf("%.60q: %v", query, err)
		}
	}
}

func TestPlanPinsOnlyWhatMustHold(t *testing.T) {
	for where, want := range map[string]struct {
		pins  string
		exact bool
	}{
		`c.pk = 'a'`:                                      {"pk=\"a\"", true},
		`'a' = c.pk AND c["x"].y = 1`:                     {"pk=\"a\" x/y=1", true},
		`c.pk = 'a' AND c.n > 1`:                          {"pk=\"a\"", false},
		`c.pk = 'a' OR c.pk = 'b'`:                        {"", false},
		`NOT (c.pk = 'a')`:                                {"", false},
		`c.pk = 'a' AND (c.x = 1 OR c.y = 2)`:             {"pk=\"a\"", false},
		`c.pk = c.other`:                                  {"", false},
		`(c.pk = 'a' ? true : true)`:                      {"", false},
		`EXISTS(SELECT * FROM x IN c.l WHERE x.pk = 'a')`: {"", false},
	} {
		s, err := sql.Parse("SELECT * FROM c WHERE " + where)
		if err != nil {
			t.Fatal(err)
		}
		q, err := s.Bind(nil)
		if err != nil {
			t.Fatal(err)
		}
		plan := q.Plan()
		var pins []string
		for _, p := range plan.Pins {
			pins = append(pins, strings.Join(p.Path, "/")+"="+p.Value.JSON())
		}
		if got := strings.Join(pins, " "); got != want.pins || plan.Exact != want.exact {
			t.Errorf("%s: pins %q exact %v, want %q %v", where, got, plan.Exact, want.pins, want.exact)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"SELECT * FROM c WHERE c.kind = @kind AND c.remediation = @r ORDER BY c.rank ASC", "SELECT VALUE {'a': [c.x ?? 1, -2.5e3]} FROM root c", "SELECT TOP 3 DISTINCT c.a AS b FROM c JOIN t IN c.tags WHERE t LIKE 'a[^b]%'",
		"SELECT c.kind, COUNT(1) FROM c GROUP BY c.kind OFFSET 1 LIMIT 2", "select value (select value max(x) from x in c.l) from c -- end", "SELECT * FROM c WHERE c['a\\u0041']['b'][0] NOT IN ('x', 1, null) ? 1 : 2", "SELECT * FROM c WHERE REGEXMATCH(c.s, '(a+)+$')",
	} {
		f.Add(s)
	}
	docs := []string{`{"id":"1","kind":"a","rank":1,"tags":["ab"],"l":[1,{"x":null}],"s":"aaaaaaaaaaaaaaaaaaaaa!","a":{"b":[2]}}`, `{}`}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := sql.Parse(text)
		if err != nil {
			if !errors.Is(err, sql.ErrSyntax) {
				t.Fatal(err)
			}
			return
		}
		params := map[string]value.Value{}
		q, err := s.Bind(params)
		if err != nil {
			return
		}
		q.Plan()
		r := q.Start()
		for _, d := range docs {
			r.Add(value.Lazy(d))
		}
		r.Results()
	})
}
