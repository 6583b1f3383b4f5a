package decision

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

func TestAcceptance(t *testing.T) {
	p := DefaultPolicy()
	ok := Acceptance{By: "ana", Reason: "internal tool", At: epoch, Until: onDay(10), Tier: graph.P1}
	for name, c := range map[string]struct {
		change func(*Acceptance)
		want   string
	}{
		"in order":           {func(*Acceptance) {}, ""},
		"no name":            {func(a *Acceptance) { a.By = "" }, "an acceptance needs somebody's name"},
		"no reason":          {func(a *Acceptance) { a.Reason = "" }, "an acceptance needs a reason"},
		"no tier":            {func(a *Acceptance) { a.Tier = "P9" }, `an acceptance needs the tier it is given at, got "P9"`},
		"no end":             {func(a *Acceptance) { a.Until = time.Time{} }, "an acceptance needs an end date"},
		"ends before":        {func(a *Acceptance) { a.Until = epoch }, "the end 2026-09-01 is not in the future"},
		"P1, last day":       {func(a *Acceptance) { a.Until = onDay(60).Add(19 * time.Hour) }, ""},
		"P1, too long":       {func(a *Acceptance) { a.Until = onDay(61) }, "P1 may be accepted for at most 60 days, until 2026-10-31"},
		"P0, too long":       {func(a *Acceptance) { a.Tier, a.Until = graph.P0, onDay(15) }, "P0 may be accepted for at most 14 days, until 2026-09-15"},
		"P0, last day":       {func(a *Acceptance) { a.Tier, a.Until = graph.P0, onDay(14) }, ""},
		"P2, too long":       {func(a *Acceptance) { a.Tier, a.Until = graph.P2, onDay(181) }, "P2 may be accepted for at most 180 days, until 2027-02-28"},
		"P3, too long":       {func(a *Acceptance) { a.Tier, a.Until = graph.P3, onDay(366) }, "P3 may be accepted for at most 365 days, until 2027-09-01"},
		"P4 has no limit":    {func(a *Acceptance) { a.Tier, a.Until = graph.P4, onDay(9999) }, ""},
		"a year, P3 is fine": {func(a *Acceptance) { a.Tier, a.Until = graph.P3, onDay(365) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := ok
			c.change(&a)
			got := ""
			if err := a.Validate(p); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// The shortest limit is one day, which ends with the next.
func TestAcceptanceOfOneDay(t *testing.T) {
	p := DefaultPolicy()
	p.Acceptance.MaxDays.P0 = 1
	a := Acceptance{By: "ana", Reason: "tonight", At: epoch, Until: onDay(2), Tier: graph.P0}
	if err := a.Validate(p); err == nil {
		t.Error("two days are accepted")
	}
	if end, bounded := a.End(p); !bounded || end.Format(time.RFC3339) != "2026-09-02T23:59:59Z" {
		t.Errorf("ends %v", end)
	}
}

func TestAcceptanceInForce(t *testing.T) {
	p := DefaultPolicy()
	person := Acceptance{By: "ana", Reason: "internal tool", At: epoch, Until: onDay(10), Tier: graph.P1}
	want := Fact{Value: "P1", Source: "ana: internal tool, until 2026-09-11", At: epoch}
	for _, at := range []time.Time{epoch, onDay(10)} {
		if diff := cmp.Diff(want, person.Fact(at, p)); diff != "" {
			t.Errorf("at %v (-want +got):\n%s", at, diff)
		}
	}
	for _, at := range []time.Time{epoch.Add(-time.Second), onDay(10).Add(time.Second)} {
		if got := person.Fact(at, p); got != (Fact{}) {
			t.Errorf("at %v: %+v", at, got)
		}
	}
	exemption := Acceptance{By: DefenderForCloud, Reason: "exempted", At: epoch, Tier: graph.P0}
	if got := exemption.Fact(onDay(14), p); got.Source != "Defender for Cloud: exempted, until 2026-09-15" {
		t.Errorf("exemption: %+v", got)
	}
	if got := exemption.Fact(onDay(15), p); got != (Fact{}) {
		t.Errorf("an exemption outlives the policy's limit: %+v", got)
	}
	forever := Acceptance{By: "ana", Reason: "noted", At: epoch, Tier: graph.P4}
	if got := forever.Fact(onDay(9999), p); got.Source != "ana: noted" {
		t.Errorf("P4: %+v", got)
	}
}

// An acceptance holds while the tier is the accepted one or less urgent, and is void at once when it is more urgent.
func TestAcceptanceHolds(t *testing.T) {
	p := DefaultPolicy()
	for accepted, want := range map[string]string{
		"P0": "P4 R0 none false", "P1": "P4 R0 none false", "P2": "P1 R5 14d true", "P3": "P1 R5 14d true", "P4": "P1 R5 14d true",
	} {
		d := Decide(given(Vuln, "kev=no epss=0.25 severity=high automatable=no impact=total sensitive=yes accepted="+accepted), p)
		got := strings.Join([]string{string(d.Tier), d.Rule, d.Due, map[bool]string{true: "true", false: "false"}[d.Voided]}, " ")
		if got != want || d.WithoutR0 != graph.P1 {
			t.Errorf("accepted at %s: %s without R0 %s, want %s", accepted, got, d.WithoutR0, want)
		}
	}
}

const vexDocument = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/vex/1","author":"AUTHOR","timestamp":"2026-08-01T00:00:00Z","version":1,"statements":[STATEMENTS]}`

func vexText(author, statements string) []byte {
	return []byte(strings.NewReplacer("AUTHOR", author, "STATEMENTS", statements).Replace(vexDocument))
}

const (
	justified   = `{"vulnerability":{"name":"CVE-2026-1","aliases":["GHSA-1"]},"products":[{"@id":"pkg:oci/api"}],"status":"not_affected","justification":"vulnerable_code_not_in_execute_path","timestamp":"2026-08-02T00:00:00Z"}`
	impactOnly  = `{"vulnerability":{"name":"CVE-2026-1"},"products":[{"@id":"pkg:oci/api"}],"status":"not_affected","impact_statement":"we do not call it","timestamp":"2026-08-03T00:00:00Z"}`
	underWay    = `{"vulnerability":{"name":"CVE-2026-1"},"products":[{"@id":"pkg:oci/api"}],"status":"under_investigation","timestamp":"2026-08-04T00:00:00Z"}`
	sameMoment  = `{"vulnerability":{"name":"CVE-2026-1"},"products":[{"@id":"pkg:oci/api"}],"status":"affected","action_statement":"upgrade","timestamp":"2026-08-02T00:00:00Z"}`
	component   = `{"vulnerability":{"name":"CVE-2026-1"},"products":[{"@id":"pkg:oci/api","subcomponents":[{"@id":"pkg:npm/lodash"}]}],"status":"not_affected","justification":"component_not_present"}`
	nameless    = `{"vulnerability":{"description":"none"},"products":[{"@id":"pkg:oci/api"}],"status":"not_affected","justification":"component_not_present"}`
	badStatus   = `{"vulnerability":{"name":"CVE-2026-1"},"products":[{"@id":"pkg:oci/api"}],"status":"fine"}`
	otherBySame = `{"vulnerability":{"name":"CVE-2026-2"},"products":[{"@id":"pkg:oci/api"}],"status":"fixed"}`
)

func TestVEX(t *testing.T) {
	p := DefaultPolicy()
	p.Acceptance.VEXAuthors = []string{"ours"}
	about := VEXSubject{Vulnerabilities: []string{"", "CVE-2026-1"}, Products: []string{"", "pkg:oci/api@sha256:aa"}, Packages: []string{"pkg:npm/lodash@1.0.0"}}
	at := func(day int) time.Time { return time.Date(2026, 8, day, 0, 0, 0, 0, time.UTC) }
	lowered := Fact{NotAffected, "VEX by ours: vulnerable_code_not_in_execute_path", "https://example.com/vex/1", at(2)}
	for name, c := range map[string]struct {
		docs  [][]byte
		about VEXSubject
		want  Fact
	}{
		"none":                         {nil, about, Fact{}},
		"justified":                    {[][]byte{vexText("ours", justified)}, about, lowered},
		"by an alias":                  {[][]byte{vexText("ours", justified)}, VEXSubject{Vulnerabilities: []string{"GHSA-1"}, Products: about.Products}, lowered},
		"stranger":                     {[][]byte{vexText("theirs", justified)}, about, Fact{}},
		"a stranger's later word":      {[][]byte{vexText("theirs", underWay), vexText("ours", justified)}, about, lowered},
		"impact statement alone":       {[][]byte{vexText("ours", impactOnly+","+justified)}, about, Fact{"", "VEX by ours: not_affected without a justification", "https://example.com/vex/1", at(3)}},
		"newest statement":             {[][]byte{vexText("ours", underWay), vexText("ours", justified)}, about, Fact{"under_investigation", "VEX by ours", "https://example.com/vex/1", at(4)}},
		"two of one time":              {[][]byte{vexText("ours", justified+","+sameMoment)}, about, Fact{"affected", "VEX by ours", "https://example.com/vex/1", at(2)}},
		"two of one time, other way":   {[][]byte{vexText("ours", sameMoment+","+justified)}, about, Fact{"affected", "VEX by ours", "https://example.com/vex/1", at(2)}},
		"another vulnerability":        {[][]byte{vexText("ours", otherBySame)}, about, Fact{}},
		"another product":              {[][]byte{vexText("ours", justified)}, VEXSubject{Vulnerabilities: about.Vulnerabilities, Products: []string{"pkg:oci/web"}}, Fact{}},
		"the component":                {[][]byte{vexText("ours", component)}, about, Fact{NotAffected, "VEX by ours: component_not_present", "https://example.com/vex/1", at(1)}},
		"another component":            {[][]byte{vexText("ours", component)}, VEXSubject{Vulnerabilities: about.Vulnerabilities, Products: about.Products, Packages: []string{"pkg:npm/left-pad"}}, Fact{}},
		"a statement without a name":   {[][]byte{vexText("ours", nameless)}, about, Fact{}},
		"a status nobody knows":        {[][]byte{vexText("ours", badStatus)}, about, Fact{"", "VEX by ours: unknown status", "https://example.com/vex/1", at(1)}},
		"nothing to look for, nothing": {[][]byte{vexText("ours", justified)}, VEXSubject{}, Fact{}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := ReadVEX(c.docs...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.About(c.about, p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	s, err := ReadVEX(vexText("ours", justified))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.About(about, DefaultPolicy()); got != (Fact{}) {
		t.Errorf("no author is trusted by default: %+v", got)
	}
}

func TestReadVEXRefuses(t *testing.T) {
	good := string(vexText("ours", justified))
	for text, want := range map[string]string{
		"{": "read VEX document 1: ",
		"":  "read VEX document 1: ",
		`{"@context":"https://example.com","author":"ours"}`:                                                   `read VEX document 1: context "https://example.com" is not OpenVEX`,
		strings.Replace(good, `"author":"ours",`, "", 1):                                                       "read VEX document 1: no author",
		strings.Replace(good, `"timestamp":"2026-08-01T00:00:00Z",`, "", 1):                                    "read VEX document 1: no timestamp",
		strings.Replace(good, `"timestamp":"2026-08-01T00:00:00Z",`, `"timestamp":"0001-01-01T00:00:00Z",`, 1): "read VEX document 1: no timestamp",
	} {
		_, err := ReadVEX([]byte(good), []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(want, ": ") && err.Error() != want {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A statement speaks at its own time: its last update, its timestamp, else those of the document.
func TestStatementTime(t *testing.T) {
	p := DefaultPolicy()
	p.Acceptance.VEXAuthors = []string{"ours"}
	plain := strings.Replace(justified, `,"timestamp":"2026-08-02T00:00:00Z"`, "", 1)
	zero := strings.Replace(justified, "2026-08-02", "0001-01-01", 1)
	updated := strings.Replace(justified, `"timestamp"`, `"last_updated":"2026-08-09T00:00:00Z","timestamp"`, 1)
	document := strings.Replace(string(vexText("ours", plain)), `"version":1`, `"last_updated":"2026-08-05T02:00:00+02:00","version":1`, 1)
	for text, want := range map[string]string{
		string(vexText("ours", plain)): "2026-08-01", string(vexText("ours", zero)): "2026-08-01", string(vexText("ours", justified)): "2026-08-02",
		string(vexText("ours", updated)): "2026-08-09", document: "2026-08-05",
	} {
		s, err := ReadVEX([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		f := s.About(VEXSubject{Vulnerabilities: []string{"CVE-2026-1"}, Products: []string{"pkg:oci/api"}}, p)
		if got := f.At.Format(time.RFC3339); got != want+"T00:00:00Z" {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// Only not_affected lowers, and an exploited flaw asks for a second look.
func TestVEXStatus(t *testing.T) {
	p := DefaultPolicy()
	for _, status := range []string{"affected", "fixed", "under_investigation"} {
		if d := Decide(given(Vuln, "kev=no epss=0.25 severity=high automatable=no impact=total sensitive=yes vex="+status), p); d.Tier != graph.P1 {
			t.Errorf("%s gives %s", status, d.Tier)
		}
	}
	quiet := Decide(given(Vuln, "kev=no epss=0.25 severity=high vex=not_affected"), p)
	exploited := Decide(given(Vuln, "kev=yes severity=high vex=not_affected"), p)
	if quiet.Rule != "R0" || exploited.Rule != "R0" || quiet.SecondLook || !exploited.SecondLook {
		t.Errorf("%+v\n%+v", quiet, exploited)
	}
}

func TestNamesOfProducts(t *testing.T) {
	for _, c := range []struct{ ecosystem, name, want string }{
		{"npm", "lodash", "pkg:npm/lodash"}, {"npm", "@babel/core", "pkg:npm/%40babel/core"}, {"pip", "Django_x", "pkg:pypi/Django_x"},
		{"maven", "org.apache:log4j:core", "pkg:maven/org.apache/log4j:core"}, {"go", "github.com/gin-gonic/gin", "pkg:golang/github.com/gin-gonic/gin"},
		{"rust", "time", "pkg:cargo/time"}, {"rubygems", "rack", "pkg:gem/rack"}, {"erlang", "cowboy", "pkg:hex/cowboy"}, {"actions", "actions/checkout", "pkg:githubactions/actions/checkout"},
		{"NuGet", "Newtonsoft.Json", "pkg:nuget/Newtonsoft.Json"}, {"", "lodash", ""}, {"npm", "", ""}, {"npm", "a/", ""},
	} {
		if got := PackageURL(c.ecosystem, c.name); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.ecosystem, c.name, got, c.want)
		}
	}
	want := []string{"sha256:ab", "ab", "pkg:oci/api@sha256%3Aab?repository_url=acr.example%2Fshop%2Fapi", "pkg:oci/api@sha256%3Aab?repository_url=acr.example%2Fshop"}
	got := ImageNames("sha256:ab", "acr.example/shop/api")
	for i := range got {
		got[i] = strings.ReplaceAll(strings.ReplaceAll(got[i], "@sha256:", "@sha256%3A"), "acr.example/shop", "acr.example%2Fshop")
		got[i] = strings.ReplaceAll(got[i], "shop/api", "shop%2Fapi")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := ImageNames("sha256:ab", "api"); len(got) != 2 {
		t.Errorf("without a registry: %q", got)
	}
	if diff := cmp.Diff([]string{"pkg:github/Shop/API", "https://github.com/Shop/API"}, RepositoryNames("Shop/API")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := RepositoryNames(""); got != nil {
		t.Errorf("no repository: %q", got)
	}
}

// A statement about an image may name a version of the package that we do not know; one about a product may not.
func TestVEXOfAPackageInAnImage(t *testing.T) {
	p := DefaultPolicy()
	p.Acceptance.VEXAuthors = []string{"ours"}
	about := func(change func(*VEXSubject)) VEXSubject {
		a := VEXSubject{Vulnerabilities: []string{"CVE-2026-1"}, Images: []string{"sha256:aa"}, Packages: []string{"pkg:npm/lodash"}}
		change(&a)
		return a
	}
	said := func(product, component string) []byte {
		return vexText("ours", `{"vulnerability":{"name":"CVE-2026-1"},"products":[{"@id":"`+product+`","subcomponents":[`+component+`]}],"status":"not_affected","justification":"component_not_present"}`)
	}
	versioned := `{"@id":"pkg:npm/lodash@4.17.20?arch=x"}`
	for name, c := range map[string]struct {
		text  []byte
		about VEXSubject
		want  string
	}{
		"another version":             {said("sha256:aa", versioned), about(func(*VEXSubject) {}), NotAffected},
		"by its identifiers":          {said("sha256:aa", `{"@id":"https://x","identifiers":{"purl":"pkg:npm/lodash@1"}}`), about(func(*VEXSubject) {}), NotAffected},
		"one of two components":       {said("sha256:aa", `{"@id":"pkg:npm/a"},`+versioned), about(func(*VEXSubject) {}), NotAffected},
		"another package":             {said("sha256:aa", `{"@id":"pkg:npm/left-pad@1"}`), about(func(*VEXSubject) {}), ""},
		"another image":               {said("sha256:bb", versioned), about(func(*VEXSubject) {}), ""},
		"a name that is no purl":      {said("sha256:aa", `{"@id":"lodash"}`), about(func(*VEXSubject) {}), ""},
		"by the name of the software": {said("sha256:aa", `{"@id":"pkg:deb/debian/OpenSSL@3"}`), about(func(a *VEXSubject) { a.Packages, a.Software = nil, []string{"", "openssl"} }), NotAffected},
		"of a product, not an image":  {said("sha256:aa", versioned), about(func(a *VEXSubject) { a.Images, a.Products = nil, a.Images }), ""},
		"of a product, same version":  {said("sha256:aa", `{"@id":"pkg:npm/lodash"}`), about(func(a *VEXSubject) { a.Images, a.Products = nil, a.Images }), NotAffected},
		"a repository in any case":    {vexText("ours", strings.Replace(justified, "pkg:oci/api", "pkg:github/shop/api", 1)), about(func(a *VEXSubject) { a.Products = RepositoryNames("Shop/API") }), NotAffected},
		"no package to look for":      {said("sha256:aa", versioned), about(func(a *VEXSubject) { a.Packages = nil }), ""},
	} {
		s, err := ReadVEX(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.About(c.about, p); got.Value != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestVersionOfStatements(t *testing.T) {
	p := DefaultPolicy()
	p.Acceptance.VEXAuthors = []string{"ours"}
	version := func(names []string, texts ...[]byte) string {
		s, err := ReadVEX(texts...)
		if err != nil {
			t.Fatal(err)
		}
		return s.Version(names, p)
	}
	one := version([]string{"CVE-2026-1"}, vexText("ours", justified))
	if one == "" || one != version([]string{"CVE-2026-1"}, vexText("ours", justified+","+otherBySame), vexText("theirs", underWay)) {
		t.Error("what others say, or what is said of others, counts")
	}
	later := strings.Replace(string(vexText("ours", justified)), "2026-08-02", "2026-08-03", 1)
	elsewhere := strings.Replace(string(vexText("ours", justified)), "vex/1", "vex/2", 1)
	for _, other := range []string{version([]string{"CVE-2026-2"}, vexText("ours", justified)), version([]string{"CVE-2026-1"}, vexText("ours", underWay)),
		version([]string{"CVE-2026-1"}, []byte(later)), version([]string{"CVE-2026-1"}, []byte(elsewhere))} {
		if other == one {
			t.Error("two sayings have one version")
		}
	}
	if got := version([]string{"CVE-2026-9"}, vexText("ours", justified)); got != "" {
		t.Errorf("nothing is said: %q", got)
	}
	p.Acceptance.VEXAuthors = append(p.Acceptance.VEXAuthors, "partner")
	shared := strings.Replace(string(vexText("ours", justified)), `"author":"ours"`, `"author":"partner"`, 1)
	if version([]string{"CVE-2026-1"}, []byte(shared)) == one {
		t.Error("the author does not count")
	}
}

func TestCheckVEX(t *testing.T) {
	names, err := CheckVEX(vexText("ours", otherBySame+","+justified+","+underWay))
	if diff := cmp.Diff([]string{"CVE-2026-1", "CVE-2026-2", "GHSA-1"}, names); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	productless := strings.Replace(otherBySame, `[{"@id":"pkg:oci/api"}]`, `[]`, 1)
	for text, want := range map[string]string{
		string(vexText("", justified)):                  "no author",
		string(vexText("ours", justified+","+nameless)): "statement 2 names no vulnerability",
		string(vexText("ours", productless)):            "statement 1, about CVE-2026-2, names no product",
		string(vexText("ours", badStatus)):              `statement 1, about CVE-2026-1: status "fine" is not one of not_affected, affected, fixed, under_investigation`,
	} {
		if _, err := CheckVEX([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
