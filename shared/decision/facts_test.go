package decision

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"throughline/shared/graph"
)

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Inputs)
		want   string
	}{
		"in order":              {func(*Inputs) {}, ""},
		"kind":                  {func(in *Inputs) { in.Kind = "bug" }, `kind: "bug" is not one of vuln, code, secret, malware`},
		"kev":                   {func(in *Inputs) { in.KEV.Value = "unknown" }, `kev: "unknown" is not one of yes, no`},
		"exploitation":          {func(in *Inputs) { in.Exploitation.Value = "yes" }, `exploitation: "yes" is not one of none, poc, active`},
		"exploit_kit":           {func(in *Inputs) { in.ExploitKit.Value = "1" }, `exploit_kit: "1" is not one of yes, no`},
		"verified":              {func(in *Inputs) { in.Verified.Value = "true" }, `verified: "true" is not one of yes, no`},
		"severity":              {func(in *Inputs) { in.Severity.Value = "HIGH" }, `severity: "HIGH" is not one of none, low, medium, high, critical, unknown`},
		"automatable":           {func(in *Inputs) { in.Automatable.Value = "unknown" }, `automatable: "unknown" is not one of yes, no`},
		"impact":                {func(in *Inputs) { in.Impact.Value = "yes" }, `impact: "yes" is not one of partial, total`},
		"internet":              {func(in *Inputs) { in.Internet.Value = "maybe" }, `internet: "maybe" is not one of yes, no, unknown`},
		"lateral":               {func(in *Inputs) { in.Lateral.Value = "maybe" }, `lateral: "maybe" is not one of yes, no, unknown`},
		"sensitive":             {func(in *Inputs) { in.Sensitive.Value = "maybe" }, `sensitive: "maybe" is not one of yes, no, unknown`},
		"critical":              {func(in *Inputs) { in.Critical.Value = "maybe" }, `critical: "maybe" is not one of yes, no, unknown`},
		"running":               {func(in *Inputs) { in.Running.Value = "maybe" }, `running: "maybe" is not one of yes, no, unknown`},
		"validity":              {func(in *Inputs) { in.Validity.Value = "live" }, `validity: "live" is not one of active, inactive, unknown`},
		"leaked":                {func(in *Inputs) { in.Leaked.Value = "public" }, `leaked: "public" is not one of yes, no`},
		"vex":                   {func(in *Inputs) { in.VEX.Value = "fine" }, `vex: "fine" is not one of not_affected, affected, fixed, under_investigation`},
		"accepted":              {func(in *Inputs) { in.Accepted.Value = "P5" }, `accepted: "P5" is not one of P0, P1, P2, P3, P4`},
		"epss above one":        {func(in *Inputs) { in.EPSS.Value = "1.01" }, `epss: "1.01" is outside 0..1`},
		"epss below zero":       {func(in *Inputs) { in.EPSS.Value = "-0.1" }, `epss: "-0.1" is outside 0..1`},
		"epss no number":        {func(in *Inputs) { in.EPSS.Value = "NaN" }, `epss: "NaN" is outside 0..1`},
		"epss text":             {func(in *Inputs) { in.EPSS.Value = "high" }, `epss: "high" is outside 0..1`},
		"epss bounds":           {func(in *Inputs) { in.EPSS.Value = "1" }, ""},
		"cwe":                   {func(in *Inputs) { in.CWE.Value = "CWE-79;SQL" }, `cwe: "CWE-79;SQL" is not a list such as CWE-89;CWE-20`},
		"the first weakness":    {func(in *Inputs) { in.CWE.Value = "CWE-1" }, ""},
		"no weakness":           {func(in *Inputs) { in.CWE.Value = "CWE-0" }, `cwe: "CWE-0" is not a list such as CWE-89;CWE-20`},
		"negative weakness":     {func(in *Inputs) { in.CWE.Value = "CWE--5" }, `cwe: "CWE--5" is not a list such as CWE-89;CWE-20`},
		"weakness too long":     {func(in *Inputs) { in.CWE.Value = "CWE-99999999999999999999" }, `cwe: "CWE-99999999999999999999" is not a list such as CWE-89;CWE-20`},
		"workloads text":        {func(in *Inputs) { in.Workloads.Value = "many" }, `workloads: "many" is not a whole number`},
		"workloads negative":    {func(in *Inputs) { in.Workloads.Value = "-1" }, `workloads: "-1" is not a whole number`},
		"runs, no workload":     {func(in *Inputs) { in.Workloads.Value = "0" }, `workloads: 0 contradicts running "yes": at least 1 exactly when running is yes`},
		"workload, not known":   {func(in *Inputs) { in.Running.Value = "" }, `workloads: 1 contradicts running "": at least 1 exactly when running is yes`},
		"workload, not running": {func(in *Inputs) { in.Running.Value = "no" }, `workloads: 1 contradicts running "no": at least 1 exactly when running is yes`},
		"nothing given":         {func(in *Inputs) { *in = Inputs{Kind: Vuln} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := given(Vuln, "")
			c.change(&in)
			got := ""
			if err := in.Validate(); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestEstimate(t *testing.T) {
	const yes, no, unknown = graph.Yes, graph.No, graph.Unknown
	for vector, want := range map[string][2]graph.Answer{
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N":                         {yes, yes},
		"CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N":                         {yes, yes},
		"CVSS:3.1/I:H/C:H/UI:N/PR:N/AC:L/AV:N":                                 {yes, yes},
		"CVSS:3.1/AV:A/AC:L/PR:N/UI:N/S:U/C:H/I:L/A:N":                         {no, no},
		"CVSS:3.1/AV:L/AC:L/PR:N/UI:N/S:U/C:L/I:H/A:N":                         {no, no},
		"CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N":                         {no, no},
		"CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:N":                         {no, yes},
		"CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:N":                         {no, yes},
		"CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:N":                         {no, yes},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:N":                         {no, yes},
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N":      {yes, yes},
		"CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N":      {no, yes},
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:P/VC:L/VI:H/VA:N/SC:N/SI:N/SA:N":      {no, no},
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:A/VC:N/VI:L/VA:N/SC:H/SI:H/SA:H":      {no, no},
		"CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N/AU:Y": {no, no},
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/C:H/I:H/A:H":                        {unknown, unknown},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/VC:H/VI:H":                           {unknown, unknown},
		"CVSS:4.0/AV:N/AC:L/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N":           {unknown, unknown},
		"CVSS:3.1/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N":                              {unknown, unknown},
		"CVSS:3.1/AV:N/PR:N/UI:N/S:U/C:H/I:H/A:N":                              {unknown, unknown},
		"CVSS:3.1/AV:N/AC:L/UI:N/S:U/C:H/I:H/A:N":                              {unknown, unknown},
		"CVSS:3.1/AV:N/AC:L/PR:N/S:U/C:H/I:H/A:N":                              {unknown, unknown},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/I:H/A:N":                             {unknown, unknown},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/A:N":                             {unknown, unknown},
		"CVSS:3.1/AV:N/AC:L":                                                   {unknown, unknown},
		"CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N":                    {unknown, unknown},
		"CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N":                         {unknown, unknown},
		"CVSS:3.1/AV:NN/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N":                        {unknown, unknown},
		"CVSS:3.1/AV:/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N":                          {unknown, unknown},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:P/S:U/C:H/I:H/A:N":                         {unknown, unknown},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N/":                        {unknown, unknown},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/:U/C:H/I:H/A:N":                          {unknown, unknown},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:/C:H/I:H/A:N":                          {unknown, unknown},
		"AV:N/AC:L/Au:N/C:C/I:C/A:C":                                           {unknown, unknown},
		"CVSS:2.0/AV:N/AC:L/PR:N/UI:N/C:H/I:H":                                 {unknown, unknown},
		"CVSS:3.1":                                                             {unknown, unknown},
		"":                                                                     {unknown, unknown},
	} {
		a, ti := Estimate(vector)
		if a != want[0] || ti != want[1] {
			t.Errorf("%q: %s, %s, want %v", vector, a, ti, want)
		}
	}
}

// A value that the metric does not have breaks the vector, whichever metric it is.
func TestEstimateRefusesUnknownValues(t *testing.T) {
	for _, vector := range []string{estimates[1], estimates[3]} {
		parts := strings.Split(vector, "/")
		for i, part := range parts[1:] {
			name, _, _ := strings.Cut(part, ":")
			odd := slices.Clone(parts)
			odd[i+1] = name + ":~"
			a, ti := Estimate(strings.Join(odd, "/"))
			read := slices.Contains([]string{"AV", "AC", "AT", "PR", "UI", "VC", "VI", "C", "I"}, name)
			if a.Known() == read || ti.Known() == read {
				t.Errorf("%v: %s, %s", odd, a, ti)
			}
		}
	}
}

func TestPickVector(t *testing.T) {
	v := func(source, value string) Fact { return Fact{Source: source, Value: value} }
	good := "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N"
	for name, c := range map[string]struct {
		in   []Fact
		want Fact
	}{
		"none":                      {nil, Fact{}},
		"by source":                 {[]Fact{v("other", good), v("ghsa", good), v("nvd", good), v("cisa", good), v("CNA", good)}, v("CNA", good)},
		"cisa before nvd":           {[]Fact{v("nvd", good), v("cisa", good)}, v("cisa", good)},
		"nvd before ghsa":           {[]Fact{v("ghsa", good), v("nvd", good)}, v("nvd", good)},
		"ghsa before others":        {[]Fact{v("vendor", good), v("ghsa", good)}, v("ghsa", good)},
		"what can be read":          {[]Fact{v("cna", "AV:N/AC:L/Au:N/C:C/I:C/A:C"), v("ghsa", good)}, v("ghsa", good)},
		"what cannot, as it stands": {[]Fact{v("ghsa", "?"), v("cna", "AV:N")}, v("cna", "AV:N")},
	} {
		if got := PickVector(c.in...); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestSeverity(t *testing.T) {
	f := func(v string) Fact { return Fact{Value: v, Source: v + "!"} }
	for _, c := range []struct {
		said []Fact
		want string
	}{
		{nil, ""}, {[]Fact{f(""), f("unknown"), f("HIGH")}, ""}, {[]Fact{f("low"), f("critical"), f("high")}, "critical"},
		{[]Fact{f("medium"), f("high")}, "high"}, {[]Fact{f("none"), f("")}, "none"}, {[]Fact{f("low"), f("medium")}, "medium"},
		{[]Fact{f("none"), f("low")}, "low"},
	} {
		if got := HighestSeverity(c.said...); got.Value != c.want || c.want == "" && got != (Fact{}) {
			t.Errorf("%v: %q, want %q", c.said, got.Value, c.want)
		}
	}
	for vector, want := range map[string]string{
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H":                    "critical",
		"CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N":                    "critical",
		"CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:L/I:L/A:N":                    "medium",
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N":                    "none",
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N": "critical",
		"CVSS:4.0/AV:P/AC:H/AT:P/PR:H/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N": "low",
		"CVSS:3.1/AV:N/AC:L": "", "AV:N/AC:L/Au:N/C:C/I:C/A:C": "", "CVSS:3.0/": "", "CVSS:4.0/": "", "": "",
	} {
		if got := BaseSeverity(vector); got != want {
			t.Errorf("%q: %q, want %q", vector, got, want)
		}
	}
	for _, c := range []struct {
		level, sarif string
		tag          bool
		want         string
		decided      bool
	}{
		{"critical", "note", true, "critical", true}, {"low", "", false, "low", true}, {"", "error", true, "high", true},
		{"", "warning", true, "medium", true}, {"", "note", true, "low", true}, {"", "", true, "unknown", true},
		{"", "error", false, "", false}, {"", "", false, "", false},
	} {
		if got, decided := CodeSeverity(c.level, c.sarif, c.tag); got != c.want || decided != c.decided {
			t.Errorf("%+v: %q %v", c, got, decided)
		}
	}
}

// A proof of concept that Defender has verified is possible, no more.
func TestThreat(t *testing.T) {
	p := DefaultPolicy()
	for words, want := range map[string]string{
		"": "none", "verified=yes": "possible", "exploitation=poc": "possible", "epss=0.03": "possible", "epss=0.0299": "none",
		"epss=0.0999": "possible", "epss=0.1": "likely", "exploit_kit=yes": "likely", "exploitation=active": "exploited",
		"kev=yes": "exploited", "kev=yes epss=0": "exploited", "exploitation=none verified=no exploit_kit=no kev=no": "none",
	} {
		in := given(Vuln, words)
		if got := threatNames[threat(&in, p)]; got != want {
			t.Errorf("%q: %s, want %s", words, got, want)
		}
	}
}

// Outside the lists means unknown, and unknown never lowers.
func TestValuesOutsideTheListsAreUnknown(t *testing.T) {
	p := DefaultPolicy()
	odd := given(Vuln, "kev=no epss=0.25 automatable=no impact=total")
	known := odd
	odd.Severity.Value, odd.Internet.Value, odd.EPSS.Value = "?", "?", "0.25"
	known.Severity.Value, known.Internet.Value = "unknown", "unknown"
	if a, b := Decide(odd, p), Decide(known, p); a.Tier != b.Tier || a.Score != b.Score {
		t.Errorf("%+v\n%+v", a, b)
	}
	for _, v := range []string{"?", "-3", "99999999999999999999"} {
		odd := given(Vuln, "")
		odd.Workloads.Value, odd.EPSS.Value = v, "often"
		if d := Decide(odd, p); d.Terms.Workloads != 0 || d.Terms.Threat != 0 {
			t.Errorf("workloads %q: %+v", v, d.Terms)
		}
	}
}

func TestSecret(t *testing.T) {
	p := DefaultPolicy()
	for words, want := range map[string]string{
		"validity=active": "P0 S1 3d", "validity=active leaked=yes": "P0 S1 3d+triage", "validity=active sensitive=yes": "P0 S1 3d",
		"validity=unknown": "P2 S2 60d", "": "P2 S2 60d", "leaked=yes": "P1 S2 14d", "sensitive=yes": "P1 S2 14d", "critical=yes": "P1 S2 14d",
		"sensitive=yes critical=yes": "P1 S2 14d", "leaked=yes critical=yes": "P0 S2 3d", "lateral=yes internet=yes": "P2 S2 60d",
		"validity=inactive": "P4 S3 none", "validity=inactive leaked=yes sensitive=yes": "P4 S3 none",
	} {
		if d := Decide(given(Secret, words), p); string(d.Tier)+" "+d.Rule+" "+d.Due != want {
			t.Errorf("%q: %s %s %s, want %s", words, d.Tier, d.Rule, d.Due, want)
		}
	}
}

// Each rule inside R8, one tier slower and without triage.
func TestUnknownDeployment(t *testing.T) {
	p := DefaultPolicy()
	for words, want := range map[string]string{
		"kev=yes automatable=yes impact=total": "P1 R8/R1 14d", "automatable=no impact=partial severity=low": "P4 R8/R1 none",
		"severity=low": "P3 R8/R1u upgrade", "epss=0.2 automatable=no impact=partial internet=yes lateral=yes": "P1 R8/R2 14d",
		"kev=yes automatable=no impact=partial critical=yes": "P1 R8/R3 14d", "automatable=no impact=partial internet=yes lateral=yes": "P2 R8/R4 60d",
		"epss=0.2 automatable=no impact=partial lateral=yes": "P2 R8/R5 60d", "automatable=no impact=partial lateral=yes": "P3 R8/R6 upgrade",
		"epss=0.2 automatable=no impact=partial severity=low": "P3 R8/R7 upgrade",
	} {
		d := Decide(given(Vuln, "running=unknown "+words), p)
		if string(d.Tier)+" "+d.Rule+" "+d.Due != want || d.Triage || d.Fired[len(d.Fired)-1] != (Fired{"R8", d.Tier}) {
			t.Errorf("%q: %s %s %s %v, want %s", words, d.Tier, d.Rule, d.Due, d.Fired, want)
		}
	}
}

// Code is decided without a threat, and gives total control by its weakness only.
func TestCode(t *testing.T) {
	p := DefaultPolicy()
	for words, want := range map[string]string{
		"severity=medium cwe=CWE-078 internet=yes":          "P1 R1",
		"severity=medium cwe=CWE-079 internet=yes":          "P2 R1",
		"severity=medium cwe=CWE-079":                       "P3 R1",
		"severity=medium cwe=CWE-079;CWE-1336 internet=yes": "P1 R1",
		"severity=medium cwe=CWE-79 sensitive=yes":          "P3 R1",
		"severity=medium cwe=CWE-89 sensitive=yes":          "P2 R6",
		"kev=yes epss=1 severity=medium cwe=CWE-79":         "P3 R1",
	} {
		if d := Decide(given(Code, words), p); string(d.Tier)+" "+d.Rule != want {
			t.Errorf("%q: %s %s, want %s", words, d.Tier, d.Rule, want)
		}
	}
}

// The explanation of the specification, key by key.
func TestExplanationJSON(t *testing.T) {
	in := given(Vuln, "kev=no exploitation=none epss=0.25 severity=high automatable=no impact=total sensitive=yes")
	in.Finding, in.Workload = "github-4711-dependabot-88", "w-1"
	in.Sensitive = Fact{Value: "yes", Source: `mdc riskFactors "Sensitive Data"`, At: epoch}
	in.Feeds = Feeds{EPSS: Feed{Version: "2026-08-31/v4"}, KEV: Feed{Version: "2026.08.31"}, Vulnrichment: Feed{Version: "abc"}}
	e := Explain(in, DefaultPolicy())
	e.Published = PublishedAt([]TierChange{{At: epoch, Tier: graph.P1}}, epoch, DefaultPolicy().Hold())
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"finding":"github-4711-dependabot-88","workload":"w-1","tier":"P1","rule":"R5","score":699,"due":"14d","triage":false,`,
		`"table":{"kev":"no","exposed":"no","automatable":"no","impact":"total","timeline":"upgrade"},`,
		`"fired":[{"rule":"R1","tier":"P3"},{"rule":"R5","tier":"P1"},{"rule":"R6","tier":"P2"},{"rule":"R7","tier":"P2"}],`,
		`"sensitive":{"value":"yes","source":"mdc riskFactors \"Sensitive Data\"","at":"2026-09-01T04:00:00Z"}`,
		`"terms":{"base":600,"threat":50,"severity":30,"internet":0,"sensitive":18,"critical":0,"lateral":0,"workloads":1},`,
		`"range":{"best":"P1","worst":"P1"},"needs_evidence":[],"awaiting_data":[],`,
		`"without_r0":"P1"`,
		`"flips":[{"fact":"threat","to":"none","tier":"P2"},{"fact":"threat","to":"possible","tier":"P2"},{"fact":"threat","to":"exploited","tier":"P0"},` +
			`{"fact":"internet","to":"yes","tier":"P0"},{"fact":"sensitive","to":"no","tier":"P2"},{"fact":"running","to":"no","tier":"P4"}],`,
		`"published":{"tier":"P1","since":"2026-09-01","computed":"P1"},"data":{"policy":"` + DefaultPolicy().Hash() + `","epss":"2026-08-31/v4","kev":"2026.08.31","vulnrichment":"abc"}}`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}
