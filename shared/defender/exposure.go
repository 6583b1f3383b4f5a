package defender

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"throughline/shared/graph"
)

// exposure is what a workload's own configuration says of its way to the internet.
type exposure struct {
	answer graph.Answer
	raw    string
	names  []string // host names and addresses by which a gateway could publish it
}

// configured turns it into a reading. A no counts only when the gateways that could publish the workload were readable
// and none of them names it; an allow-list of addresses never makes a no.
func (r *reading) configured(x exposure, base row, f *front) graph.Reading {
	reading := graph.Reading{Factor: graph.InternetExposed, Source: "configuration", Says: x.answer, Raw: x.raw, Path: base.ID.String(), ReadAt: r.at}
	switch {
	case x.answer == graph.Yes:
		reading.YesAt = r.at
	case x.answer == graph.No && !f.readable:
		reading.Says, reading.Raw = graph.Unknown, x.raw+"; gateways could not be read"
	case x.answer == graph.No:
		if gateway := f.publishes(append(x.names, base.ID.String())); gateway != "" {
			reading.Says, reading.Raw = graph.Unknown, x.raw+"; named by gateway "+gateway
		}
	}
	return reading
}

const frontQuery = `resources
| where type in~ ('microsoft.network/applicationgateways', 'microsoft.network/frontdoors', 'microsoft.cdn/profiles', 'microsoft.cdn/profiles/origingroups/origins', 'microsoft.apimanagement/service', 'microsoft.apimanagement/service/backends', 'microsoft.network/loadbalancers', 'microsoft.network/trafficmanagerprofiles', 'microsoft.app/managedenvironments')
| project id, name, type, properties
| order by id asc`

const (
	// frontAge is how long the gateways of a scope are taken as read: about one run over the inventory.
	frontAge = 10 * time.Minute
	// maxFrontPages bounds what one page of the inventory may read besides.
	maxFrontPages = 10
)

// fronts remembers the gateways of each scope.
type fronts struct {
	mu      sync.Mutex
	byScope map[string]*front
}

func newFronts() *fronts { return &fronts{byScope: map[string]*front{}} }

// front is what could publish a workload to the internet.
type front struct {
	readable bool
	readAt   time.Time
	gateways []gateway
	inside   map[string]bool // lower-case ids of environments without a public address
}

type gateway struct{ name, content string }

// read answers the gateways of a scope. Gateways that may not be read are no error.
func (c *fronts) read(ctx context.Context, client *Client, g scopeGroup) (*front, error) {
	key := strings.Join(append(g.ManagementGroups, g.Subscriptions...), ",")
	c.mu.Lock()
	known := c.byScope[key]
	c.mu.Unlock()
	if known != nil && client.now().Sub(known.readAt) < frontAge {
		return known, nil
	}
	f, err := readFront(ctx, client, g)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.byScope[key] = f
	c.mu.Unlock()
	return f, nil
}

func readFront(ctx context.Context, client *Client, g scopeGroup) (*front, error) {
	f := &front{readAt: client.now(), inside: map[string]bool{}}
	token := ""
	for range maxFrontPages {
		p, err := client.arm.query(ctx, g, frontQuery, token)
		if denied := refused(err); denied != nil {
			client.log.WarnContext(ctx, "gateways not readable", "reason", denied.Error())
			return f, nil
		}
		if err != nil {
			return nil, err
		}
		for _, raw := range p.Data {
			f.add(raw)
		}
		if token = p.SkipToken; token == "" {
			f.readable = true
			return f, nil
		}
	}
	client.log.WarnContext(ctx, "gateways not read to the end", "pages", maxFrontPages)
	return f, nil
}

// refused answers the error when it says that the question may not be asked, and not that Azure is in trouble.
func refused(err error) *StatusError {
	var status *StatusError
	if errors.As(err, &status) && status.Status >= 400 && status.Status < 500 {
		return status
	}
	return nil
}

func (f *front) add(raw json.RawMessage) {
	var g struct {
		ID, Name, Type text
		Properties     json.RawMessage
	}
	if json.Unmarshal(raw, &g) != nil {
		return
	}
	switch kind := strings.ToLower(g.Type.String()); kind {
	case "microsoft.app/managedenvironments":
		var p struct {
			VnetConfiguration embedded[struct{ Internal flag }]
		}
		if json.Unmarshal(g.Properties, &p) == nil && p.VnetConfiguration.V.Internal.yes {
			f.inside[strings.ToLower(g.ID.String())] = true
		}
	default:
		if strings.HasPrefix(kind, "microsoft.network/") || strings.HasPrefix(kind, "microsoft.cdn/") || strings.HasPrefix(kind, "microsoft.apimanagement/") {
			f.gateways = append(f.gateways, gateway{g.Name.String(), strings.ToLower(string(g.Properties))})
		}
	}
}

// internal tells whether the environment has no public address.
func (f *front) internal(environment string) bool { return f.inside[strings.ToLower(environment)] }

// publishes names a gateway whose configuration holds one of the names; empty when none does.
func (f *front) publishes(names []string) string {
	for _, g := range f.gateways {
		for _, n := range names {
			if n != "" && strings.Contains(g.content, strings.ToLower(n)) {
				return g.name
			}
		}
	}
	return ""
}
