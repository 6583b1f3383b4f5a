package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	gogithub "github.com/google/go-github/v66/github"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// deliveryWindow is how long GitHub keeps deliveries, with an hour to spare.
const deliveryWindow = 71 * time.Hour

// Healer remembers which webhooks were asked for again.
type Healer interface {
	// Healed lists those of the day of a time.
	Healed(ctx context.Context, at time.Time) ([]string, error)
	// NoteHealed notes some of one day.
	NoteHealed(ctx context.Context, all []graph.Lost, now time.Time) error
}

// attempt is one attempt of GitHub to deliver a webhook.
type attempt struct {
	id, installation int64
	guid, event      string
	at               time.Time
	status           int64
}

func (a attempt) arrived() bool { return a.status/100 == 2 }

// readDeliveries goes through the attempts from the newest to the time in the cursor, and asks GitHub once more for each
// webhook that we handle and that no attempt brought to us. It observes nothing: what is delivered comes in by the door.
func readDeliveries(ctx context.Context, r *reading) error {
	mark, where := r.watermark()
	if oldest := r.options.Now().Add(-deliveryWindow); mark.Before(oldest) {
		mark = oldest
	}
	if where == "" {
		where = "app/hook/deliveries?per_page=100"
	}
	got, err := r.read(ctx, r.app, http.MethodGet, where, nil)
	if err != nil {
		return err
	}
	var page []attempt
	err = walk(got, func(c *scan.Cursor) {
		for c.Array(); c.Element(); {
			page = append(page, readAttempt(c))
		}
	})
	if err != nil {
		return err
	}
	if err := r.heard(ctx, page); err != nil {
		return err
	}
	older := slices.IndexFunc(page, func(a attempt) bool { return a.at.Before(mark) })
	if older >= 0 {
		page = page[:older]
	}
	if err := r.heal(ctx, page); err != nil {
		return err
	}
	if older < 0 && got.next != "" {
		r.out.Next = mark.Format(time.RFC3339) + " " + got.next
	}
	return nil
}

// heard tells of the newest attempts. Later pages are older and tell nothing new.
func (r *reading) heard(ctx context.Context, page []attempt) error {
	if r.options.Heard == nil || len(page) == 0 || r.Page > 0 {
		return nil
	}
	h := graph.Heard{Sent: page[0].at}
	if i := slices.IndexFunc(page, attempt.arrived); i >= 0 {
		h.Arrived = page[i].at
	}
	return r.options.Heard(ctx, h)
}

func readAttempt(c *scan.Cursor) attempt {
	var a attempt
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "id":
			a.id = c.Int()
		case "guid":
			a.guid = c.String()
		case "event":
			a.event = c.String()
		case "status_code":
			a.status = c.Int()
		case "installation_id":
			if !c.IsNull() {
				a.installation = c.Int()
			}
		case "delivered_at":
			if at, err := time.Parse(time.RFC3339, c.String()); err == nil {
				a.at = at
			}
		}
	}
	return a
}

// heal asks again for what is lost on a page. What was asked for is noted even when GitHub stops us in the middle.
func (r *reading) heal(ctx context.Context, page []attempt) error {
	var asked []graph.Lost
	var failed error
	for _, a := range r.lost(page) {
		healed, err := r.healed(ctx, a, asked)
		if err == nil && !healed {
			err = r.redeliver(ctx, a)
			if isGone(err) {
				r.skip("lost webhook that GitHub no longer has")
				continue
			}
		}
		if err != nil {
			failed = err
			break
		}
		if !healed {
			asked = append(asked, graph.Lost{GUID: a.guid, Event: a.event, At: a.at})
		}
	}
	for _, day := range byDay(asked) {
		if err := r.options.Healer.NoteHealed(ctx, day, r.options.Now()); err != nil {
			return errors.Join(failed, err)
		}
	}
	return failed
}

// lost gives the newest attempt of each webhook that we handle and that never arrived, as far as this page and those
// before it show. Attempts come newest first, so a success is seen before the failure that it mended; what another
// process saw of a run is not known here, and asking once too often is harmless.
func (r *reading) lost(page []attempt) []attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.arrivals.run != r.Run {
		r.arrivals.run, r.arrivals.seen = r.Run, map[string]bool{}
	}
	var out []attempt
	for _, a := range page {
		if a.arrived() {
			r.arrivals.seen[a.guid] = true
		}
		wanted := r.options.Wanted == nil || r.options.Wanted(a.event, a.installation)
		if wanted && a.guid != "" && !r.arrivals.seen[a.guid] && !slices.ContainsFunc(out, func(o attempt) bool { return o.guid == a.guid }) {
			out = append(out, a)
		}
	}
	return out
}

// arrivals are the webhooks that a run has seen arrive.
type arrivals struct {
	run  string
	seen map[string]bool
}

// healed tells whether a webhook was asked for already, on the day of this attempt or on the one before.
func (r *reading) healed(ctx context.Context, a attempt, asked []graph.Lost) (bool, error) {
	if slices.ContainsFunc(asked, func(l graph.Lost) bool { return l.GUID == a.guid }) {
		return true, nil
	}
	if r.days == nil {
		r.days = map[string][]string{}
	}
	for _, at := range []time.Time{a.at, a.at.AddDate(0, 0, -1), a.at.AddDate(0, 0, -2)} {
		day := at.UTC().Format(time.DateOnly)
		if _, known := r.days[day]; !known {
			guids, err := r.options.Healer.Healed(ctx, at)
			if err != nil {
				return false, err
			}
			r.days[day] = guids
		}
		if slices.Contains(r.days[day], a.guid) {
			return true, nil
		}
	}
	return false, nil
}

// redeliver asks for one more attempt. GitHub answers 202, which go-github takes for an error.
func (r *reading) redeliver(ctx context.Context, a attempt) error {
	_, err := r.read(ctx, r.app, http.MethodPost, "app/hook/deliveries/"+strconv.FormatInt(a.id, 10)+"/attempts", nil)
	var accepted *gogithub.AcceptedError
	if errors.As(err, &accepted) {
		return nil
	}
	return err
}

func byDay(all []graph.Lost) [][]graph.Lost {
	var out [][]graph.Lost
	for _, l := range all {
		n := len(out) - 1
		if n < 0 || out[n][0].At.UTC().Format(time.DateOnly) != l.At.UTC().Format(time.DateOnly) {
			out = append(out, nil)
			n++
		}
		out[n] = append(out[n], l)
	}
	return out
}
