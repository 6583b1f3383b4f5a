package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"throughline/shared/decision"
	"throughline/shared/feeds"
)

// intelligence tells the rule what the public feeds say, with the edition that says it.
type intelligence struct{ shelf *feeds.Shelf }

// Ready takes newer editions in.
func (i intelligence) Ready(ctx context.Context, now bool) error { return i.shelf.Refresh(ctx, now) }

// Version changes when what the feeds say of the vulnerabilities does.
func (i intelligence) Version(cves []string, p *decision.Policy) string {
	return i.shelf.Version(cves, thresholds(p))
}

func thresholds(p *decision.Policy) []float64 {
	return []float64{p.Thresholds.EPSSPossible, p.Thresholds.EPSSLikely}
}

// Listed is when the first of the vulnerabilities entered KEV.
func (i intelligence) Listed(cves []string) time.Time {
	var first time.Time
	for _, cve := range cves {
		f := i.shelf.Look(cve)
		if f.KEV.Listed && (first.IsZero() || f.KEV.Added.Before(first)) {
			first = f.KEV.Added
		}
	}
	return first
}

// Describe adds the most threatening of what the feeds say of each vulnerability.
func (i intelligence) Describe(cves []string, in *decision.Inputs) {
	in.Feeds = decision.Feeds{KEV: i.edition(feeds.KEV), EPSS: i.edition(feeds.EPSS), Vulnrichment: i.edition(feeds.Vulnrichment)}
	for _, cve := range cves {
		f := i.shelf.Look(cve)
		i.kev(cve, f, in)
		i.epss(cve, f, in)
		i.ssvc(cve, f.SSVC, in)
	}
}

func (i intelligence) edition(f feeds.Feed) decision.Feed {
	e := i.shelf.Head(f).Edition
	return decision.Feed{Version: e.Version, Date: e.Date}
}

func (i intelligence) kev(cve string, f feeds.Facts, in *decision.Inputs) {
	say := decision.Fact{Value: "no", Source: "CISA KEV " + in.Feeds.KEV.Version, At: in.Feeds.KEV.Date}
	switch {
	case f.KEV.Listed:
		say.Value, say.Path = "yes", fmt.Sprintf("%s, added %s", cve, f.KEV.Added.Format(time.DateOnly))
		in.KEV = say
	case f.KEV.Known && in.KEV.Value == "":
		in.KEV = say
	}
}

func (i intelligence) epss(cve string, f feeds.Facts, in *decision.Inputs) {
	if !f.EPSS.Known {
		return
	}
	if before, err := strconv.ParseFloat(in.EPSS.Value, 64); err == nil && before >= f.EPSS.Highest {
		return
	}
	in.EPSS = decision.Fact{Value: strconv.FormatFloat(f.EPSS.Highest, 'f', -1, 64), Source: "FIRST EPSS " + in.Feeds.EPSS.Version, Path: cve, At: in.Feeds.EPSS.Date}
}

func (i intelligence) ssvc(cve string, points feeds.SSVC, in *decision.Inputs) {
	worse := func(fact *decision.Fact, value string, order ...string) {
		if value != "" && slices.Index(order, value) > slices.Index(order, fact.Value) {
			*fact = decision.Fact{Value: value, Source: "CISA Vulnrichment " + in.Feeds.Vulnrichment.Version, Path: cve, At: in.Feeds.Vulnrichment.Date}
		}
	}
	worse(&in.Exploitation, points.Exploitation, "none", "poc", "active")
	worse(&in.Automatable, points.Automatable, "no", "yes")
	worse(&in.Impact, points.Impact, "partial", "total")
}

// feedState is what the health report says of a feed.
type feedState struct {
	Edition  string    `json:"edition,omitempty"` // empty: never read
	AgeHours int       `json:"ageHours"`
	Alarm    string    `json:"alarm,omitempty"` // why the newest edition was not taken
	AlarmAt  time.Time `json:"alarmAt,omitzero"`
}

// feedStates tells how old each feed is and what is wrong with it.
func (h *house) feedStates(ctx context.Context) (map[feeds.Feed]feedState, error) {
	heads, err := feeds.Heads(ctx, h.store)
	unread := feedState{}
	if h.cfg.Closed && h.cfg.FeedsDir == "" {
		unread.Alarm = "not read: EGRESS is closed; put the feeds into a folder and name it in FEEDS_DIR, or set EGRESS to open"
	}
	states := map[feeds.Feed]feedState{feeds.KEV: unread, feeds.EPSS: unread, feeds.Vulnrichment: unread}
	for _, head := range heads {
		states[head.Feed] = feedState{head.Edition.Version, int(head.Age(h.clock.Now()).Hours()), head.Alarm, head.AlarmAt}
	}
	return states, err
}
