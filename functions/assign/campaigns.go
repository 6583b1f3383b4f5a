package assign

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"throughline/shared/graph"
)

// organiser keeps campaigns.
type organiser interface {
	CreateCampaign(ctx context.Context, k graph.Campaign) (graph.Campaign, error)
	ListCampaigns(ctx context.Context, login string) ([]graph.Campaign, error)
}

// Campaigns creates the campaigns on GitHub that people asked for, and follows how far they are.
type Campaigns struct {
	Store     graph.Store
	Organiser organiser
	Mode      Mode
	Now       func() time.Time
	Log       *slog.Logger
}

// sign ends the description of a campaign, by which it is found again after a crash.
func sign(k graph.Campaign) string { return " (throughline " + k.ID + ")" }

// Tick creates what is asked for, and reads the progress of what is open.
func (c Campaigns) Tick(ctx context.Context) error {
	all, err := graph.Campaigns(ctx, c.Store)
	if err != nil {
		return fmt.Errorf("campaigns: %w", err)
	}
	byLogin := map[string][]graph.Campaign{}
	for _, k := range all {
		if k.Login != "" && k.Active() {
			byLogin[k.Login] = append(byLogin[k.Login], k)
		}
	}
	for login, list := range byLogin {
		if err := c.organisation(ctx, login, list); final(err) {
			c.Log.WarnContext(ctx, "GitHub refuses campaigns", "organisation", login, "why", err.Error())
		} else if err != nil {
			return fmt.Errorf("campaigns of %s: %w", login, err)
		}
	}
	return nil
}

// organisation brings the campaigns of one organisation in step.
func (c Campaigns) organisation(ctx context.Context, login string, list []graph.Campaign) error {
	there, err := c.Organiser.ListCampaigns(ctx, login)
	if final(err) {
		return c.refuse(ctx, list, err)
	}
	if err != nil {
		return err
	}
	for _, k := range list {
		i := slices.IndexFunc(there, func(t graph.Campaign) bool { return strings.HasSuffix(t.Description, sign(k)) })
		switch {
		case i >= 0:
			err = c.save(ctx, k.ID, func(m *graph.Campaign) {
				m.Number, m.State, m.Progress = there[i].Number, there[i].State, there[i].Progress
				m.Progress.At = c.Now()
			})
		case k.State == graph.CampaignAsked && c.Mode != Observe:
			err = c.create(ctx, k)
		case k.State == graph.CampaignOpen:
			err = c.save(ctx, k.ID, func(m *graph.Campaign) { m.State, m.Why = graph.CampaignClosed, "it is not on GitHub any more" })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// create notes that GitHub is about to be asked, and asks. After a crash the list of the next time tells what came of it.
func (c Campaigns) create(ctx context.Context, k graph.Campaign) error {
	if err := c.save(ctx, k.ID, func(m *graph.Campaign) { m.Begun = c.Now() }); err != nil {
		return err
	}
	asked := k
	asked.Description += sign(k)
	made, err := c.Organiser.CreateCampaign(ctx, asked)
	if final(err) {
		return c.refuse(ctx, []graph.Campaign{k}, err)
	}
	if err != nil {
		return err
	}
	return c.save(ctx, k.ID, func(m *graph.Campaign) {
		m.Number, m.State, m.Progress = made.Number, made.State, made.Progress
		m.Progress.At = c.Now()
	})
}

// refuse notes why campaigns that were asked for will not be.
func (c Campaigns) refuse(ctx context.Context, list []graph.Campaign, why error) error {
	for _, k := range list {
		if k.State != graph.CampaignAsked {
			continue
		}
		if err := c.save(ctx, k.ID, func(m *graph.Campaign) { m.State, m.Why = graph.CampaignRefused, why.Error() }); err != nil {
			return err
		}
	}
	return nil
}

func (c Campaigns) save(ctx context.Context, id string, change func(*graph.Campaign)) error {
	_, _, err := graph.Update(ctx, c.Store, graph.CampaignKey(id), graph.KindCampaign, func(old graph.Versioned[graph.Campaign]) (graph.Campaign, bool, error) {
		next := old.Value
		change(&next)
		return next, old.Exists(), nil
	})
	return err
}
