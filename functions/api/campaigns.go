package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// campaign is what a person asks for.
type campaign struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Ends        string `json:"ends"`    // a day, 2026-12-31
	Manager     string `json:"manager"` // login, optional
	Query       string `json:"query"`   // the filter as in the address of the list: tier=P1&kind=code_scanning
}

// mostDescription leaves room for our own mark within the 255 characters that GitHub takes.
const mostDescription = 200

func readCampaign(r *http.Request) (campaign, error) {
	var c campaign
	r.Body = http.MaxBytesReader(nil, r.Body, largestAsk)
	if strings.HasPrefix(r.Header.Get("Content-Type"), formType) {
		if err := r.ParseForm(); err != nil {
			return c, userError{http.StatusBadRequest, "the form cannot be read: " + err.Error()}
		}
		f := r.PostForm.Get
		c = campaign{f("name"), f("description"), f("ends"), f("manager"), f("query")}
	} else if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return c, userError{http.StatusBadRequest, `send JSON like {"name":"…","description":"…","ends":"2026-12-31","query":"tier=P1&kind=code_scanning"}: ` + err.Error()}
	}
	c.Name, c.Description, c.Manager = strings.TrimSpace(c.Name), strings.TrimSpace(c.Description), strings.TrimSpace(c.Manager)
	return c, nil
}

// check names what GitHub would not take.
func (c campaign) check(ends time.Time, err error, now time.Time) error {
	switch n, d := utf8.RuneCountInString(c.Name), utf8.RuneCountInString(c.Description); {
	case n < 1 || n > 50:
		return userError{http.StatusUnprocessableEntity, "a campaign has a name of 1 to 50 characters"}
	case d < 1 || d > mostDescription:
		return userError{http.StatusUnprocessableEntity, fmt.Sprintf("a campaign has a description of 1 to %d characters", mostDescription)}
	case err != nil:
		return userError{http.StatusUnprocessableEntity, "ends: " + err.Error()}
	case !ends.After(now):
		return userError{http.StatusUnprocessableEntity, "a campaign ends in the future"}
	}
	return nil
}

// campaigns lists all campaigns with their progress, as GET /api/campaigns.
func (a *API) campaigns(r *http.Request) (any, error) {
	all, err := graph.Campaigns(r.Context(), a.Store)
	if err != nil || len(all) == 0 {
		return page(all, ""), err
	}
	o, err := graph.TakeOverview(r.Context(), a.Store, a.Now())
	return page(o.Follow(all), ""), err
}

// beginCampaign makes a campaign of what a filter finds, as POST /api/campaigns.
func (a *API) beginCampaign(r *http.Request) (any, error) {
	in, err := readCampaign(r)
	if err != nil {
		return nil, err
	}
	ends, err := decision.ParseUntil(in.Ends)
	if err := in.check(ends, err, a.Now()); err != nil {
		return nil, err
	}
	q, err := url.ParseQuery(in.Query)
	if err != nil {
		return nil, userError{http.StatusBadRequest, "query: " + err.Error()}
	}
	f, err := a.filter(r.Context(), q)
	if err != nil {
		return nil, err
	}
	who, _ := a.Access.Who(r) // the guard has let the caller in
	k := graph.Campaign{ID: strings.ToLower(rand.Text()[:8]), Name: in.Name, Description: in.Description, Ends: ends, Manager: in.Manager, Query: in.Query, By: who.Name, At: a.Now(), State: graph.CampaignOpen}
	if err := a.gather(r.Context(), &k, f); err != nil {
		return nil, err
	}
	if err := a.room(r.Context(), k); err != nil {
		return nil, err
	}
	w, err := graph.NewWrite(graph.CampaignKey(k.ID), graph.KindCampaign, "", k)
	if err != nil {
		return nil, err
	}
	return k, a.Store.Write(r.Context(), w)
}

// gather takes what the filter finds, most urgent first. Code scanning alerts of one organisation make a campaign on
// GitHub, everything else one of our own.
func (a *API) gather(ctx context.Context, k *graph.Campaign, f graph.Filter) error {
	f.State, f.Cursor, f.Limit = graph.Open, "", 200
	taken, known := 0, map[graph.RemediationID]bool{}
	var org graph.OrgID
	for {
		items, next, err := graph.Worklist(ctx, a.Store, f)
		if err != nil {
			return err
		}
		for _, i := range items {
			if org == "" {
				org = i.Org
			}
			elsewhere := f.Kind == graph.CodeScanning && i.Org != org
			if taken == graph.MaxCampaignAlerts || elsewhere || i.Remediation == "" {
				k.Beyond++
				continue
			}
			taken++
			if f.Kind == graph.CodeScanning {
				if err := addAlert(k, i); err != nil {
					return err
				}
			}
			if !known[i.Remediation] {
				known[i.Remediation] = true
				k.Fixes = append(k.Fixes, i.Remediation)
			}
		}
		if f.Cursor = next; next == "" {
			break
		}
	}
	if taken == 0 {
		return userError{http.StatusUnprocessableEntity, "the filter finds no open finding, so there is nothing to do in the campaign"}
	}
	if f.Kind != graph.CodeScanning {
		return nil
	}
	return a.onGitHub(ctx, k, org)
}

// addAlert notes a code scanning alert for GitHub.
func addAlert(k *graph.Campaign, i graph.Summary) error {
	id := string(i.ID)
	n, err := strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:])
	if err != nil {
		return fmt.Errorf("campaign: %s has no number: %w", i.ID, err)
	}
	if k.Alerts == nil {
		k.Alerts = map[graph.RepositoryID][]int{}
	}
	k.Alerts[i.Repository] = append(k.Alerts[i.Repository], n)
	return nil
}

// onGitHub marks a campaign that GitHub is to keep.
func (a *API) onGitHub(ctx context.Context, k *graph.Campaign, org graph.OrgID) error {
	orgs, err := graph.Orgs(ctx, a.Store)
	for _, o := range orgs {
		if o.ID == org {
			k.Login, k.State = o.Login, graph.CampaignAsked
		}
	}
	return err
}

// room refuses one campaign too many.
func (a *API) room(ctx context.Context, k graph.Campaign) error {
	all, err := graph.Campaigns(ctx, a.Store)
	active := 0
	for _, other := range all {
		if other.Active() && other.Login == k.Login {
			active++
		}
	}
	if err == nil && active >= graph.MaxCampaigns {
		return userError{http.StatusConflict, fmt.Sprintf("%d campaigns are active, and GitHub takes no more; close one first", active)}
	}
	return err
}

// closeCampaign ends a campaign of our own, as POST /api/campaigns/{id}/close. Those on GitHub are closed there.
func (a *API) closeCampaign(r *http.Request) (any, error) {
	k, _, err := graph.Update(r.Context(), a.Store, graph.CampaignKey(r.PathValue("id")), graph.KindCampaign, func(old graph.Versioned[graph.Campaign]) (graph.Campaign, bool, error) {
		next := old.Value
		switch {
		case !old.Exists():
			return next, false, fmt.Errorf("campaign %s: %w", r.PathValue("id"), graph.ErrNotFound)
		case next.Login != "" && next.Number > 0:
			return next, false, userError{http.StatusConflict, "this campaign is on GitHub; close it there"}
		}
		next.State = graph.CampaignClosed
		return next, old.Value.State != graph.CampaignClosed, nil
	})
	return k, err
}
