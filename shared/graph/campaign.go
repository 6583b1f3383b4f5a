package graph

import (
	"context"
	"slices"
	"time"
)

// KindCampaign is the kind of campaigns.
const KindCampaign Kind = "campaign"

// CampaignsPartition lists all campaigns.
const CampaignsPartition = "campaigns"

// The bounds of a campaign: GitHub's, which hold for our own as well.
const (
	MaxCampaignAlerts = 1000
	MaxCampaigns      = 10 // active ones of an organisation
)

// The states of a campaign.
const (
	CampaignAsked   = "asked" // GitHub is to be asked for it
	CampaignOpen    = "open"
	CampaignClosed  = "closed"
	CampaignRefused = "refused"
)

// Campaign is a set of fixes that people want to have done until a day, made from a filter of the list. GitHub keeps those
// of code scanning alerts; it knows no others, so we keep the rest.
type Campaign struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Ends        time.Time `json:"ends"`
	Manager     string    `json:"manager,omitempty"` // login
	Query       string    `json:"query"`             // the filter, as the list's address has it
	By          string    `json:"by"`
	At          time.Time `json:"at"`
	State       string    `json:"state"`
	Why         string    `json:"why,omitempty"` // of a refusal
	// Login is the organisation on GitHub that keeps it; empty: we keep it.
	Login  string `json:"login,omitempty"`
	Number int    `json:"number,omitempty"` // on GitHub
	// Alerts are numbers of code scanning alerts by repository, for GitHub.
	Alerts map[RepositoryID][]int `json:"alerts,omitempty"`
	Fixes  []RemediationID        `json:"fixes,omitempty"`
	// Beyond is how many findings the filter had besides: a campaign takes the most urgent thousand.
	Beyond   int       `json:"beyond,omitempty"`
	Begun    time.Time `json:"begun,omitzero"` // before GitHub is asked
	Progress Progress  `json:"progress"`
}

// Progress counts what a campaign is about: alerts on GitHub, fixes of our own.
type Progress struct {
	Open       int       `json:"open"`
	InProgress int       `json:"inProgress"`
	Done       int       `json:"done"`
	At         time.Time `json:"at,omitzero"`
}

// All is the size of the campaign.
func (p Progress) All() int { return p.Open + p.InProgress + p.Done }

// Active tells whether a campaign counts among the active ones.
func (c Campaign) Active() bool { return c.State == CampaignAsked || c.State == CampaignOpen }

// CampaignKey names a campaign.
func CampaignKey(id string) Key { return StateKey(CampaignsPartition, id) }

// Campaigns lists all campaigns, newest first.
func Campaigns(ctx context.Context, s Store) ([]Campaign, error) {
	all, err := ListAll[Campaign](ctx, s, Query{Container: StateContainer, Partition: CampaignsPartition, Kind: KindCampaign})
	slices.SortFunc(all, func(a, b Campaign) int { return b.At.Compare(a.At) })
	return all, err
}

// Follow counts how far the fixes of our own campaigns are.
func (o Overview) Follow(all []Campaign) []Campaign {
	statuses := map[RemediationID]Status{}
	for _, f := range o.Fixes {
		if f.Open == 0 && f.Status == "" {
			continue
		}
		statuses[f.Remediation] = Status(f.Status)
	}
	out := slices.Clone(all)
	for i := range out {
		if out[i].Login == "" {
			out[i].Progress = progressOf(out[i].Fixes, statuses)
			out[i].Progress.At = o.At
		}
	}
	return out
}

func progressOf(fixes []RemediationID, statuses map[RemediationID]Status) (p Progress) {
	for _, id := range fixes {
		status, tracked := statuses[id]
		switch {
		case !tracked, status == StatusVerified, status == StatusAccepted:
			p.Done++
		case status == StatusInProgress, status == StatusFixedInCode, status == StatusRollingOut:
			p.InProgress++
		default:
			p.Open++
		}
	}
	return p
}
