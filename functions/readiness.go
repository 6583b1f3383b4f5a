package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"throughline/shared/github/webhook"
	"throughline/shared/graph"
)

// readinessAge is how long an answer about permissions and sources is good: asking costs requests.
const readinessAge = 10 * time.Minute

// readiness remembers what was last found out.
type readiness struct {
	mu   sync.Mutex
	at   time.Time
	list []graph.Readiness
}

// readiness tells of every permission and source whether it is there, and how to mend what is not.
func (h *house) readiness(ctx context.Context) ([]graph.Readiness, error) {
	outside := h.outside(ctx)
	chains, err := graph.Chains(ctx, h.store)
	heard, err2 := h.graph().Heard(ctx)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	return slices.Concat(outside, []graph.Readiness{heard.Readiness(h.clock.Now())}, graph.ReadinessOf(chains, h.cfg.Interval, h.clock.Now()), h.settings()), nil
}

// outside asks GitHub and Azure, at most once in a while.
func (h *house) outside(ctx context.Context) []graph.Readiness {
	h.ready.mu.Lock()
	defer h.ready.mu.Unlock()
	if h.clock.Now().Sub(h.ready.at) < readinessAge {
		return h.ready.list
	}
	list, err := h.github.Readiness(ctx, h.cfg.Mode != "observe", webhook.Events())
	if err != nil {
		list = append(list, graph.Readiness{Part: "github", Name: "GitHub", State: graph.ReadyMissing, For: "everything on GitHub", Why: err.Error(),
			Mend: "check GITHUB_API_URL, GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY"})
	}
	if h.azure == nil {
		list = append(list, graph.Readiness{Part: "azure", Name: "Azure", State: graph.ReadyOff, For: "what runs, how it is exposed, and what Defender for Cloud says",
			Why: "no scope is named", Mend: "set AZURE_SCOPES; without it workloads come from deployment events and the catalogue only"})
	} else {
		list = append(list, h.azure.Readiness(ctx)...)
	}
	if ctx.Err() == nil { // an answer that was cut short is asked for again
		h.ready.at, h.ready.list = h.clock.Now(), list
	}
	return list
}

// settings tells what is not configured and what that costs.
func (h *house) settings() []graph.Readiness {
	var out []graph.Readiness
	add := func(on bool, name, use, why, mend string) {
		r := graph.Readiness{Part: "settings", Name: name, State: graph.ReadyOK, For: use}
		if !on {
			r.State, r.Why, r.Mend = graph.ReadyOff, why, mend
		}
		out = append(out, r)
	}
	add(len(h.cfg.AttestationRoots) > 0, "Verified attestations", "mapping that rests on checked signatures", "ATTESTATION_ROOTS is not set", "set it to tuf, or to a file with trusted roots")
	add(h.catalogue != nil, "Catalogue", "owners, criticality and origins that are declared by hand", "CATALOGUE_FILE is not set", "name a catalogue where evidence is missing")
	return out
}
