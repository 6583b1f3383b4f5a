package client

import (
	"context"
	"net/http"
	"slices"
	"time"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// CreateCampaign begins a security campaign over code scanning alerts and answers its number. Like issues it knows no
// idempotency key: after an error that is not *Refused it may be there, and ListCampaigns tells.
func (c *Client) CreateCampaign(ctx context.Context, k graph.Campaign) (graph.Campaign, error) {
	a, _, err := c.account(ctx, k.Login)
	if err != nil {
		return graph.Campaign{}, err
	}
	type numbers struct {
		Repository int64 `json:"repository_id"`
		Alerts     []int `json:"alert_numbers"`
	}
	body := map[string]any{"name": k.Name, "description": k.Description, "ends_at": k.Ends.UTC().Format(time.RFC3339)}
	if k.Manager != "" {
		body["managers"] = []string{k.Manager}
	}
	var alerts []numbers
	for r, list := range k.Alerts {
		alerts = append(alerts, numbers{r.Number(), list})
	}
	slices.SortFunc(alerts, func(a, b numbers) int { return int(a.Repository - b.Repository) })
	body["code_scanning_alerts"] = alerts
	got, err := c.call(ctx, a, http.MethodPost, path("orgs", k.Login, "campaigns"), body)
	if err != nil {
		return graph.Campaign{}, err
	}
	var made graph.Campaign
	err = walk(got, func(cur *scan.Cursor) { made = readCampaign(cur) })
	return made, err
}

// ListCampaigns lists the campaigns of an organisation with their progress: number, description, state and counts.
func (c *Client) ListCampaigns(ctx context.Context, login string) ([]graph.Campaign, error) {
	a, _, err := c.account(ctx, login)
	if err != nil {
		return nil, err
	}
	var all []graph.Campaign
	for where := path("orgs", login, "campaigns") + "?per_page=100&sort=created&direction=desc"; where != ""; {
		got, err := c.call(ctx, a, http.MethodGet, where, nil)
		if err != nil {
			return nil, err
		}
		err = walk(got, func(cur *scan.Cursor) {
			for cur.Array(); cur.Element(); {
				all = append(all, readCampaign(cur))
			}
		})
		if err != nil {
			return nil, err
		}
		where = got.next
	}
	return all, nil
}

func readCampaign(c *scan.Cursor) (k graph.Campaign) {
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "number":
			k.Number = int(c.Int())
		case "name":
			k.Name = c.String()
		case "description":
			k.Description = c.String()
		case "state":
			k.State = c.String()
		case "alert_stats":
			k.Progress = readStats(c)
		}
	}
	return k
}

func readStats(c *scan.Cursor) (p graph.Progress) {
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "open_count":
			p.Open = int(c.Int())
		case "in_progress_count":
			p.InProgress = int(c.Int())
		case "closed_count":
			p.Done = int(c.Int())
		}
	}
	p.Open = max(p.Open-p.InProgress, 0) // what is in progress is open, too
	return p
}
