package correlate

import (
	"cmp"
	"context"
	"fmt"

	"throughline/shared/graph"
)

// alert ties an alert of GitHub into its finding.
func (t *tie) alert(ctx context.Context, a graph.Alert) error {
	repository, kind, number, ok := graph.ParseAlertID(a.ID)
	if !ok || repository != a.Repository || kind != a.Kind || number != a.Number {
		return fmt.Errorf("alert %q: not the identity of %s %s %d", a.ID, a.Repository, a.Kind, a.Number)
	}
	now, changed, err := graph.Update(ctx, t.Store, graph.FindingKey(a.Repository, a.ID), graph.KindFinding, func(old graph.Versioned[graph.Finding]) (graph.Finding, bool, error) {
		next := old.Value
		merged := mergeAlert(old.Value.Alert, a)
		next.Alert = &merged
		describe(&next, merged)
		return next, !old.Exists() || !same(next, old.Value), nil
	})
	if err != nil {
		return err
	}
	if changed || now.Lags() {
		t.lag(a.Repository, a.ID)
	}
	if !changed || len(now.CVEs) == 0 {
		return nil
	}
	x, err := graph.Get[graph.Exposure](ctx, t.Store, graph.ExposureKey(a.Repository))
	if err != nil || !x.Value.Observed || x.Value.Provisional {
		return err // it has no kin, or every finding of the repository will be looked at with the first inventory
	}
	return t.lagKin(ctx, a.Repository, now)
}

// describe sets what the finding shows of its alert.
func describe(f *graph.Finding, a graph.Alert) {
	f.ID, f.Repository, f.Kind, f.State = a.ID, a.Repository, a.Kind, a.State
	f.FixKey = a.FixKey()
	f.Remediation = graph.NewRemediationID(a.Repository, f.FixKey)
	f.CVEs = a.CVEs()
	if f.FirstSeen.IsZero() {
		f.FirstSeen = a.CreatedAt
	}
}

// mergeAlert decides what the stored alert becomes: the newer one, with what a webhook leaves out kept from before.
func mergeAlert(old *graph.Alert, a graph.Alert) graph.Alert {
	if old == nil {
		return a
	}
	if a.UpdatedAt.Before(old.UpdatedAt) || a.Partial && !old.Partial && a.UpdatedAt.Equal(old.UpdatedAt) {
		return fillAlert(*old, a)
	}
	next := fillAlert(a, *old)
	next.Partial = a.Partial && old.Partial
	return next
}

// fillAlert takes from other what a does not say.
func fillAlert(a, other graph.Alert) graph.Alert {
	a.Title = cmp.Or(a.Title, other.Title)
	a.Severity = cmp.Or(a.Severity, other.Severity)
	a.URL = cmp.Or(a.URL, other.URL)
	if a.CreatedAt.IsZero() {
		a.CreatedAt = other.CreatedAt
	}
	if a.Code != nil && other.Code != nil {
		code := *a.Code
		fillCode(&code, *other.Code)
		a.Code = &code
	}
	if a.Dependency != nil && other.Dependency != nil {
		dependency := *a.Dependency
		fillDependency(&dependency, *other.Dependency)
		a.Dependency = &dependency
	}
	if a.Secret != nil && other.Secret != nil {
		secret := *a.Secret
		secret.Validity = cmp.Or(secret.Validity, other.Secret.Validity)
		secret.TypeName = cmp.Or(secret.TypeName, other.Secret.TypeName)
		a.Secret = &secret
	}
	return a
}

func fillCode(c *graph.Code, other graph.Code) {
	c.SecurityLevel = cmp.Or(c.SecurityLevel, other.SecurityLevel)
	c.Level = cmp.Or(c.Level, other.Level)
	c.Tool = cmp.Or(c.Tool, other.Tool)
	c.Path = cmp.Or(c.Path, other.Path)
	c.Line = cmp.Or(c.Line, other.Line)
	c.Ref = cmp.Or(c.Ref, other.Ref)
	c.Commit = cmp.Or(c.Commit, other.Commit)
	c.Message = cmp.Or(c.Message, other.Message)
	if len(c.Tags) == 0 {
		c.Tags = other.Tags
	}
	if len(c.CWEs) == 0 {
		c.CWEs = other.CWEs
	}
}

func fillDependency(d *graph.Dependency, other graph.Dependency) {
	d.Relationship = cmp.Or(d.Relationship, other.Relationship)
	d.Scope = cmp.Or(d.Scope, other.Scope)
	d.FixedIn = cmp.Or(d.FixedIn, other.FixedIn)
	if d.EPSS == nil {
		d.EPSS = other.EPSS
	}
	if len(d.CVSS) == 0 {
		d.CVSS = other.CVSS
	}
	if len(d.CVEs) == 0 {
		d.CVEs = other.CVEs
	}
}

// lagKin notes the findings of the other side that share a vulnerability: what an alert knows, a runtime finding needs
// no issue for, and what a runtime finding saw running, an alert is sure to run.
func (t *tie) lagKin(ctx context.Context, r graph.RepositoryID, f graph.Finding) error {
	for _, cve := range f.CVEs {
		asked := fmt.Sprint(r, " ", cve, " ", f.Runtime == nil)
		if t.kin[asked] {
			continue
		}
		t.kin[asked] = true
		kin, err := graph.ListAll[graph.Finding](ctx, t.Store, graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(r),
			Kind: graph.KindFinding, Where: []graph.Where{{Field: "cves", Op: graph.Contains, Value: cve}}})
		if err != nil {
			return err
		}
		for _, k := range kin {
			if (k.Runtime == nil) != (f.Runtime == nil) {
				t.lag(r, k.ID)
			}
		}
	}
	return nil
}
