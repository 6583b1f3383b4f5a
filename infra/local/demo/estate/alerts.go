package estate

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// Alert is one security alert of a repository. Entry is its line in the table of its kind: Rule, Advisory or SecretType.
type Alert struct {
	Kind    Kind
	Repo    int // index into Repositories
	Number  int // counted per repository and kind, as GitHub does
	Entry   int
	State   string // open, fixed, dismissed, auto_dismissed; for secrets open or resolved
	Reason  string // of a dismissal or resolution
	Path    string
	Line    int
	Commit  int // index into the history of the repository
	Created time.Time
	Updated time.Time
	Closed  time.Time // zero while open

	Scope, Relationship string // Dependabot
	Validity            string // secrets
	Leaked, MultiRepo   bool
	Actor               int // who closed it, index into Users
}

// Rule gives the rule of a code scanning alert.
func (a Alert) Rule() Rule { return rules[a.Entry] }

// Advisory gives the advisory of a Dependabot alert.
func (a Alert) Advisory() Advisory { return advisories[a.Entry] }

// SecretType gives the type of a secret scanning alert.
func (a Alert) SecretType() SecretType { return secretTypes[a.Entry] }

// Secret is the value that the demo pretends was found. It fits no real token format, so that no scanner is alarmed.
func (e *Estate) Secret(a Alert) string {
	return fmt.Sprintf("demo-secret-%016x", e.number("secret", a.Repo, a.Number))
}

func (e *Estate) alerts(p plan) {
	for _, k := range Kinds {
		e.Alerts[k] = e.alertsOfKind(p, k)
	}
	e.alertsOf = make([][]int, len(e.Repositories))
	for i, a := range e.Alerts[Dependabot] {
		e.alertsOf[a.Repo] = append(e.alertsOf[a.Repo], i)
	}
}

func (e *Estate) alertsOfKind(p plan, k Kind) []Alert {
	r := e.random("alerts", int(k))
	out := make([]Alert, 0, p.alerts[k])
	seen := map[string]bool{}
	for i := 0; len(out) < p.alerts[k]; i++ {
		a := e.alert(k, i, r.IntN(len(e.Repositories)))
		key := fmt.Sprint(a.Repo, "/", a.Entry, "/", a.Path)
		if k == Dependabot && seen[key] {
			continue // GitHub raises one alert for an advisory and a manifest
		}
		seen[key] = true
		out = append(out, a)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Created.Before(out[j].Created) })
	next := make([]int, len(e.Repositories))
	for i := range out {
		next[out[i].Repo]++
		out[i].Number = next[out[i].Repo]
	}
	return out
}

func (e *Estate) alert(k Kind, i, repo int) Alert {
	r := e.random("alert", int(k), i)
	re := &e.Repositories[repo]
	a := Alert{Kind: k, Repo: repo, State: "open", Actor: r.IntN(len(e.Users)), Line: 3 + r.IntN(400), Commit: re.Commits * (50 + r.IntN(50)) / 100}
	a.Created = e.Epoch.Add(-time.Duration(1+r.IntN(200*24*60)) * time.Minute)
	a.Updated = a.Created
	unit := ""
	if len(re.Units) > 0 {
		unit = pick(r, re.Units)
	}
	switch k {
	case CodeScanning:
		a.Entry = e.entry(r.IntN(1000), len(rules), func(i int) bool { return rules[i].Language == re.Language || rules[i].Language == "" })
		a.Path = sourcePath(re, unit, rules[a.Entry], r.IntN(1000))
	case Dependabot:
		a.Entry = e.entry(r.IntN(1000), len(advisories), func(i int) bool { return advisories[i].Ecosystem == re.Ecosystem })
		a.Path = manifestPath(re, unit, r.IntN(1000))
		a.Scope = []string{"runtime", "runtime", "runtime", "development"}[r.IntN(4)]
		a.Relationship = []string{"direct", "transitive", "unknown"}[r.IntN(3)]
	case SecretScanning:
		a.Entry = r.IntN(len(secretTypes))
		a.Path = unit + pick(r, []string{"config/settings.json", ".env", "deploy/values.yaml", "test/fixtures/keys.txt"})
		a.Validity = pick(r, []string{"active", "active", "inactive", "unknown"})
		a.Leaked, a.MultiRepo = !re.Private && chance(r, 80), chance(r, 20)
	}
	if dice := r.IntN(100); dice < e.plan.closed {
		e.settle(&a, dice, r.IntN(10_000))
	}
	return a
}

// entry picks the n-th fitting line of a table, counting around.
func (e *Estate) entry(n, size int, fits func(int) bool) int {
	var fitting []int
	for i := range size {
		if fits(i) {
			fitting = append(fitting, i)
		}
	}
	return fitting[n%len(fitting)]
}

// settle closes an alert: of twenty, about 12 are fixed and 8 dismissed, and secrets are resolved.
func (e *Estate) settle(a *Alert, dice, when int) {
	switch {
	case a.Kind == SecretScanning:
		a.State, a.Reason = "resolved", []string{"revoked", "false_positive", "wont_fix", "used_in_tests"}[dice%4]
		if a.Reason == "revoked" {
			a.Validity = "inactive"
		}
	case dice < 12:
		a.State = "fixed"
	case a.Kind == CodeScanning:
		a.State, a.Reason = "dismissed", []string{"false positive", "won't fix", "used in tests"}[dice%3]
	case dice == 19:
		a.State = "auto_dismissed"
	default:
		a.State, a.Reason = "dismissed", []string{"tolerable_risk", "not_used", "inaccurate", "no_bandwidth"}[dice%4]
	}
	a.Updated = a.Created.Add(e.Epoch.Sub(a.Created) / 10_000 * time.Duration(when)).Truncate(time.Second)
	a.Closed = a.Updated
}

func sourcePath(re *Repository, unit string, rule Rule, n int) string {
	switch {
	case strings.HasPrefix(rule.ID, "actions/"):
		return []string{".github/workflows/build.yml", ".github/workflows/release.yml"}[n%2]
	case rule.Tool == "Trivy" || rule.Tool == "Checkov":
		return unit + "Dockerfile"
	case rule.Tool != "CodeQL":
		return unit + "docker-compose.yml"
	}
	folder := []string{"src/http", "src/store", "src/jobs", "src/admin"}[n%4]
	file := []string{"handler", "query", "client", "session", "export", "render"}[n%6]
	return unit + folder + "/" + file + "." + languageOf(re).extension
}

func manifestPath(re *Repository, unit string, n int) string {
	l := languageOf(re)
	if l.ecosystem == "actions" {
		return []string{".github/workflows/build.yml", ".github/workflows/release.yml"}[n%2]
	}
	if n%5 == 0 {
		return unit + "tools/" + l.manifest
	}
	return unit + l.manifest
}

// Pattern makes an alert that could be raised in a repository: of the rule, advisory, package or secret type that
// identifier names, or of the first that fits when it is "". State, number and times are left to the caller.
func (e *Estate) Pattern(k Kind, repo int, identifier, path string) (Alert, error) {
	re := &e.Repositories[repo]
	a := Alert{Kind: k, Repo: repo, Entry: -1, Path: path, Line: 1, Commit: re.Commits - 1, Scope: "runtime", Relationship: "direct", Validity: "active"}
	fits := func(n int, ids ...string) bool {
		for _, id := range ids {
			if a.Entry < 0 && (id == identifier || identifier == "") {
				a.Entry = n
			}
		}
		return a.Entry >= 0
	}
	switch k {
	case CodeScanning:
		for n, r := range rules {
			fits(n, r.ID)
		}
	case Dependabot:
		for n, adv := range advisories {
			if identifier != "" || adv.Ecosystem == re.Ecosystem {
				fits(n, adv.GHSA, adv.CVE, adv.Package)
			}
		}
	case SecretScanning:
		for n, t := range secretTypes {
			fits(n, t.Type)
		}
	}
	if a.Entry < 0 {
		return a, fmt.Errorf("no %s entry is named %q", k, identifier)
	}
	if a.Path == "" {
		a.Path = manifestPath(re, "", 1)
	}
	return a, nil
}
