// Package defender reads what runs in Azure and what Microsoft Defender for Cloud says of it, and writes the state of a
// fix back to Defender.
//
// Everything is read through Azure Resource Graph, one page at a time, into rows that accept every spelling that is
// known and that report what they do not know. A page is read whole or it is an error, so that nobody takes a part for
// the end of a scope. The package decides nothing: it turns rows into workloads, runtime findings and readings of risk
// factors, and leaves it to the evidence rule what they are worth.
package defender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"throughline/shared/graph"
)

// Source is the name under which the collections of this package run.
const Source = "azure"

// Options say which cloud and which part of it is read.
type Options struct {
	// ARM overrides the base URL of Azure Resource Manager; empty: that of the cloud. Plain http is accepted for
	// loopback only.
	ARM string
	// Cloud is public (or empty), usgovernment or china.
	Cloud string
	// Credential may be nil for loopback http only; no token is ever sent over http.
	Credential azcore.TokenCredential
	// Scopes are subscription ids, or management groups as mg:<name>. Empty: all that the credential may read.
	Scopes []string
	Log    *slog.Logger
	// Transport replaces the default HTTP client.
	Transport policy.Transporter
}

// Client reads and writes one tenant. It is safe for concurrent use.
type Client struct {
	arm     *arm
	groups  []scopeGroup
	details *details
	paths   *attackPaths
	fronts  *fronts
	log     *slog.Logger
	now     func() time.Time
}

// Open checks the options and makes a client. It does not touch the network.
func Open(o Options) (*Client, error) {
	groups, err := groupScopes(o.Scopes)
	if err != nil {
		return nil, fmt.Errorf("open defender: %w", err)
	}
	a, err := newARM(o)
	if err != nil {
		return nil, fmt.Errorf("open defender: %w", err)
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Client{arm: a, groups: groups, details: newDetails(), paths: newAttackPaths(), fronts: newFronts(), log: log, now: time.Now}, nil
}

// errScope is what Read answers for a scope that it does not know.
var errScope = errors.New("unknown scope")

// Read reads one page. The scopes are all (names the others), workloads (what runs, except inside clusters), findings
// (what Defender says, and the containers of clusters), attackpaths, and resource:<resource id> (one workload, which
// retires nothing). A throttled call answers a *graph.Limited.
//
// Seen names workloads by their id, runtime findings by `<digest>|<finding id>`, and readings for the workloads of other
// rows by `<source>|<factor>|<digest or lower-case resource id>`.
func (c *Client) Read(ctx context.Context, q graph.Collection) (graph.Collected, error) {
	r := &reading{Client: c, scopeID: q.Source + " " + q.Scope, at: c.now().UTC().Truncate(time.Second), skipped: newTally()}
	r.out.Observation = graph.Observation{Source: "resource-graph", ObservedAt: r.at}
	if err := r.scope(ctx, q); err != nil {
		return graph.Collected{}, fmt.Errorf("read %s %s: %w", q.Source, q.Scope, err)
	}
	if len(r.skipped.counts) > 0 {
		r.out.Skipped = r.skipped.counts
	}
	return r.out, nil
}

// reading is one call of Read.
type reading struct {
	*Client
	scopeID string // what may retire the nouns of this page
	at      time.Time
	skipped *tally
	out     graph.Collected
}

func (r *reading) scope(ctx context.Context, q graph.Collection) error {
	if id, ok := strings.CutPrefix(q.Scope, "resource:"); ok {
		r.scopeID = q.Source + " workloads" // the list retires it, not the single reading
		return r.resource(ctx, id)
	}
	switch q.Scope {
	case "all":
		for _, scope := range []string{"workloads", "findings", "attackpaths"} {
			r.out.Follow = append(r.out.Follow, graph.Collection{Source: q.Source, Scope: scope, Run: q.Run, StartedAt: q.StartedAt})
		}
		return nil
	case "workloads":
		return r.paged(ctx, workloadQuery, q.Cursor, r.inventory)
	case "delta":
		return r.delta(ctx, q.Cursor)
	case "findings":
		return r.paged(ctx, findingQuery, q.Cursor, r.findings)
	case "attackpaths":
		return r.paged(ctx, attackPathQuery, q.Cursor, r.attackPaths)
	}
	return errScope
}

// see notes that the scope holds a noun.
func (r *reading) see(kind graph.Kind, id string) {
	r.out.Seen = append(r.out.Seen, graph.Absence{Kind: kind, ID: id})
}
