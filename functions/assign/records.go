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

// registrar takes down where images lie and run.
type registrar interface {
	// RecordDeployments tells of deployments in one cluster, at most a thousand; telling twice does no harm.
	RecordDeployments(ctx context.Context, login, cluster string, all []graph.Deployment) error
	// RecordStorage tells where an image lies.
	RecordStorage(ctx context.Context, login string, d graph.Deployment) error
}

// Records tells GitHub what runs and what threatens it, so that its own lists of alerts can be filtered by deployment and
// runtime risk. It is level-triggered: what GitHub was told lags behind what runs, in bulk for each cluster.
type Records struct {
	Store     graph.Store
	Registrar registrar
	Mode      Mode
	Modes     Modes
	Now       func() time.Time
	Log       *slog.Logger
}

const (
	perCall = 1000 // deployments
	perTick = 400  // repositories that are looked at in one tick; the next tick goes on behind them
	images  = 60   // that are told at a time, one call each
)

// told is what a repository has to tell.
type told struct {
	id     graph.RepositoryID
	login  string
	before graph.Versioned[graph.Recorded]
	next   graph.Recorded
}

// Tick tells what changed since the last time. What GitHub refuses for an organisation is logged and tried again later.
func (r Records) Tick(ctx context.Context) error {
	lagging, err := r.lagging(ctx)
	if err != nil {
		return fmt.Errorf("deployment records: %w", err)
	}
	byLogin := map[string][]told{}
	for _, t := range lagging {
		byLogin[t.login] = append(byLogin[t.login], t)
	}
	for login, all := range byLogin {
		if err := r.tell(ctx, login, all); final(err) {
			r.Log.WarnContext(ctx, "GitHub refuses deployment records", "organisation", login, "why", err.Error())
		} else if err != nil {
			return fmt.Errorf("deployment records of %s: %w", login, err)
		}
	}
	return nil
}

// lagging are repositories of which GitHub does not know yet what runs.
func (r Records) lagging(ctx context.Context) ([]told, error) {
	names, err := graph.Names(ctx, r.Store)
	if err != nil {
		return nil, err
	}
	var out []told
	for _, n := range r.turn(names) {
		owner, name, _ := strings.Cut(n.FullName, "/")
		if r.Modes.Of(graph.Repository{Owner: owner, Name: name}, r.Mode) != Auto {
			continue
		}
		x, err := graph.Get[graph.Exposure](ctx, r.Store, graph.ExposureKey(n.Repository))
		if err != nil {
			return nil, err
		}
		before, err := graph.Get[graph.Recorded](ctx, r.Store, graph.RecordedKey(n.Repository))
		if err != nil {
			return nil, err
		}
		if !x.Exists() || x.Value.Provisional || x.Value.Version == before.Value.Exposure {
			continue
		}
		next := graph.Recorded{Exposure: x.Value.Version, Stored: before.Value.Stored}
		if !x.Value.Deleted && !n.Deleted {
			next.Deployments = x.Value.Deployments()
		}
		out = append(out, told{n.Repository, owner, before, next})
	}
	return out, nil
}

// turn are the repositories that are looked at now: all, or each some of the time.
func (r Records) turn(names []graph.Name) []graph.Name {
	const tick = 5 * time.Minute
	if len(names) <= perTick {
		return names
	}
	from := int(r.Now().Unix()/int64(tick.Seconds())) % (len(names)/perTick + 1) * perTick
	return names[from:min(from+perTick, len(names))]
}

// tell sends what changed of some repositories, cluster by cluster, and notes it.
func (r Records) tell(ctx context.Context, login string, all []told) error {
	byCluster := map[string][]graph.Deployment{}
	for _, t := range all {
		for _, d := range t.changes() {
			byCluster[d.Cluster] = append(byCluster[d.Cluster], d)
		}
	}
	for cluster, changes := range byCluster {
		for part := range slices.Chunk(changes, perCall) {
			if err := r.Registrar.RecordDeployments(ctx, login, cluster, part); err != nil {
				return err
			}
		}
	}
	left := images
	for _, t := range all {
		if err := r.store(ctx, login, &t, &left); err != nil {
			return err
		}
		w, err := graph.NewWrite(graph.RecordedKey(t.id), graph.KindRecorded, t.before.ETag, t.next)
		if err != nil {
			return err
		}
		if err := r.Store.Write(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// store tells once where each running image lies. What is left over lags until the next time.
func (r Records) store(ctx context.Context, login string, t *told, left *int) error {
	for _, d := range t.next.Deployments {
		if slices.Contains(t.next.Stored, d.Digest) {
			continue
		}
		if *left--; *left < 0 {
			t.next.Exposure = ""
			break
		}
		if err := r.Registrar.RecordStorage(ctx, login, d); err != nil && !final(err) {
			return err
		}
		t.next.Stored = append(t.next.Stored, d.Digest)
	}
	t.next.Stored = slices.DeleteFunc(t.next.Stored, func(id graph.Digest) bool {
		return !slices.ContainsFunc(t.next.Deployments, func(d graph.Deployment) bool { return d.Digest == id })
	})
	return nil
}

// changes are the deployments that are new or different, and those that are gone.
func (t told) changes() []graph.Deployment {
	var out []graph.Deployment
	for _, d := range t.next.Deployments {
		if !slices.ContainsFunc(t.before.Value.Deployments, func(old graph.Deployment) bool { return graph.Version(old) == graph.Version(d) }) {
			out = append(out, d)
		}
	}
	for _, old := range t.before.Value.Deployments {
		stays := func(d graph.Deployment) bool { return d.Cluster == old.Cluster && d.Name == old.Name }
		if !slices.ContainsFunc(t.next.Deployments, stays) {
			old.Gone = true
			out = append(out, old)
		}
	}
	return out
}
