package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// record is a storage or deployment record of an artifact. It is one document of the journal.
type record struct {
	ID      int64     `json:"id"`
	Kind    string    `json:"kind"` // storage or deployment
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	Repo    int       `json:"repo"`
	recordWrite
}

// recordWrite is what callers send; the two kinds share most of it.
type recordWrite struct {
	Name         string            `json:"name"`
	Digest       string            `json:"digest"`
	Version      string            `json:"version,omitempty"`
	Status       string            `json:"status,omitempty"`
	RegistryURL  string            `json:"registry_url,omitempty"`
	ArtifactURL  string            `json:"artifact_url,omitempty"`
	Path         string            `json:"path,omitempty"`
	Repository   string            `json:"repository,omitempty"`
	Logical      string            `json:"logical_environment,omitempty"`
	Physical     string            `json:"physical_environment,omitempty"`
	Cluster      string            `json:"cluster,omitempty"`
	Deployment   string            `json:"deployment_name,omitempty"`
	Tags         map[string]string `json:"tags,omitempty"`
	Risks        []string          `json:"runtime_risks,omitempty"`
	GitHub       string            `json:"github_repository,omitempty"`
	ReturnRecord *bool             `json:"return_records,omitempty"`
}

// key is what a second write updates: environments, cluster and deployment name; for storage the registry and the digest.
func (r *record) key() string {
	if r.Kind == "storage" {
		return strings.Join([]string{"storage", r.Digest, r.RegistryURL, r.Repository, r.Name}, "\x00")
	}
	return strings.Join([]string{"deployment", r.Logical, r.Physical, r.Cluster, r.Deployment}, "\x00")
}

func (s *Server) loadRecords() error {
	return s.journal.Each("record/", func(_ string, raw json.RawMessage) error {
		r := &record{}
		if err := json.Unmarshal(raw, r); err != nil {
			return err
		}
		s.records[r.key()] = r
		s.nextID = max(s.nextID, r.ID)
		return nil
	})
}

var (
	clusterName    = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,128}$`)
	repositoryName = regexp.MustCompile(`^[A-Za-z0-9.\-_]{1,100}$`)
	runtimeRisks   = []string{"critical-resource", "internet-exposed", "lateral-movement", "sensitive-data"}
)

// fault names what is wrong with a record, "" for nothing.
func (p recordWrite) fault(kind string) string {
	long := func(text string, most int) bool { return len(text) > most }
	switch {
	case p.Name == "" || long(p.Name, 256):
		return "name"
	case !validDigest(p.Digest):
		return "digest"
	case long(p.Version, 100):
		return "version"
	case p.GitHub != "" && !repositoryName.MatchString(p.GitHub):
		return "github_repository"
	case kind == "storage" && (!strings.HasPrefix(p.RegistryURL, "https://") || long(p.RegistryURL, 256)):
		return "registry_url"
	case kind == "storage" && (long(p.ArtifactURL, 152) || long(p.Path, 512) || long(p.Repository, 128)):
		return "artifact_url"
	case kind == "storage":
		return unless(slices.Contains([]string{"", "active", "eol", "deleted"}, p.Status), "status")
	case p.Logical == "" || long(p.Logical, 128):
		return "logical_environment"
	case p.Deployment == "" || long(p.Deployment, 256):
		return "deployment_name"
	case long(p.Physical, 128) || long(p.Cluster, 128):
		return "physical_environment"
	case len(p.Tags) > 5:
		return "tags"
	case !risksKnown(p.Risks):
		return "runtime_risks"
	}
	return unless(p.Status == "deployed" || p.Status == "decommissioned", "status")
}

func unless(fine bool, field string) string {
	if fine {
		return ""
	}
	return field
}

func risksKnown(risks []string) bool {
	for i, r := range risks {
		if !slices.Contains(runtimeRisks, r) || slices.Contains(risks[:i], r) {
			return false
		}
	}
	return true
}

// owner finds the repository of a record: an attestation's wins over what the caller says.
func (s *Server) owner(p recordWrite) (int, bool) {
	if img, found := s.attested(p.Digest); found {
		return img.Repo, true
	}
	i, found := s.byName[strings.ToLower(s.world.Org.Login+"/"+p.GitHub)]
	return i, found && p.GitHub != "" && !s.repos[i].Deleted
}

// keep writes a record into the batch. The caller holds s.mu.
func (s *Server) keep(t *tx, kind string, p recordWrite, repo int) *record {
	fresh := &record{Kind: kind, recordWrite: p, Repo: repo, Created: s.now(), Updated: s.now()}
	if fresh.Status == "" {
		fresh.Status = "active"
	}
	if old, found := s.records[fresh.key()]; found {
		fresh.ID, fresh.Created = old.ID, old.Created
	} else {
		fresh.ID = s.id()
	}
	s.records[fresh.key()] = fresh
	t.put(fmt.Sprintf("record/%d", fresh.ID), fresh)
	return fresh
}

func (s *Server) recordJSON(r *record) map[string]any {
	out := map[string]any{"id": r.ID, "digest": r.Digest, "created_at": stamp(r.Created), "updated_at": stamp(r.Updated)}
	if r.Kind == "storage" {
		out["name"], out["registry_url"], out["status"] = r.Name, r.RegistryURL, r.Status
		if r.ArtifactURL != "" {
			out["artifact_url"] = r.ArtifactURL
		}
		if r.Repository != "" {
			out["repository"] = r.Repository
		}
		return out
	}
	out["logical_environment"], out["physical_environment"], out["cluster"] = r.Logical, r.Physical, r.Cluster
	out["deployment_name"], out["tags"], out["runtime_risks"] = r.Deployment, orEmpty(r.Tags), append([]string{}, r.Risks...)
	out["attestation_id"] = nil
	if _, found := s.attested(r.Digest); found {
		out["attestation_id"] = r.ID % 1_000_000
	}
	return out
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func (s *Server) storageRecord(c *call) reply    { return s.oneRecord(c, "storage") }
func (s *Server) deploymentRecord(c *call) reply { return s.oneRecord(c, "deployment") }

func (s *Server) oneRecord(c *call, kind string) reply {
	var p recordWrite
	if bad := c.decode(&p); bad != nil {
		return *bad
	}
	if field := p.fault(kind); field != "" {
		return invalid("ArtifactMetadata", field, "is invalid")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	repo, found := s.owner(p)
	if !found {
		return problem(http.StatusNotFound, "no artifacts found")
	}
	t := &tx{s: s}
	r := s.keep(t, kind, p, repo)
	if err := t.commit(); err != nil {
		return broken(err)
	}
	out := map[string]any{"total_count": 1}
	if p.ReturnRecord == nil || *p.ReturnRecord {
		out[kind+"_records"] = []any{s.recordJSON(r)}
	}
	return ok(out)
}

type clusterWrite struct {
	Logical     string        `json:"logical_environment"`
	Physical    string        `json:"physical_environment"`
	Partial     bool          `json:"partial_success"`
	Return      *bool         `json:"return_records"`
	Deployments []recordWrite `json:"deployments"`
}

// readCluster decodes and checks the body of a cluster call and finds every deployment's repository, -1 where it has none.
func (s *Server) readCluster(c *call, most int) (p clusterWrite, repos []int, missing int, bad *reply) {
	if bad = c.decode(&p); bad != nil {
		return
	}
	cluster := c.r.PathValue("cluster")
	if !clusterName.MatchString(cluster) {
		return p, nil, 0, ptr(invalid("ArtifactMetadata", "cluster", "is invalid"))
	}
	if len(p.Deployments) > most {
		return p, nil, 0, ptr(invalid("ArtifactMetadata", "deployments", fmt.Sprintf("has more than %d items", most)))
	}
	for i := range p.Deployments {
		d := &p.Deployments[i]
		d.Logical, d.Physical, d.Cluster = p.Logical, p.Physical, cluster
		if d.Status == "" {
			d.Status = "deployed"
		}
		if field := d.fault("deployment"); field != "" {
			return p, nil, 0, ptr(invalid("ArtifactMetadata", fmt.Sprintf("deployments[%d].%s", i, field), "is invalid"))
		}
		repo, found := s.owner(*d)
		if !found {
			repo = -1
			missing++
		}
		repos = append(repos, repo)
	}
	return p, repos, missing, nil
}

// clusterRecords writes up to 1,000 deployments. Without partial_success one unknown repository fails the whole call.
func (s *Server) clusterRecords(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, repos, missing, bad := s.readCluster(c, 1000)
	if bad != nil {
		return *bad
	}
	if missing > 0 && !p.Partial {
		return reply{status: http.StatusNotFound, body: map[string]any{"message": "One or more repositories do not exist", "documentation_url": "https://docs.github.com/rest", "status": "404"}}
	}
	t := &tx{s: s}
	records, errors := []any{}, []any{}
	for i, d := range p.Deployments {
		if repos[i] < 0 {
			errors = append(errors, map[string]any{"cause": "not_found", "deployment": deploymentJSON(d)})
			continue
		}
		records = append(records, s.recordJSON(s.keep(t, "deployment", d, repos[i])))
	}
	if err := t.commit(); err != nil {
		return broken(err)
	}
	out := map[string]any{"total_count": len(records)}
	if p.Return == nil || *p.Return {
		out["deployment_records"] = records
	}
	if len(errors) > 0 {
		out["errors"] = errors
		return reply{status: http.StatusMultiStatus, body: out}
	}
	return ok(out)
}

func deploymentJSON(d recordWrite) map[string]any {
	return map[string]any{
		"name": d.Name, "digest": d.Digest, "deployment_name": d.Deployment, "status": d.Status, "version": orNull(d.Version),
		"tags": orEmpty(d.Tags), "runtime_risks": append([]string{}, d.Risks...), "github_repository": orNull(d.GitHub),
	}
}

// clusterJob takes up to 5,000 deployments. The stand-in does the work at once, so that a job is always completed when it
// is asked for; the conflict of two jobs on one cluster therefore needs a fault rule.
func (s *Server) clusterJob(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, repos, _, bad := s.readCluster(c, 5000)
	if bad != nil {
		return *bad
	}
	t := &tx{s: s}
	job := jobState{ID: s.id(), Status: "completed", Errors: []any{}}
	for i, d := range p.Deployments {
		if repos[i] < 0 {
			job.Errors = append(job.Errors, map[string]any{"cause": "not_found", "deployment": deploymentJSON(d)})
			continue
		}
		s.keep(t, "deployment", d, repos[i])
		job.Total++
	}
	t.put(fmt.Sprintf("job/%d", job.ID), job)
	if err := t.commit(); err != nil {
		return broken(err)
	}
	return reply{status: http.StatusAccepted, body: map[string]any{"job_id": job.ID, "errors": []any{}}}
}

type jobState struct {
	ID     int64  `json:"job_id"`
	Status string `json:"status"`
	Total  int    `json:"total_count"`
	Errors []any  `json:"errors"`
}

func (s *Server) getJob(c *call) reply {
	var job jobState
	found, err := s.journal.Get("job/"+c.r.PathValue("job"), &job)
	if err != nil {
		return broken(err)
	}
	if !found {
		return problem(http.StatusNotFound, "Not Found")
	}
	return ok(job)
}

func (s *Server) listRecords(kind string) func(*call) reply {
	return func(c *call) reply {
		s.mu.Lock()
		defer s.mu.Unlock()
		var found []*record
		for _, r := range s.records {
			if r.Kind == kind && r.Digest == c.r.PathValue("digest") {
				found = append(found, r)
			}
		}
		slices.SortFunc(found, func(a, b *record) int { return int(a.ID - b.ID) })
		out := []any{}
		for _, r := range found {
			out = append(out, s.recordJSON(r))
		}
		return ok(map[string]any{"total_count": len(out), kind + "_records": out})
	}
}
