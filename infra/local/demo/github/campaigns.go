package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"throughline/infra/local/demo/estate"
)

// campaign is a security campaign over code scanning alerts. It is one document of the journal.
type campaign struct {
	Number      int       `json:"number"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Managers    []string  `json:"managers"`
	Teams       []string  `json:"teams"`
	Ends        time.Time `json:"ends"`
	Contact     string    `json:"contact"`
	State       string    `json:"state"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	Closed      time.Time `json:"closed"`
	Alerts      []alertID `json:"-"`
	Pairs       [][2]int  `json:"alerts"`
}

func (s *Server) loadCampaigns() error {
	return s.journal.Each("campaign/", func(_ string, raw json.RawMessage) error {
		x := &campaign{}
		if err := json.Unmarshal(raw, x); err != nil {
			return err
		}
		for _, p := range x.Pairs {
			x.Alerts = append(x.Alerts, alertID{p[0], p[1]})
		}
		s.campaigns = append(s.campaigns, x)
		return nil
	})
}

func (s *Server) campaignJSON(x *campaign) map[string]any {
	open, closed := 0, 0
	for _, id := range x.Alerts {
		if a, found := s.books[estate.CodeScanning].byID[id]; found && a.State == "open" {
			open++
		} else {
			closed++
		}
	}
	return map[string]any{
		"number": x.Number, "name": x.Name, "description": x.Description, "managers": s.usersJSON(x.Managers), "team_managers": []any{},
		"published_at": stamp(x.Created), "created_at": stamp(x.Created), "updated_at": stamp(x.Updated), "ends_at": stamp(x.Ends), "closed_at": stampOrNull(x.Closed),
		"state": x.State, "contact_link": orNull(x.Contact), "alert_stats": map[string]int{"open_count": open, "closed_count": closed, "in_progress_count": 0},
	}
}

func (s *Server) listCampaigns(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := c.r.URL.Query().Get("state")
	var fitting []*campaign
	for _, x := range s.campaigns {
		if state == "" || x.State == state {
			fitting = append(fitting, x)
		}
	}
	list, header := page(c, fitting)
	out := []any{}
	for _, x := range list {
		out = append(out, s.campaignJSON(x))
	}
	return reply{http.StatusOK, out, header}
}

type campaignWrite struct {
	Name        *string  `json:"name"`
	Description *string  `json:"description"`
	Managers    []string `json:"managers"`
	Teams       []string `json:"team_managers"`
	Ends        *string  `json:"ends_at"`
	Contact     *string  `json:"contact_link"`
	State       *string  `json:"state"`
	Alerts      []struct {
		Repository int64 `json:"repository_id"`
		Numbers    []int `json:"alert_numbers"`
	} `json:"code_scanning_alerts"`
}

// apply checks the limits of the fields and takes what was sent.
func (p campaignWrite) apply(x *campaign, now time.Time) *reply {
	if p.Name != nil {
		x.Name = *p.Name
	}
	if p.Description != nil {
		x.Description = *p.Description
	}
	if p.Contact != nil {
		x.Contact = *p.Contact
	}
	if p.Managers != nil {
		x.Managers = p.Managers
	}
	if p.Teams != nil {
		x.Teams = p.Teams
	}
	if p.Ends != nil {
		ends, err := time.Parse(time.RFC3339, *p.Ends)
		if err != nil || !ends.After(now) {
			return ptr(invalid("Campaign", "ends_at", "must be in the future"))
		}
		x.Ends = ends
	}
	switch {
	case len(x.Name) < 1 || len(x.Name) > 50:
		return ptr(invalid("Campaign", "name", "must have 1 to 50 characters"))
	case len(x.Description) < 1 || len(x.Description) > 255:
		return ptr(invalid("Campaign", "description", "must have 1 to 255 characters"))
	case x.Ends.IsZero():
		return ptr(invalid("Campaign", "ends_at", "is missing"))
	case len(x.Managers) > 1:
		return ptr(invalid("Campaign", "managers", "only a single manager can be supplied"))
	}
	if p.State != nil && *p.State != x.State {
		x.State, x.Closed = *p.State, time.Time{}
		if x.State == "closed" {
			x.Closed = now
		}
	}
	x.Updated = now
	return nil
}

func (s *Server) createCampaign(c *call) reply {
	var p campaignWrite
	if bad := c.decode(&p); bad != nil {
		return *bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x := &campaign{Number: len(s.campaigns) + 1, State: "open", Created: s.now()}
	if bad := p.apply(x, s.now()); bad != nil {
		return *bad
	}
	active := 0
	for _, other := range s.campaigns {
		if other.State == "open" {
			active++
		}
	}
	if active >= 10 {
		return problem(http.StatusBadRequest, "Organization already has 10 active campaigns")
	}
	for _, a := range p.Alerts {
		repo, found := s.byID[a.Repository]
		for _, n := range a.Numbers {
			if _, there := s.books[estate.CodeScanning].byID[alertID{repo, n}]; !found || !there {
				return problem(http.StatusNotFound, "Alert not found")
			}
			x.Alerts, x.Pairs = append(x.Alerts, alertID{repo, n}), append(x.Pairs, [2]int{repo, n})
		}
	}
	if len(x.Alerts) == 0 || len(x.Alerts) > 1000 {
		return invalid("Campaign", "code_scanning_alerts", "must have 1 to 1000 alerts")
	}
	t := &tx{s: s}
	t.put(fmt.Sprintf("campaign/%06d", x.Number), x)
	if err := t.commit(); err != nil {
		return broken(err)
	}
	s.campaigns = append(s.campaigns, x)
	return ok(s.campaignJSON(x))
}

// findCampaign gives the campaign of the path. The caller holds s.mu.
func (s *Server) findCampaign(c *call) *campaign {
	if n := c.number("number"); n >= 1 && n <= len(s.campaigns) {
		return s.campaigns[n-1]
	}
	return nil
}

func (s *Server) getCampaign(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.findCampaign(c)
	if x == nil {
		return problem(http.StatusNotFound, "Not Found")
	}
	return ok(s.campaignJSON(x))
}

func (s *Server) editCampaign(c *call) reply {
	var p campaignWrite
	if bad := c.decode(&p); bad != nil {
		return *bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.findCampaign(c)
	if x == nil {
		return problem(http.StatusNotFound, "Not Found")
	}
	next := *x
	if bad := p.apply(&next, s.now()); bad != nil {
		return *bad
	}
	t := &tx{s: s}
	t.put(fmt.Sprintf("campaign/%06d", x.Number), next)
	if err := t.commit(); err != nil {
		return broken(err)
	}
	*x = next
	return ok(s.campaignJSON(x))
}
