package defender

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"throughline/shared/graph"
)

// probe is a question that only asks whether there is anything to read.
type probe struct {
	name, use, kql string
	empty, mend    string // what no row means, and what helps
	tenant         bool   // asked of the whole tenant
	fine           bool   // no row is fine
}

var probes = []probe{
	{name: "Workloads", use: "what runs, and how it is exposed", kql: workloadQuery,
		empty: "no Container App, container group, web app or cluster is visible", mend: "give the identity the role Reader on the scopes in AZURE_SCOPES"},
	{name: "Defender findings", use: "vulnerabilities of what runs, and the containers of clusters", kql: findingQuery,
		empty: "Defender for Cloud reports no software update of a container or image", mend: "switch on Defender for Containers or Defender CSPM, and give the identity the role Security Reader on the scopes"},
	{name: "Contextual risk", use: "risk factors of workloads", kql: "securityresources | where type == 'microsoft.security/assessments' | where properties.risk.isContextualRisk == true | project id",
		empty: "no finding has a contextual risk", mend: "switch on the Defender CSPM plan; until then exposure is known from the resources alone"},
	{name: "Attack paths", use: "risk factors behind a chain of weaknesses", kql: "securityresources | where type == 'microsoft.security/attackpaths' | project id",
		empty: "no attack path is visible", mend: "attack paths need the Defender CSPM plan; that there is none may also be good news", fine: true},
	{name: "CVE details", use: "severity and known exploitation of vulnerabilities that findings only name", kql: "securityresources | where type == 'microsoft.security/cvedetails' | project id",
		empty: "no details of vulnerabilities are visible", mend: "give the identity the role Security Reader on the management group; KEV and EPSS are used until then", tenant: true},
}

// Readiness asks whether each source of Azure has anything to say, by one row of each.
func (c *Client) Readiness(ctx context.Context) []graph.Readiness {
	var out []graph.Readiness
	for _, p := range probes {
		out = append(out, c.probe(ctx, p))
	}
	return out
}

func (c *Client) probe(ctx context.Context, p probe) graph.Readiness {
	r := graph.Readiness{Part: Source, Name: p.name, State: graph.ReadyOK, For: p.use}
	groups := c.groups
	if p.tenant {
		groups = []scopeGroup{{}}
	}
	kql, _, _ := strings.Cut(p.kql, "| order by")
	rows, refused := 0, 0
	for _, g := range groups {
		page, err := c.arm.query(ctx, g, strings.TrimSpace(kql)+" | limit 1", "")
		var limited *graph.Limited
		var denied *StatusError
		switch {
		case errors.As(err, &limited):
			r.State, r.Why, r.Mend = graph.ReadyPartial, "Resource Graph wants to be left alone for a moment", "ask again later"
			return r
		case errors.As(err, &denied) && (denied.Status == http.StatusUnauthorized || denied.Status == http.StatusForbidden):
			refused, r.Why = refused+1, err.Error()
		case err != nil:
			r.State, r.Why, r.Mend = graph.ReadyPartial, err.Error(), "look whether Azure Resource Manager answers"
			return r
		}
		rows += len(page.Data)
	}
	switch {
	case refused == len(groups):
		r.State, r.Mend = graph.ReadyMissing, p.mend
	case refused > 0:
		r.State, r.Mend = graph.ReadyPartial, p.mend
	case rows == 0 && p.fine:
		r.Why = p.empty
	case rows == 0:
		r.State, r.Why, r.Mend = graph.ReadyPartial, p.empty, p.mend
	}
	return r
}
