package correlate

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"throughline/shared/graph"
)

// absences retires what a scope did not contain although it was read to its end. A list of open alerts does not tell
// why one is missing: such an alert is read again by itself.
func (t *tie) absences(ctx context.Context, o graph.Observation) error {
	if o.Scope == nil || !o.Scope.Complete {
		if len(o.Absent) > 0 {
			t.Log.WarnContext(ctx, "absences ignored", slog.String("why", "the scope was not read to its end"), slog.Int("count", len(o.Absent)))
		}
		return nil
	}
	for _, a := range o.Absent {
		if err := t.absence(ctx, *o.Scope, a); err != nil {
			return fmt.Errorf("retire %s %s: %w", a.Kind, a.ID, err)
		}
	}
	return nil
}

func (t *tie) absence(ctx context.Context, sc graph.Scope, a graph.Absence) error {
	switch a.Kind {
	case graph.KindFinding:
		return t.absentAlert(ctx, sc, graph.FindingID(a.ID))
	case graph.KindWorkload:
		return t.absentWorkload(ctx, sc, graph.WorkloadID(a.ID))
	case graph.KindRuntimeFinding:
		return t.absentRuntime(ctx, sc, a.ID)
	case graph.KindReading:
		return t.absentReading(ctx, sc, a.ID)
	case graph.KindRepository:
		return t.absentRepository(ctx, sc, graph.RepositoryID(a.ID))
	}
	return fmt.Errorf("kind %q is never retired", a.Kind)
}

// absentReading ends a reading that was addressed to others than its own row: from now on the source says nothing.
func (t *tie) absentReading(ctx context.Context, sc graph.Scope, id string) error {
	parts := strings.SplitN(id, "|", 3)
	if len(parts) != 3 {
		return fmt.Errorf("want source|factor|address")
	}
	ended := graph.WorkloadReading{Reading: graph.Reading{Source: parts[0], Factor: graph.Factor(parts[1]), Says: graph.Unknown, ReadAt: sc.StartedAt}}
	switch to := parts[2]; {
	case strings.HasPrefix(to, "sha256:"):
		ended.Digest = graph.Digest(to)
	case strings.HasPrefix(to, "/"):
		ended.Resource, ended.Inside = to, true
	default:
		ended.Workload = graph.WorkloadID(to)
	}
	if err := t.read(ctx, ended); err != nil {
		return err
	}
	return t.drop(ctx, graph.HeldKey(sc.ID, graph.Absence{Kind: graph.KindReading, ID: id}))
}

// single tells whether the scope was one thing, asked for by its id.
func single(sc graph.Scope, prefix string) bool { return strings.Contains(sc.ID, " "+prefix+":") }

func (t *tie) absentAlert(ctx context.Context, sc graph.Scope, id graph.FindingID) error {
	r, _, _, ok := graph.ParseAlertID(id)
	if !ok {
		return fmt.Errorf("not an alert")
	}
	if !single(sc, "alert") {
		t.follow = append(t.follow, graph.Collection{Source: "github", Scope: "alert:" + string(id)})
		return nil
	}
	now, changed, err := graph.Update(ctx, t.Store, graph.FindingKey(r, id), graph.KindFinding, func(old graph.Versioned[graph.Finding]) (graph.Finding, bool, error) {
		next := old.Value
		if !old.Exists() || next.Alert == nil || next.State != graph.Open || next.Alert.UpdatedAt.After(sc.StartedAt) {
			return next, false, nil
		}
		alert := *next.Alert
		alert.State, alert.Reason, alert.UpdatedAt, alert.ClosedAt = graph.Fixed, "no longer on GitHub", sc.StartedAt, sc.StartedAt
		next.Alert, next.State = &alert, alert.State
		return next, true, nil
	})
	if err == nil && (changed || now.ID != "" && now.Lags()) {
		t.lag(r, id)
	}
	return err
}

func (t *tie) absentWorkload(ctx context.Context, sc graph.Scope, id graph.WorkloadID) error {
	return t.change(ctx, id, func(old graph.Versioned[graph.Workload]) graph.Workload {
		w := old.Value
		if !old.Exists() || w.Scope != sc.ID || w.UpdatedAt.After(sc.StartedAt) || resting(w, sc.StartedAt) {
			return w
		}
		w.Gone, w.UpdatedAt = true, sc.StartedAt
		return w
	})
}

// rest is how long a job may be out of sight before it counts as gone. It is longer than a day, after which an unchanged
// workload is noted as seen again.
const rest = 48 * time.Hour

// resting tells whether a workload that comes and goes was seen not long ago: what it runs will run again.
func resting(w graph.Workload, now time.Time) bool {
	return (w.Kind == "Job" || w.Kind == "CronJob") && now.Sub(w.UpdatedAt) < rest
}

func (t *tie) absentRuntime(ctx context.Context, sc graph.Scope, id string) error {
	digest, finding, ok := strings.Cut(id, "|")
	if !ok {
		return fmt.Errorf("want digest|finding")
	}
	old, err := graph.Get[graph.RuntimeFinding](ctx, t.Store, graph.RuntimeFindingKey(graph.Digest(digest), graph.FindingID(finding)))
	if err != nil || !old.Exists() || old.Value.State != graph.Open || old.Value.UpdatedAt.After(sc.StartedAt) {
		return err
	}
	f := old.Value
	f.State, f.Reason, f.UpdatedAt = graph.Fixed, retiredReason, sc.StartedAt
	return t.runtimeFinding(ctx, f)
}

func (t *tie) absentRepository(ctx context.Context, sc graph.Scope, id graph.RepositoryID) error {
	if !single(sc, "repository") {
		t.follow = append(t.follow, graph.Collection{Source: "github", Scope: "repository:" + string(id)})
		return nil
	}
	old, err := graph.Get[graph.Repository](ctx, t.Store, graph.RepositoryKey(id))
	if err != nil || !old.Exists() || old.Value.UpdatedAt.After(sc.StartedAt) {
		return err
	}
	r := old.Value
	r.Deleted, r.UpdatedAt = true, sc.StartedAt
	return t.repository(ctx, r)
}
