package decision

import (
	"errors"
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
		if cause := errors.Unwrap(err); cause != nil {
			want += cause.Error()
		}
		if err == nil || err.Error() != want {
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
