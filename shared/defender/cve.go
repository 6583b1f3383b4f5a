package defender

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"throughline/shared/graph"
)

// cveDetail is one vulnerability: named only, described in place, or as its own row of microsoft.security/cvedetails.
type cveDetail struct {
	CveID                 text              `json:"CveId"`
	Severity              text              `json:"Severity"`
	Status                text              `json:"status"`
	Cvss                  vectors           `json:"Cvss"`
	ExploitabilityDetails embedded[exploit] `json:"ExploitabilityDetails"`
	References            json.RawMessage   `json:"References"`
	AdditionalIdentifiers json.RawMessage   `json:"AdditionalIdentifiers"`
	Description           json.RawMessage   `json:"Description"`
	ExtendedDescription   json.RawMessage   `json:"ExtendedDescription"`
	CvssSource            json.RawMessage   `json:"CvssSource"`
	PublishedDate         json.RawMessage   `json:"PublishedDate"`
	LastModifiedDate      json.RawMessage   `json:"LastModifiedDate"`
	Weaknesses            json.RawMessage   `json:"Weaknesses"`
	FixStatus             json.RawMessage   `json:"FixStatus"`
	FixedVersion          json.RawMessage   `json:"FixedVersion"`
	Tags                  json.RawMessage   `json:"Tags"`
	DSag                  json.RawMessage   `json:"DSag"`
	Key                   json.RawMessage   `json:"key"`
}

// exploit is what is known of exploits; two of the facts have two names each.
type exploit struct {
	IsInExploitKit        flag `json:"IsInExploitKit"`
	ExploitStepsVerified  flag `json:"ExploitStepsVerified"`
	IsVerified            flag `json:"IsVerified"`
	ExploitStepsPublished flag `json:"ExploitStepsPublished"`
	IsPubliclyDisclosed   flag `json:"IsPubliclyDisclosed"`
	Epss                  embedded[struct {
		Score      number          `json:"Score"`
		Percentile json.RawMessage `json:"Percentile"`
	}] `json:"Epss"`
	ExploitUris json.RawMessage `json:"ExploitUris"`
	ExploitURI  json.RawMessage `json:"ExploitUri"`
	Types       json.RawMessage `json:"Types"`
}

// vectors is the CVSS vector of the newest version that a row holds, as a map or as a list of pairs.
type vectors []string

type cvssValue struct {
	Vector text `json:"cvssVectorString"`
}

// UnmarshalJSON never fails.
func (v *vectors) UnmarshalJSON(raw []byte) error {
	raw = unwrapped(raw)
	versions := map[string]*cvssValue{}
	var pairs []struct {
		Key   text
		Value cvssValue
	}
	if json.Unmarshal(raw, &pairs) == nil {
		for _, p := range pairs {
			versions[p.Key.String()] = &p.Value
		}
	} else if json.Unmarshal(raw, &versions) != nil {
		return nil
	}
	*v = nil
	for _, version := range []string{"4", "3", "2"} {
		for key, value := range versions {
			if strings.HasPrefix(key, version) && value != nil && value.Vector != "" {
				*v = vectors{value.Vector.String()}
				return nil
			}
		}
	}
	return nil
}

var cveForm = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,15}-[A-Z0-9:-]{1,48}$`)

// cveID is the identity in upper case; empty when it is none.
func cveID(s string) string {
	s = strings.ToUpper(strings.TrimSpace(s))
	if !cveForm.MatchString(s) {
		return ""
	}
	return s
}

func (d cveDetail) cve(id string) graph.CVE {
	x := d.ExploitabilityDetails.V
	c := graph.CVE{ID: id, Severity: severity(d.Severity), CVSS: d.Cvss, ExploitKit: x.IsInExploitKit.yes, Verified: x.ExploitStepsVerified.yes || x.IsVerified.yes}
	if score := x.Epss.V.Score; score.known && score.value >= 0 && score.value <= 1 {
		c.EPSS = &score.value
	}
	return c
}

func (d cveDetail) rejected() bool {
	return strings.HasPrefix(strings.ToLower(d.Status.String()), "reject")
}

// cves collects a row's vulnerabilities: those described or named, and those that only the scanner lists.
func (r *reading) cves(s *seenRow) {
	software := s.AdditionalData.V
	byID := map[string]graph.CVE{}
	rejected := map[string]bool{}
	for _, d := range software.CvesDetails.V {
		id := cveID(d.CveID.String())
		if id == "" {
			r.skipped.note("vulnerability without an id")
			continue
		}
		byID[id], rejected[id] = d.cve(id), d.rejected()
	}
	for _, name := range slices.Concat(software.CvesIDs, software.scan().CvesIDs) {
		id := cveID(name)
		if _, known := byID[id]; id != "" && !known {
			byID[id] = graph.CVE{ID: id}
		}
	}
	for id, c := range byID {
		if !rejected[id] {
			s.finding.CVEs = append(s.finding.CVEs, c)
		}
	}
	slices.SortFunc(s.finding.CVEs, func(a, b graph.CVE) int { return cmp.Compare(a.ID, b.ID) })
}

const (
	// detailAge is how long the facts of a vulnerability are taken as read.
	detailAge = time.Hour
	// maxDetails bounds the memory for them.
	maxDetails = 100_000
	// detailBatch bounds the names in one query.
	detailBatch = 400
)

// details remembers vulnerabilities by reference, so that a page that was limited half way goes on where it was.
type details struct {
	mu     sync.Mutex
	byID   map[string]detail
	closed time.Time // nothing is readable: not asked again before
}

type detail struct {
	cve      graph.CVE
	rejected bool
	readAt   time.Time
}

func newDetails() *details { return &details{byID: map[string]detail{}} }

func (d *details) get(id string, now time.Time) (detail, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, ok := d.byID[id]
	return known, ok && now.Sub(known.readAt) < detailAge
}

func (d *details) put(id string, x detail) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.byID) >= maxDetails {
		clear(d.byID)
	}
	d.byID[id] = x
}

func (d *details) isClosed(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now.Before(d.closed)
}

func (d *details) shut(until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = until
}

// describe completes vulnerabilities that the rows only name, and leaves out those that were rejected.
func (r *reading) describe(ctx context.Context, g scopeGroup, seen []*seenRow) error {
	if missing := r.undescribed(seen); len(missing) > 0 && !r.details.isClosed(r.now()) {
		if err := r.readDetails(ctx, g, missing); err != nil {
			return err
		}
	}
	for _, s := range seen {
		s.finding.CVEs = slices.DeleteFunc(s.finding.CVEs, func(c graph.CVE) bool {
			known, ok := r.details.get(c.ID, r.now())
			return ok && known.rejected
		})
		for i, c := range s.finding.CVEs {
			if known, ok := r.details.get(c.ID, r.now()); ok && undetailed(c) {
				s.finding.CVEs[i] = known.cve
			}
		}
	}
	return nil
}

// undetailed tells whether a vulnerability is only named.
func undetailed(c graph.CVE) bool { return c.Severity == "" && len(c.CVSS) == 0 }

func (r *reading) undescribed(seen []*seenRow) []string {
	var missing []string
	for _, s := range seen {
		for _, c := range s.finding.CVEs {
			if _, known := r.details.get(c.ID, r.now()); undetailed(c) && !known {
				missing = append(missing, c.ID)
			}
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// readDetails asks for vulnerabilities by name. They stand at tenant and management-group scope only; a credential that
// may not read there gets nothing and no error.
func (r *reading) readDetails(ctx context.Context, g scopeGroup, ids []string) error {
	g.Subscriptions = nil
	found := 0
	for batch := range chunks(ids, detailBatch) {
		n, err := r.detailBatch(ctx, g, batch)
		if denied := refused(err); denied != nil {
			return r.closeDetails(ctx, denied.Error())
		}
		if err != nil {
			return err
		}
		found += n
	}
	if found > 0 {
		return nil
	}
	probe, err := r.arm.query(ctx, g, "securityresources | where type == 'microsoft.security/cvedetails' | project id | limit 1", "")
	if err != nil && refused(err) == nil {
		return err
	}
	if len(probe.Data) == 0 {
		return r.closeDetails(ctx, "no row at this scope")
	}
	return nil
}

func (r *reading) closeDetails(ctx context.Context, reason string) error {
	r.details.shut(r.now().Add(detailAge))
	r.skipped.note("vulnerability details not readable: want Security Reader on the management group")
	r.log.WarnContext(ctx, "vulnerability details not readable", "reason", reason)
	return nil
}

func (r *reading) detailBatch(ctx context.Context, g scopeGroup, ids []string) (int, error) {
	kql := fmt.Sprintf("securityresources\n| where type == 'microsoft.security/cvedetails'\n| where name in~ (%s)\n| project id, name, type, properties\n| order by id asc", quotedList(ids))
	found := 0
	for token := ""; ; {
		p, err := r.arm.query(ctx, g, kql, token)
		if err != nil {
			return found, err
		}
		for _, raw := range p.Data {
			base := decode[row](raw, "cvedetails", r.skipped)
			d := decode[cveDetail](base.Properties, "cvedetails.properties", r.skipped)
			if id := cveID(or(d.CveID, base.Name).String()); id != "" {
				r.details.put(id, detail{d.cve(id), d.rejected(), r.now()})
				found++
			}
		}
		if token = p.SkipToken; token == "" {
			break
		}
	}
	for _, id := range ids {
		if _, known := r.details.get(id, r.now()); !known {
			r.details.put(id, detail{cve: graph.CVE{ID: id}, readAt: r.now()})
		}
	}
	return found, nil
}
