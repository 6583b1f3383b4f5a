package defender

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"throughline/shared/graph"
)

// Rows of every state are read, so that a fix is seen as Healthy and not only as a row that is gone. The type of the
// resource is compared in both spellings that tenants have.
const findingQuery = `securityresources
| where type == 'microsoft.security/assessments'
| where properties.metadata.recommendationCategory =~ 'SoftwareUpdate'
| where tostring(properties.resourceDetails.ResourceType) in~ ('.containerimage', 'K8s-container') or tostring(properties.resourceDetails.resourceType) in~ ('.containerimage', 'K8s-container')
| project ` + columns + `
| order by id asc`

// assessment is a finding of the individual model: one software update of one image or one container.
type assessment struct {
	DisplayName text `json:"displayName"`
	Status      embedded[struct {
		Code                text            `json:"code"`
		Cause               text            `json:"cause"`
		StatusChangeDate    text            `json:"statusChangeDate"`
		FirstEvaluationDate text            `json:"firstEvaluationDate"`
		Description         json.RawMessage `json:"description"`
		Severity            text            `json:"severity"`
	}] `json:"status"`
	ResourceDetails embedded[struct {
		Source       text            `json:"source"`
		ID           text            `json:"id"`
		ResourceType text            `json:"resourceType"`
		ResourceName text            `json:"resourceName"`
		Provider     json.RawMessage `json:"resourceProvider"`
		NativeID     json.RawMessage `json:"nativeResourceId"`
		ConnectorID  json.RawMessage `json:"connectorId"`
	}] `json:"resourceDetails"`
	Metadata embedded[struct {
		Severity               text            `json:"severity"`
		DisplayName            text            `json:"displayName"`
		RecommendationCategory json.RawMessage `json:"recommendationCategory"`
		AssessmentType         json.RawMessage `json:"assessmentType"`
		Categories             json.RawMessage `json:"categories"`
		Description            json.RawMessage `json:"description"`
		RemediationDescription json.RawMessage `json:"remediationDescription"`
		PolicyDefinitionID     json.RawMessage `json:"policyDefinitionId"`
		UserImpact             json.RawMessage `json:"userImpact"`
		ImplementationEffort   json.RawMessage `json:"implementationEffort"`
		Threats                json.RawMessage `json:"threats"`
		Tactics                json.RawMessage `json:"tactics"`
		Techniques             json.RawMessage `json:"techniques"`
		Preview                json.RawMessage `json:"preview"`
	}] `json:"metadata"`
	Risk                   *embedded[risk]           `json:"risk"`
	AdditionalData         embedded[softwareUpdate]  `json:"additionalData"`
	ResourceAdditionalData embedded[scannedResource] `json:"resourceAdditionalData"`
	Links                  json.RawMessage           `json:"links"`
	PartnersData           json.RawMessage           `json:"partnersData"`
}

// softwareUpdate is what is wrong and what mends it. Package type, language and fix status stand in two places.
type softwareUpdate struct {
	SoftwareName    text                       `json:"SoftwareName"`
	CvesDetails     embedded[[]cveDetail]      `json:"CvesDetails"`
	MaxCvssScore    json.RawMessage            `json:"MaxCvssScore"`
	ScannersDetails embedded[map[string]facts] `json:"ScannersDetails"`
	facts
	kubernetes
}

type facts struct {
	DetectedSoftwareVersions texts           `json:"DetectedSoftwareVersions"`
	FixedVersion             text            `json:"FixedVersion"`
	CvesIDs                  texts           `json:"CvesIds"`
	PackageType              text            `json:"PackageType"`
	Language                 text            `json:"Language"`
	Category                 text            `json:"category"`
	FixStatus                json.RawMessage `json:"FixStatus"`
}

// scannedResource is the image, and for a running container its place in the cluster.
type scannedResource struct {
	Digest            text `json:"Digest"`
	ImageURI          text `json:"ImageUri"`
	RepositoryDetails embedded[struct {
		RepositoryName text            `json:"RepositoryName"`
		RegistryHost   text            `json:"RegistryHost"`
		LastPushed     json.RawMessage `json:"LastPushedToRegistryUTC"`
	}] `json:"RepositoryDetails"`
	LastPushed json.RawMessage `json:"LastPushedToRegistryUTC"`
	kubernetes
}

// kinds of rows.
const (
	imageRow     = ".containerimage"
	containerRow = "k8s-container"
)

// seenRow is one assessment with what was made of it.
type seenRow struct {
	row
	assessment
	finding graph.RuntimeFinding
	risk    risk
	rated   bool // the row carries a risk
}

// findings turns assessments into runtime findings, containers and readings.
func (r *reading) findings(ctx context.Context, g scopeGroup, rows []json.RawMessage) error {
	var seen []*seenRow
	for _, raw := range rows {
		if s := r.assessmentRow(raw); s != nil {
			seen = append(seen, s)
		}
	}
	if err := r.describe(ctx, g, seen); err != nil {
		return err
	}
	onPaths, err := r.pathsOf(ctx, g, seen)
	if err != nil {
		return err
	}
	r.containers(seen, onPaths)
	r.images(seen)
	for _, s := range seen {
		s.finding.Scope = r.scopeID
		r.out.Observation.RuntimeFindings = append(r.out.Observation.RuntimeFindings, s.finding)
		r.see(graph.KindRuntimeFinding, string(s.finding.Digest)+"|"+string(s.finding.ID))
	}
	return nil
}

// assessmentRow reads one row; nil when it cannot be a finding.
func (r *reading) assessmentRow(raw json.RawMessage) *seenRow {
	base := decode[row](raw, "", r.skipped)
	s := &seenRow{row: base, assessment: decode[assessment](base.Properties, "properties", r.skipped)}
	kind := strings.ToLower(s.ResourceDetails.V.ResourceType.String())
	if kind != imageRow && kind != containerRow {
		r.skipped.note("assessed resource type not understood: " + kind)
		return nil
	}
	d, ok := s.digest()
	if !ok {
		r.skipped.note("assessment without a digest")
		return nil
	}
	id, ok := findingID(base.ID.String(), base.Name.String())
	if !ok {
		r.skipped.note("assessment without an id")
		return nil
	}
	if s.Risk != nil {
		s.risk, s.rated = s.Risk.V, true
	}
	s.finding = s.runtimeFinding(id, d)
	r.cves(s)
	return s
}

// findingID is `runtime-`, the assessment's own name and 8 hex digits that stand for the assessed resource: Defender may
// use one name for the same recommendation on many resources.
func findingID(id, name string) (graph.FindingID, bool) {
	if !assessmentName.MatchString(name) || id == "" {
		return "", false
	}
	return graph.FindingID("runtime-" + strings.ToLower(name) + "-" + pathHash(id)), true
}

var assessmentName = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// pathHash is short and the same for every spelling of a resource id.
func pathHash(id string) string {
	return strings.TrimPrefix(string(graph.NewWorkloadID(id)), "w-")[:8]
}

var digestInID = regexp.MustCompile(`(?i)sha256:[0-9a-f]{64}`)

// digest is that of the scanned image, wherever the row holds it.
func (s *seenRow) digest() (graph.Digest, bool) {
	image := s.ResourceAdditionalData.V
	if d, err := graph.ParseDigest(strings.TrimSpace(image.Digest.String())); err == nil {
		return d, true
	}
	for _, place := range []string{image.ImageURI.String(), s.ResourceDetails.V.ID.String(), s.ID()} {
		if d, err := graph.ParseDigest(digestInID.FindString(place)); err == nil {
			return d, true
		}
	}
	return "", false
}

// ID is the assessment's resource id.
func (s *seenRow) ID() string { return s.row.ID.String() }

func (s *seenRow) isImage() bool {
	return strings.EqualFold(s.ResourceDetails.V.ResourceType.String(), imageRow)
}

func (s *seenRow) runtimeFinding(id graph.FindingID, d graph.Digest) graph.RuntimeFinding {
	software, state := s.AdditionalData.V, s.Status.V
	scan := software.scan()
	f := graph.RuntimeFinding{
		ID: id, Assessment: strings.ToLower(s.ID()), Title: or(s.DisplayName, s.Metadata.V.DisplayName).String(), Digest: d, Image: s.image(),
		Software: software.SoftwareName.String(), Versions: firstOf(software.DetectedSoftwareVersions, scan.DetectedSoftwareVersions),
		FixedIn: or(software.FixedVersion, scan.FixedVersion).String(),
		Package: strings.ToLower(or(software.PackageType, scan.PackageType, software.Language, scan.Language, software.Category, scan.Category).String()),

		Severity: severity(or(s.Metadata.V.Severity, state.Severity)), RiskLevel: s.risk.Level.String(),
		RiskFactors: s.risk.RiskFactors, Contextual: s.risk.IsContextualRisk.pointer(),
		State: stateOf(state.Code), FirstSeen: state.FirstEvaluationDate.time(), UpdatedAt: state.StatusChangeDate.time(),
	}
	if f.Software == "" {
		f.Software, _ = strings.CutPrefix(f.Title, "Update ")
	}
	if f.State == graph.Dismissed {
		f.Reason = state.Cause.String()
	}
	if strings.EqualFold(f.Reason, exempted) {
		f.State, f.Exempt = graph.Open, true
	}
	if f.UpdatedAt.IsZero() {
		f.UpdatedAt = f.FirstSeen
	}
	return f
}

// exempted is the cause of a row that an exemption covers: the flaw is there, and somebody said that it may wait.
const exempted = "Exempt"

// scan is the first scanner's word: Defender's registry scan, then its scan of what was first seen running.
func (u softwareUpdate) scan() facts {
	scanners := u.ScannersDetails.V
	names := make([]string, 0, len(scanners))
	for name := range scanners {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return strings.Compare(scannerRank(a)+a, scannerRank(b)+b)
	})
	if len(names) == 0 {
		return facts{}
	}
	return scanners[names[0]]
}

func scannerRank(name string) string {
	switch strings.ToLower(name) {
	case "mdvm":
		return "0"
	case "agentlessmdvm":
		return "1"
	}
	return "2"
}

// image is the reference as the row writes it.
func (s *seenRow) image() string {
	image := s.ResourceAdditionalData.V
	repository := image.RepositoryDetails.V
	if image.ImageURI != "" || repository.RepositoryName == "" {
		return image.ImageURI.String()
	}
	return strings.TrimPrefix(repository.RegistryHost.String()+"/"+repository.RepositoryName.String(), "/")
}

func stateOf(code text) graph.AlertState {
	switch strings.ToLower(code.String()) {
	case "healthy":
		return graph.Fixed
	case "notapplicable":
		return graph.Dismissed
	}
	return graph.Open
}

// severity is critical, high, medium or low; empty when Defender does not know.
func severity(t text) string {
	s := strings.ToLower(t.String())
	if slices.Contains([]string{"critical", "high", "medium", "low"}, s) {
		return s
	}
	return ""
}

// or is the first text that is not empty.
func or(candidates ...text) text {
	for _, c := range candidates {
		if c != "" {
			return c
		}
	}
	return ""
}

func firstOf(candidates ...texts) []string {
	for _, c := range candidates {
		if len(c) > 0 {
			return c
		}
	}
	return nil
}
