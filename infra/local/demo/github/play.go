package github

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"throughline/infra/local/demo/estate"
)

// step is one scripted event: it may change the organisation, and it tells the world.
type step struct {
	name string
	do   func(t *tx)
}

// played is a step on its way. It is one document of the journal, written together with what the step changed.
type played struct {
	Deliveries []*delivery `json:"deliveries"`
	Done       bool        `json:"done"`
}

const playedPerKind = 100 // created webhooks of each kind; a resync finds the rest

// script is the same for the same estate: who we are, what was built, what was found, and then a few changes.
func (s *Server) script() []step {
	tell := func(name, event, action string, repo int, by string, body func() map[string]any) step {
		return step{name, func(t *tx) { s.hooks.emit(t, event, action, repo, by, body()) }}
	}
	out := []step{
		tell("ping", "ping", "", -1, s.world.Users[0].Login, s.pingHook),
		tell("installation", "installation", "created", -1, s.world.Users[0].Login, s.installationHook),
	}
	var runs, packages int
	for i, img := range s.world.Images {
		author := s.world.Users[i%len(s.world.Users)].Login
		if img.Evidence.Has(estate.Packaged) && packages < playedPerKind {
			packages++
			for _, key := range []string{"package", "registry_package"} {
				out = append(out, tell(fmt.Sprint(key, " ", i), key, "published", img.Repo, author, func() map[string]any { return s.packageHook(key, img) }))
			}
		}
		if img.Evidence.Has(estate.Attested) && runs < playedPerKind {
			runs++
			out = append(out, tell(fmt.Sprint("run ", i), "workflow_run", "completed", img.Repo, author, func() map[string]any { return s.runHook(img) }))
		}
	}
	for _, k := range estate.Kinds {
		open := slices.DeleteFunc(slices.Clone(s.world.Alerts[k]), func(a estate.Alert) bool { return a.State != "open" })
		for _, a := range open[:min(len(open), playedPerKind)] {
			out = append(out, step{fmt.Sprint("alert ", k, " ", a.Repo, " ", a.Number), func(t *tx) { s.playCreated(t, a) }})
		}
	}
	return append(out, s.changes()...)
}

func (s *Server) playCreated(t *tx, a estate.Alert) {
	now := s.books[a.Kind].byID[alertID{a.Repo, a.Number}]
	s.hooks.emit(t, a.Kind.String()+"_alert", "created", a.Repo, "github", s.alertHook(now))
}

// changes happen while everybody looks: of each kind the newest open alert is raised once more elsewhere in its
// repository, and the oldest open one is fixed; a person dismisses one; somebody pushes.
func (s *Server) changes() []step {
	var out []step
	add := func(name string, do func(t *tx)) { out = append(out, step{name, do}) }
	for _, k := range estate.Kinds {
		open := slices.DeleteFunc(slices.Clone(s.world.Alerts[k]), func(a estate.Alert) bool {
			return a.State != "open" || s.world.Repositories[a.Repo].Archived
		})
		if len(open) < 3 {
			continue
		}
		oldest, second, newest := open[0], open[1], open[len(open)-1]
		add(fmt.Sprint("raise ", k), func(t *tx) {
			newest.Path, newest.Line = "later/"+newest.Path, newest.Line+1
			s.raise(t, newest)
		})
		add(fmt.Sprint("fix ", k), func(t *tx) { s.automatic(t, s.books[k].byID[alertID{oldest.Repo, oldest.Number}], true) })
		add(fmt.Sprint("dismiss ", k), func(t *tx) { s.playDismissal(t, k, second) })
	}
	add("push", func(t *tx) {
		s.hooks.emit(t, "push", "", 0, s.world.Users[0].Login, s.pushHook(0, s.world.Repositories[0].Commits-1, ".github/CODEOWNERS"))
	})
	return out
}

func (s *Server) playDismissal(t *tx, k estate.Kind, which estate.Alert) {
	a := s.books[k].byID[alertID{which.Repo, which.Number}]
	next := *a
	next.Updated = s.now()
	next.Closed, next.ClosedBy, next.Comment = next.Updated, s.world.Users[which.Actor].Login, "Looked at, not ours to fix."
	next.State, next.Reason = "dismissed", dismissals[k][1]
	if k == estate.SecretScanning {
		next.State = "resolved"
	}
	s.noteAlert(t, a, next, next.ClosedBy, [...]string{"closed_by_user", "dismissed", "resolved"}[k])
}

// Play plays the script from where it stands: every event is delivered until it is accepted, and once more if a crash
// came between the answer and our note of it. It returns when all are, or with ctx's error.
func (s *Server) Play(ctx context.Context) error {
	for n, st := range s.script() {
		key := fmt.Sprintf("play/%06d", n)
		p, err := s.prepare(key, st)
		if err != nil {
			return fmt.Errorf("play %s: %w", st.name, err)
		}
		if p.Done {
			continue
		}
		for _, d := range p.Deliveries {
			if err := s.insist(ctx, d); err != nil {
				return fmt.Errorf("play %s: %w", st.name, err)
			}
		}
		t := &tx{s: s}
		t.put(key, played{Done: true})
		for _, d := range p.Deliveries {
			t.put(deliveryKey(d.ID), d)
		}
		if err := t.commit(); err != nil {
			return fmt.Errorf("play %s: %w", st.name, err)
		}
		s.hooks.remember(p.Deliveries)
	}
	return nil
}

// prepare does what a step does, unless an earlier run has, and gives the deliveries that tell of it.
func (s *Server) prepare(key string, st step) (played, error) {
	var p played
	found, err := s.journal.Get(key, &p)
	if found || err != nil {
		return p, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &tx{s: s, keep: true}
	st.do(t)
	p.Deliveries, t.queued = t.queued, nil
	t.put(key, p)
	return p, t.commit()
}

// insist delivers until the answer is a 2xx, with growing pauses. A receiver that keeps saying that it does not accept
// our signature or our JSON ends it.
func (s *Server) insist(ctx context.Context, d *delivery) error {
	pause, refused := 50*time.Millisecond, 0
	for {
		s.hooks.mu.Lock()
		url, secret := s.hooks.url, s.hooks.secret
		s.hooks.mu.Unlock()
		if url != "" {
			s.hooks.send(ctx, d, url, secret)
			d.At, d.Pending = s.now(), false
			if d.Code/100 == 2 {
				return nil
			}
			s.log.Debug("webhook not accepted yet", "event", d.Event, "status", d.Status)
		}
		if d.Code == http.StatusUnauthorized || d.Code == http.StatusBadRequest {
			if refused++; refused >= 20 {
				return fmt.Errorf("%s %s is refused with %d: %.200s", d.Event, d.GUID, d.Code, d.Reply)
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		pause = min(pause*2, 2*time.Second)
	}
}
