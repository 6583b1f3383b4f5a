package graph

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

// Ready tells whether something that the product needs from outside is there.
type Ready string

// What a Readiness can be, best first.
const (
	ReadyOK      Ready = "ok"
	ReadyPartial Ready = "partial" // something of it is there
	ReadyMissing Ready = "missing"
	ReadyOff     Ready = "off" // not connected, and nobody waits for it
)

// Readiness is one permission or source: whether it is there, what is lost without it, and the mend.
type Readiness struct {
	Part    string `json:"part"`              // github, azure, registry, feeds, webhooks
	Account string `json:"account,omitempty"` // the organisation or the scope that it is about
	Name    string `json:"name"`              // in words: "Dependabot alerts"
	State   Ready  `json:"state"`
	For     string `json:"for,omitempty"` // what it is needed for
	Why     string `json:"why,omitempty"` // what was seen
	Mend    string `json:"mend,omitempty"`
	// Since is when it was last seen well, where that is known.
	Since time.Time `json:"since,omitzero"`
}

// rank orders states, best first.
func (s Ready) rank() int {
	switch s {
	case ReadyOK:
		return 0
	case ReadyOff:
		return 1
	case ReadyPartial:
		return 2
	}
	return 3
}

// Worst is the worst state of all; of none it is ok.
func Worst(all []Readiness) Ready {
	worst := ReadyOK
	for _, r := range all {
		if r.State.rank() > worst.rank() {
			worst = r.State
		}
	}
	return worst
}

// Heard is when webhooks were last sent to us, and when one last arrived, as the sender tells it.
type Heard struct {
	Sent    time.Time `json:"sent"`
	Arrived time.Time `json:"arrived,omitzero"`
}

var heardKey = StateKey("marks", "heard")

// NoteHeard notes what the sender of webhooks tells of them; what is older changes nothing.
func (g Graph) NoteHeard(ctx context.Context, h Heard) error {
	_, _, err := Update(ctx, g.Store, heardKey, "mark", func(old Versioned[Heard]) (Heard, bool, error) {
		next := old.Value
		if h.Sent.After(next.Sent) {
			next.Sent = h.Sent
		}
		if h.Arrived.After(next.Arrived) {
			next.Arrived = h.Arrived
		}
		return next, next != old.Value, nil
	})
	return err
}

// Heard is when webhooks last came.
func (g Graph) Heard(ctx context.Context) (Heard, error) {
	h, err := Get[Heard](ctx, g.Store, heardKey)
	return h.Value, err
}

// How long webhooks may be quiet, and how far their arrival may lag behind their being sent.
const (
	webhookSilence = 24 * time.Hour
	webhookDelay   = 10 * time.Minute
)

// Readiness tells whether webhooks arrive.
func (h Heard) Readiness(now time.Time) Readiness {
	r := Readiness{Part: "webhooks", Name: "Webhooks of GitHub", State: ReadyOK, For: "changes within seconds", Since: h.Arrived}
	switch {
	case h.Sent.IsZero():
		r.State, r.Why, r.Mend = ReadyMissing, "GitHub has sent none yet", "set the App's webhook address to /ingest/github of this app, with the secret of GITHUB_WEBHOOK_SECRET"
	case h.Arrived.IsZero():
		r.State, r.Why, r.Mend = ReadyMissing, "none has arrived", "look at the App's recent deliveries on GitHub: address, secret, network"
	case h.Sent.Sub(h.Arrived) > webhookDelay:
		r.State, r.Why, r.Mend = ReadyPartial, "those sent since "+h.Arrived.UTC().Format(time.RFC3339)+" did not arrive", "look at the App's recent deliveries on GitHub: address, secret, network"
	case now.Sub(h.Arrived) > webhookSilence:
		r.State, r.Why, r.Mend = ReadyPartial, "silent since "+h.Arrived.UTC().Format(time.RFC3339), "look whether the App's webhook is still active on GitHub"
	}
	return r
}

// listed names the scopes that a reader of a report knows, and what helps when one is refused.
var listed = map[string]struct{ name, mend string }{
	"code_scanning":   {"List of code scanning alerts", "switch on code scanning (GitHub Code Security) in the organisation and grant the App \"Code scanning alerts\" (read); without it the rest goes on"},
	"dependabot":      {"List of Dependabot alerts", "switch on Dependabot alerts in the organisation and grant the App \"Dependabot alerts\" (read); without them the rest goes on"},
	"secret_scanning": {"List of secret scanning alerts", "switch on secret scanning (GitHub Secret Protection) in the organisation and grant the App \"Secret scanning alerts\" (read); without it the rest goes on"},
	"repositories":    {"List of repositories", "grant the App \"Metadata\" (read) for all repositories"},
	"digests":         {"Attestations", "grant the App \"Attestations\" (read)"},
	"workloads":       {"Inventory of workloads", "give the identity the role Reader on AZURE_SCOPES"},
	"findings":        {"Findings of Defender for Cloud", "give the identity the role Security Reader on AZURE_SCOPES"},
	"attackpaths":     {"Attack paths", "give the identity the role Security Reader on AZURE_SCOPES"},
}

// ReadinessOf tells of every list whether it is read to its end: refused, silent although it used to speak, or well.
// interval is the time between two full readings.
func ReadinessOf(chains []Chain, interval time.Duration, now time.Time) []Readiness {
	var out []Readiness
	for _, c := range chains {
		source, scope, _ := strings.Cut(c.Scope, " ")
		kind, account, _ := strings.Cut(scope, ":")
		what, known := listed[kind]
		if !known || strings.Contains(account, "/") {
			continue
		}
		r := Readiness{Part: source, Account: account, Name: what.name, State: ReadyOK, Since: c.Read}
		switch {
		case c.Closed && c.Why != "" && c.Read.IsZero():
			r.State, r.Why, r.Mend = ReadyMissing, c.Why, what.mend
		case c.Closed && c.Why != "":
			r.State, r.Why, r.Mend = ReadyPartial, "read until "+c.Read.UTC().Format(time.RFC3339)+", refused since: "+c.Why, what.mend
		case c.Read.IsZero() && !c.UnderWay(now):
			r.State, r.Why, r.Mend = ReadyPartial, "it was never read to its end", "look at the parked messages, and start a full reading"
		case c.Read.IsZero():
			r.State, r.Why, r.Mend = ReadyPartial, "it is being read for the first time", "wait"
		case now.Sub(c.Read) > 2*interval+interval/2:
			r.State, r.Why, r.Mend = ReadyPartial, "silent: not read to its end since "+c.Read.UTC().Format(time.RFC3339), "look at the parked messages, and start a full reading"
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Readiness) int {
		return cmp.Or(cmp.Compare(a.Part, b.Part), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Name, b.Name))
	})
	return out
}
