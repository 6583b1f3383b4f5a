package assign

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// rights tells what people may do on a repository.
type rights interface {
	// MayTriage tells whether somebody may triage the alerts and issues of the repository, by GitHub's own word.
	MayTriage(ctx context.Context, r graph.Repository, login string) (bool, error)
}

// obey answers the commands that people wrote on the issue, oldest first. What was done is noted before it is said, so
// that a crash neither does it twice nor keeps it quiet. Findings whose acceptance is younger than their decision are to
// be decided again.
func (c *work) obey(ctx context.Context) ([]event.Event, error) {
	for _, command := range slices.Clone(c.remediation.Commands) {
		if command.Said || c.Rights == nil {
			continue
		}
		if err := c.answer(ctx, command); err != nil {
			return nil, fmt.Errorf("command of %s on issue #%d: %w", command.Actor, command.Issue, err)
		}
	}
	l := event.Lag{Repository: c.repository.ID}
	for _, f := range c.findings {
		if f.Acceptance != nil && graph.Version(f.Acceptance) != f.Based.Accepted {
			l.Findings = append(l.Findings, f.ID)
		}
	}
	if len(l.Findings) == 0 {
		return nil, nil
	}
	e, err := event.NewLag(name, l)
	return []event.Event{e}, err
}

// answer carries out one command and says what came of it. Who has no right to triage is noted and not answered: a
// stranger must not make us write.
func (c *work) answer(ctx context.Context, command graph.Command) error {
	if command.Answer == "" {
		may, err := c.Rights.MayTriage(ctx, c.repository, command.Actor)
		if err != nil {
			return err
		}
		if !may {
			return c.answered(ctx, command, "refused: no right to triage this repository", true)
		}
		if command.Answer, err = c.carryOut(ctx, command); err != nil {
			return err
		}
		if err := c.answered(ctx, command, command.Answer, false); err != nil {
			return err
		}
	}
	if err := c.reply(ctx, command); err != nil {
		return err
	}
	return c.answered(ctx, command, command.Answer, true)
}

// answered notes what came of a command.
func (c *work) answered(ctx context.Context, command graph.Command, text string, said bool) error {
	return c.save(ctx, func(m *graph.Remediation) {
		m.Commands = slices.Clone(m.Commands)
		for i := range m.Commands {
			if m.Commands[i].Comment != command.Comment {
				continue
			}
			if m.Commands[i].Answer == "" {
				c.note(m, command.Actor, plain(clip(command.Text, maxValue)), text)
			}
			m.Commands[i].Answer, m.Commands[i].Said = text, said
		}
	})
}

// reply comments on the issue, where we may write.
func (c *work) reply(ctx context.Context, command graph.Command) error {
	if c.Speaker == nil || c.hold() != "" || c.remediation.Issue == nil {
		return nil
	}
	text := fmt.Sprintf("%s asked: %s\n\n%s.\n", code(command.Actor), code(command.Text), sentence(command.Answer))
	return c.speak(ctx, c.plan(), speech{command.Issue, command.At, fmt.Sprint("comment ", command.Comment), text})
}

// grammar is what we understand.
const grammar = graph.CommandPrefix + " accept until 2026-12-31 why it may wait"

// wish is a command that was understood: accept, with its end and reason.
type wish struct{ until, reason string }

// parse reads a command; anything else than accept is answered with the grammar.
func parse(text string) (wish, error) {
	words := strings.Fields(text)
	if len(words) < 4 || words[1] != "accept" || words[2] != "until" {
		return wish{}, fmt.Errorf("not understood; write %s", grammar)
	}
	return wish{until: words[3], reason: plain(strings.Join(words[4:], " "))}, nil
}

// carryOut does what a command asks, and tells what came of it. What the person got wrong is told, not an error.
func (c *work) carryOut(ctx context.Context, command graph.Command) (string, error) {
	w, err := parse(command.Text)
	if err != nil {
		return err.Error(), nil
	}
	until, err := decision.ParseUntil(w.until)
	if err != nil {
		return err.Error(), nil
	}
	given := graph.Acceptance{By: command.Actor, Reason: w.reason, At: command.At.UTC(), Until: until}
	open := c.open()
	if len(open) == 0 {
		return "nothing is open here that could be accepted", nil
	}
	accepted := make([]graph.Acceptance, len(open))
	for i, f := range open { // all or none
		if accepted[i], err = decision.Accept(f, given, c.policy); err != nil {
			return err.Error(), nil
		}
	}
	for i, f := range open {
		if err := c.accept(ctx, f.ID, accepted[i]); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("accepted until %s, findings: %d. A more urgent tier voids it", until.UTC().Format(time.DateOnly), len(open)), nil
}

// accept writes an acceptance into a finding, once, and not over a younger one.
func (c *work) accept(ctx context.Context, id graph.FindingID, given graph.Acceptance) error {
	now, _, err := graph.Update(ctx, c.Store, graph.FindingKey(c.repository.ID, id), graph.KindFinding, func(old graph.Versioned[graph.Finding]) (graph.Finding, bool, error) {
		next := old.Value
		if !old.Exists() || next.Acceptance != nil && !next.Acceptance.At.Before(given.At) {
			return next, false, nil
		}
		next.Acceptance = &given
		return next, true, nil
	})
	for i := range c.findings {
		if err == nil && c.findings[i].ID == id && now.ID == id {
			c.findings[i] = now
		}
	}
	return err
}
