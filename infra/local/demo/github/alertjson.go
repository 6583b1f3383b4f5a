package github

import (
	"encoding/json"
	"fmt"
	"strings"

	"throughline/infra/local/demo/estate"
)

// alertForm says in which of its forms an alert is rendered.
type alertForm struct {
	list       bool // in a list
	repository bool // with its repository, as organisation lists have it
	hook       bool // in a webhook, which leaves things out
	hideSecret bool
}

// alertJSON renders an alert in one of the forms of its kind. The caller holds s.mu.
func (s *Server) alertJSON(a *alert, f alertForm) any {
	var repository json.RawMessage
	if f.repository {
		repository = s.shortRepository(a.Repo)
	}
	switch a.Kind {
	case estate.CodeScanning:
		return s.codeAlertJSON(a, f, repository)
	case estate.Dependabot:
		return s.dependabotAlertJSON(a, repository)
	}
	return s.secretAlertJSON(a, f, repository)
}

// alertLinks gives the API and the page address of an alert.
func (s *Server) alertLinks(a *alert) (api, html string) {
	full := s.fullName(a.Repo)
	page := map[estate.Kind]string{estate.CodeScanning: "code-scanning", estate.Dependabot: "dependabot", estate.SecretScanning: "secret-scanning"}[a.Kind]
	return fmt.Sprintf("%s/repos/%s/%s/alerts/%d", s.base, full, a.Kind.Slug(), a.Number), fmt.Sprintf("https://github.com/%s/security/%s/%d", full, page, a.Number)
}

type ruleJSON struct {
	ID               string   `json:"id"`
	Name             string   `json:"name,omitempty"`
	Severity         string   `json:"severity"`
	SecuritySeverity *string  `json:"security_severity_level,omitempty"`
	Description      string   `json:"description"`
	FullDescription  string   `json:"full_description,omitempty"`
	Tags             []string `json:"tags"`
	Help             string   `json:"help,omitempty"`
	HelpURI          string   `json:"help_uri,omitempty"`
}

type codeAlertJSON struct {
	Number            int             `json:"number"`
	CreatedAt         string          `json:"created_at"`
	UpdatedAt         string          `json:"updated_at"`
	URL               string          `json:"url"`
	HTMLURL           string          `json:"html_url"`
	State             string          `json:"state"`
	FixedAt           *string         `json:"fixed_at"`
	DismissedBy       any             `json:"dismissed_by"`
	DismissedAt       *string         `json:"dismissed_at"`
	DismissedReason   *string         `json:"dismissed_reason"`
	DismissedComment  *string         `json:"dismissed_comment"`
	Rule              ruleJSON        `json:"rule"`
	Tool              any             `json:"tool"`
	Instance          any             `json:"most_recent_instance"`
	InstancesURL      string          `json:"instances_url,omitempty"`
	Repository        json.RawMessage `json:"repository,omitempty"`
	Assignees         []any           `json:"assignees"`
	DismissalApproved any             `json:"dismissal_approved_by"`
}

func (s *Server) codeAlertJSON(a *alert, f alertForm, repository json.RawMessage) any {
	r := a.Rule()
	api, html := s.alertLinks(a)
	out := codeAlertJSON{
		Number: a.Number, CreatedAt: stamp(a.Created), UpdatedAt: stamp(a.Updated), URL: api, HTMLURL: html, State: a.State, InstancesURL: api + "/instances",
		Rule:       ruleJSON{ID: r.ID, Name: r.Name, Severity: r.Severity, Description: r.Description, FullDescription: r.Description + ".", Tags: r.Tags},
		Tool:       map[string]any{"name": r.Tool, "guid": nil, "version": "2.23.3"},
		Instance:   s.instanceJSON(a),
		Repository: repository, Assignees: s.usersJSON(a.Assignees),
	}
	if !f.hook && r.SecuritySeverity != "" {
		out.Rule.SecuritySeverity = &r.SecuritySeverity // the webhook schema has no such field
	}
	if !f.list && !f.hook {
		out.Rule.Help, out.Rule.HelpURI = "# "+r.Description+"\n"+r.Message, "https://codeql.github.com/codeql-query-help/"
	}
	switch a.State {
	case "fixed":
		out.FixedAt = stampOrNull(a.Closed)
	case "dismissed":
		out.DismissedBy, out.DismissedAt, out.DismissedReason = s.userJSON(a.ClosedBy), stampOrNull(a.Closed), orNull(a.Reason)
		out.DismissedComment = orNull(a.Comment)
	}
	return out
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (s *Server) instanceJSON(a *alert) any {
	analysis := ".github/workflows/codeql.yml:analyze"
	state := "open" // an instance knows of no dismissal
	if a.State == "fixed" {
		state = "fixed"
	}
	return map[string]any{
		"ref": "refs/heads/main", "analysis_key": analysis, "category": analysis + "/language:" + strings.ToLower(s.world.Repositories[a.Repo].Language),
		"environment": "{}", "state": state, "commit_sha": s.world.Commit(a.Repo, a.Commit), "message": map[string]string{"text": a.Rule().Message},
		"location":        map[string]any{"path": a.Path, "start_line": a.Line, "end_line": a.Line, "start_column": 7, "end_column": 18},
		"classifications": classifications(a.Path),
	}
}

func classifications(path string) []string {
	if strings.HasPrefix(path, "test/") {
		return []string{"test"}
	}
	return []string{}
}

type packageJSON struct {
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
}

type scoreJSON struct {
	Vector *string `json:"vector_string"`
	Score  float64 `json:"score"`
}

type vulnerabilityJSON struct {
	Package  packageJSON       `json:"package"`
	Severity string            `json:"severity"`
	Range    string            `json:"vulnerable_version_range"`
	Patched  map[string]string `json:"first_patched_version"`
}

type advisoryJSON struct {
	GHSA            string              `json:"ghsa_id"`
	CVE             *string             `json:"cve_id"`
	Summary         string              `json:"summary"`
	Description     string              `json:"description"`
	Severity        string              `json:"severity"`
	Classification  string              `json:"classification"`
	Identifiers     []map[string]string `json:"identifiers"`
	References      []map[string]string `json:"references"`
	Published       string              `json:"published_at"`
	Updated         string              `json:"updated_at"`
	Withdrawn       *string             `json:"withdrawn_at"`
	Vulnerabilities []vulnerabilityJSON `json:"vulnerabilities"`
	CVSS            scoreJSON           `json:"cvss"`
	Severities      map[string]any      `json:"cvss_severities"`
	EPSS            map[string]float64  `json:"epss,omitempty"`
	CWEs            []map[string]string `json:"cwes"`
}

type dependabotAlertJSON struct {
	Number           int               `json:"number"`
	State            string            `json:"state"`
	Dependency       any               `json:"dependency"`
	Advisory         advisoryJSON      `json:"security_advisory"`
	Vulnerability    vulnerabilityJSON `json:"security_vulnerability"`
	URL              string            `json:"url"`
	HTMLURL          string            `json:"html_url"`
	CreatedAt        string            `json:"created_at"`
	UpdatedAt        string            `json:"updated_at"`
	DismissedAt      *string           `json:"dismissed_at"`
	DismissedBy      any               `json:"dismissed_by"`
	DismissedReason  *string           `json:"dismissed_reason"`
	DismissedComment *string           `json:"dismissed_comment"`
	FixedAt          *string           `json:"fixed_at"`
	AutoDismissedAt  *string           `json:"auto_dismissed_at"`
	Assignees        []any             `json:"assignees"`
	Repository       json.RawMessage   `json:"repository,omitempty"`
}

func (s *Server) dependabotAlertJSON(a *alert, repository json.RawMessage) any {
	adv := a.Advisory()
	api, html := s.alertLinks(a)
	v := vulnerability(adv)
	out := dependabotAlertJSON{
		Number: a.Number, State: a.State, Advisory: s.advisoryJSON(adv, v), Vulnerability: v, URL: api, HTMLURL: html, CreatedAt: stamp(a.Created),
		UpdatedAt: stamp(a.Updated), Assignees: s.usersJSON(a.Assignees), Repository: repository,
		Dependency: map[string]any{"package": v.Package, "manifest_path": a.Path, "scope": a.Scope, "relationship": a.Relationship},
	}
	switch a.State {
	case "fixed":
		out.FixedAt = stampOrNull(a.Closed)
	case "auto_dismissed":
		out.AutoDismissedAt = stampOrNull(a.Closed)
	case "dismissed":
		out.DismissedAt, out.DismissedBy, out.DismissedReason = stampOrNull(a.Closed), s.userJSON(a.ClosedBy), orNull(a.Reason)
		out.DismissedComment = orNull(a.Comment)
	}
	return out
}

func vulnerability(adv estate.Advisory) vulnerabilityJSON {
	v := vulnerabilityJSON{Package: packageJSON{adv.Ecosystem, adv.Package}, Severity: adv.Severity, Range: adv.Range}
	if adv.Fixed != "" {
		v.Patched = map[string]string{"identifier": adv.Fixed}
	}
	return v
}

func (s *Server) advisoryJSON(adv estate.Advisory, v vulnerabilityJSON) advisoryJSON {
	out := advisoryJSON{
		GHSA: adv.GHSA, CVE: orNull(adv.CVE), Summary: adv.Summary, Description: adv.Summary + ".\n\nUpgrade to a fixed version.", Severity: adv.Severity,
		Classification: "general", Identifiers: []map[string]string{{"type": "GHSA", "value": adv.GHSA}},
		References: []map[string]string{{"url": "https://github.com/advisories/" + adv.GHSA}}, Vulnerabilities: []vulnerabilityJSON{v},
		Published: stamp(s.world.Epoch.AddDate(-1, -2, 0)), Updated: stamp(s.world.Epoch.AddDate(0, -1, 0)), CVSS: scoreJSON{&adv.Vector, adv.Score},
		CWEs: []map[string]string{{"cwe_id": adv.CWE, "name": adv.CWE}},
	}
	if adv.Malware {
		out.Classification = "malware"
	}
	if adv.CVE != "" {
		out.Identifiers = append(out.Identifiers, map[string]string{"type": "CVE", "value": adv.CVE})
		out.References = append(out.References, map[string]string{"url": "https://nvd.nist.gov/vuln/detail/" + adv.CVE})
		out.EPSS = map[string]float64{"percentage": adv.EPSS, "percentile": min(0.5+adv.EPSS/2, 0.999)}
	}
	out.Severities = map[string]any{"cvss_v3": scoreJSON{&adv.Vector, adv.Score}, "cvss_v4": scoreJSON{orNull(adv.Vector4), adv.Score4}}
	return out
}

type secretAlertJSON struct {
	Number        int             `json:"number"`
	CreatedAt     string          `json:"created_at"`
	UpdatedAt     string          `json:"updated_at"`
	URL           string          `json:"url"`
	HTMLURL       string          `json:"html_url"`
	LocationsURL  string          `json:"locations_url"`
	State         string          `json:"state,omitempty"` // webhooks leave it out
	Type          string          `json:"secret_type"`
	TypeName      string          `json:"secret_type_display_name"`
	Provider      string          `json:"provider"`
	ProviderSlug  string          `json:"provider_slug"`
	Secret        string          `json:"secret,omitempty"`
	Validity      string          `json:"validity"`
	Leaked        bool            `json:"publicly_leaked"`
	MultiRepo     bool            `json:"multi_repo"`
	Base64        bool            `json:"is_base64_encoded"`
	Resolution    *string         `json:"resolution"`
	ResolvedAt    *string         `json:"resolved_at"`
	ResolvedBy    any             `json:"resolved_by"`
	Comment       *string         `json:"resolution_comment"`
	Bypassed      bool            `json:"push_protection_bypassed"`
	BypassedBy    any             `json:"push_protection_bypassed_by"`
	BypassedAt    *string         `json:"push_protection_bypassed_at"`
	AssignedTo    any             `json:"assigned_to"`
	FirstLocation any             `json:"first_location_detected,omitempty"`
	MoreLocations bool            `json:"has_more_locations"`
	Repository    json.RawMessage `json:"repository,omitempty"`
}

func (s *Server) secretAlertJSON(a *alert, f alertForm, repository json.RawMessage) any {
	t := a.SecretType()
	api, html := s.alertLinks(a)
	out := secretAlertJSON{
		Number: a.Number, CreatedAt: stamp(a.Created), UpdatedAt: stamp(a.Updated), URL: api, HTMLURL: html, LocationsURL: api + "/locations",
		State: a.State, Type: t.Type, TypeName: t.Name, Provider: t.Provider, ProviderSlug: t.Slug, Validity: a.Validity, Leaked: a.Leaked, MultiRepo: a.MultiRepo,
		Repository: repository, FirstLocation: s.locationJSON(a),
	}
	if a.State == "resolved" {
		out.Resolution, out.ResolvedAt, out.ResolvedBy, out.Comment = orNull(a.Reason), stampOrNull(a.Closed), s.userJSON(a.ClosedBy), orNull(a.Comment)
	}
	if len(a.Assignees) > 0 {
		out.AssignedTo = s.userJSON(a.Assignees[0])
	}
	if f.hook {
		out.State, out.FirstLocation = "", nil
	}
	if !f.hook && !f.hideSecret {
		out.Secret = s.world.Secret(a.Alert)
	}
	return out
}

func (s *Server) locationJSON(a *alert) any {
	sha := s.world.Commit(a.Repo, a.Commit)
	api := s.base + "/repos/" + s.fullName(a.Repo) + "/git"
	return map[string]any{
		"path": a.Path, "start_line": a.Line, "end_line": a.Line, "start_column": 1, "end_column": 64, "blob_sha": sha, "blob_url": api + "/blobs/" + sha,
		"commit_sha": sha, "commit_url": api + "/commits/" + sha,
	}
}
