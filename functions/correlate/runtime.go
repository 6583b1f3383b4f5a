package correlate

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"throughline/shared/graph"
)

// retiredReason marks a runtime finding that its scope no longer held.
const retiredReason = "no longer reported by Defender for Cloud"

// runtimeFinding ties what Defender says of an image: beside the artifact, and as a finding of the image's repository.
func (t *tie) runtimeFinding(ctx context.Context, f graph.RuntimeFinding) error {
	if _, err := graph.ParseDigest(string(f.Digest)); err != nil {
		t.Log.WarnContext(ctx, "runtime finding skipped", slog.String("finding", string(f.ID)), slog.String("why", err.Error()))
		return nil
	}
	key := graph.RuntimeFindingKey(f.Digest, f.ID)
	now, _, err := graph.Update(ctx, t.Store, key, graph.KindRuntimeFinding, func(old graph.Versioned[graph.RuntimeFinding]) (graph.RuntimeFinding, bool, error) {
		// What was retired for want of a row is back as soon as a row says so, however old its date.
		retired := old.Value.Reason == retiredReason && f.Reason != retiredReason
		if old.Exists() && f.UpdatedAt.Before(old.Value.UpdatedAt) && !retired {
			return old.Value, false, nil
		}
		next := f
		if old.Exists() {
			next.Ties = old.Value.Ties
			if !old.Value.FirstSeen.IsZero() {
				next.FirstSeen = old.Value.FirstSeen
			}
		}
		changed := !old.Exists() || !same(next, old.Value)
		next.Loose = next.Loose || changed
		return next, changed, nil
	})
	if err != nil {
		return err
	}
	if !now.Loose {
		return t.relag(ctx, now)
	}
	return t.settleRuntime(ctx, now)
}

// relag reports an unchanged runtime finding whose decision still lags.
func (t *tie) relag(ctx context.Context, f graph.RuntimeFinding) error {
	for _, r := range f.Touches {
		home, err := graph.Get[graph.Finding](ctx, t.Store, graph.FindingKey(r, f.ID))
		if err != nil {
			return err
		}
		if home.Exists() && home.Value.Lags() {
			t.lag(r, f.ID)
		}
	}
	return nil
}

// settleRuntime writes what follows from a runtime finding. It stays loose until its image is mapped.
func (t *tie) settleRuntime(ctx context.Context, f graph.RuntimeFinding) error {
	if err := t.hold(ctx, f.Scope, graph.Absence{Kind: graph.KindRuntimeFinding, ID: string(f.Digest) + "|" + string(f.ID)}, f.State != graph.Open); err != nil {
		return err
	}
	if err := t.inquire(ctx, f.Digest, f.Image); err != nil {
		return err
	}
	t.owe(debt{digests: []graph.Digest{f.Digest}, guess: f.Touches})
	return nil
}

// maxMoves is how often a digest may change hands while its findings are being moved.
const maxMoves = 8

// rehome puts the runtime findings of a digest into the partition of the repository that owns it now, and takes them
// out of all others. When somebody else learned of another owner meanwhile it begins again.
func (t *tie) rehome(ctx context.Context, o origin) error {
	for range maxMoves {
		if moved, err := t.move(ctx, o); err != nil || !moved {
			return err
		}
		now, err := t.origin(ctx, o.digest)
		if err != nil {
			return err
		}
		if now.owner().Repository == o.owner().Repository {
			return t.homed(ctx, o.owner().Repository, o)
		}
		o = now
	}
	return fmt.Errorf("findings of %s: the owner keeps changing", o.digest.Short())
}

// move answers false when the digest has no runtime findings.
func (t *tie) move(ctx context.Context, o origin) (bool, error) {
	if len(o.findings) == 0 {
		return false, nil
	}
	owner := o.owner().Repository
	strangers := union([]graph.RepositoryID{graph.Unmapped(o.digest)}, o.claimants()...)
	if !owner.Mapped() {
		if _, _, err := t.exposeUnmapped(ctx, o); err != nil {
			return false, err
		}
	}
	if err := t.homes(ctx, owner, o); err != nil {
		return false, err
	}
	for _, r := range strangers {
		if r == owner {
			continue
		}
		if err := t.evictAll(ctx, r, owner, o); err != nil {
			return false, err
		}
	}
	return true, nil
}

// evictAll takes the findings of a digest out of a repository that does not own it, unless none can be there.
func (t *tie) evictAll(ctx context.Context, r, owner graph.RepositoryID, o origin) error {
	x, err := graph.Get[graph.Exposure](ctx, t.Store, graph.ExposureKey(r))
	if err != nil || !x.Exists() || !x.Value.Observed {
		return err
	}
	for _, f := range o.findings {
		gone, err := t.evict(ctx, r, x.Value.Org, f.Value.ID)
		if err != nil {
			return err
		}
		if gone {
			t.lag(owner, f.Value.ID) // its line may have been written by the former owner meanwhile
		}
	}
	return nil
}

// homed notes on the findings of a digest where they are. Those that somebody changed meanwhile are his to note.
func (t *tie) homed(ctx context.Context, owner graph.RepositoryID, o origin) error {
	ties := graph.Ties{Touches: []graph.RepositoryID{owner}}
	var ws []graph.Write
	for _, f := range o.findings {
		if same(f.Value.Ties, ties) {
			continue
		}
		next := f.Value
		next.Ties = ties
		w, err := graph.NewWrite(graph.RuntimeFindingKey(o.digest, next.ID), graph.KindRuntimeFinding, f.ETag, next)
		if err != nil {
			return err
		}
		ws = append(ws, w)
	}
	err := writeAll(ctx, t.Store, ws)
	if !stale(err) {
		return err
	}
	for _, w := range ws {
		if err := t.Store.Write(ctx, w); err != nil && !stale(err) {
			return err
		}
	}
	return nil
}

// exposeUnmapped keeps the exposure of an image without a repository.
func (t *tie) exposeUnmapped(ctx context.Context, o origin) (graph.Exposure, bool, error) {
	r := graph.Unmapped(o.digest)
	t.touch(r)
	return t.expose(ctx, r, []graph.Digest{o.digest})
}

// homes writes the findings of a digest's runtime findings.
func (t *tie) homes(ctx context.Context, r graph.RepositoryID, o origin) error {
	there, err := t.there(ctx, r, o)
	if err != nil {
		return err
	}
	var ws []graph.Write
	var changed []graph.Finding
	for _, f := range o.findings {
		next, change := t.homeOf(r, f.Value, there[f.Value.ID])
		if !change {
			if next.Lags() {
				t.lag(r, next.ID)
			}
			continue
		}
		w, next, err := graph.Replacing(graph.FindingKey(r, next.ID), graph.KindFinding, there[next.ID], next)
		if err != nil {
			return err
		}
		ws, changed = append(ws, w), append(changed, next)
	}
	if err := writeAll(ctx, t.Store, ws); stale(err) {
		for _, f := range o.findings { // somebody else writes one of them
			if err := t.home(ctx, r, f.Value); err != nil {
				return err
			}
		}
		return nil
	} else if err != nil || len(changed) == 0 {
		return err
	}
	return t.arrived(ctx, r, changed)
}

// few is how many findings are looked up one by one.
const few = 2

// there finds what the repository holds of a digest.
func (t *tie) there(ctx context.Context, r graph.RepositoryID, o origin) (map[graph.FindingID]graph.Versioned[graph.Finding], error) {
	out := map[graph.FindingID]graph.Versioned[graph.Finding]{}
	if len(o.findings) <= few {
		for _, f := range o.findings {
			old, err := graph.Get[graph.Finding](ctx, t.Store, graph.FindingKey(r, f.Value.ID))
			if err != nil {
				return nil, err
			}
			out[f.Value.ID] = old
		}
		return out, nil
	}
	q := graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(r), Kind: graph.KindFinding,
		Where: []graph.Where{{Field: "runtime.digest", Op: graph.Equal, Value: string(o.digest)}}}
	for {
		page, err := t.Store.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Documents {
			old := graph.Versioned[graph.Finding]{ETag: d.ETag}
			if err := json.Unmarshal(d.Data, &old.Value); err != nil {
				return nil, fmt.Errorf("read %s: %w", d.Key, err)
			}
			out[old.Value.ID] = old
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return out, nil
		}
	}
}

// arrived notes what follows from findings that are new in a repository or have changed.
func (t *tie) arrived(ctx context.Context, r graph.RepositoryID, changed []graph.Finding) error {
	for _, f := range changed {
		t.lag(r, f.ID)
	}
	x, err := t.observed(ctx, r)
	if err != nil || x.Provisional {
		return err // with the first inventory every finding of the repository is looked at
	}
	for _, f := range changed {
		if err := t.lagKin(ctx, r, f); err != nil {
			return err
		}
	}
	return nil
}

// homeOf is what the finding of a runtime finding becomes.
func (t *tie) homeOf(r graph.RepositoryID, f graph.RuntimeFinding, old graph.Versioned[graph.Finding]) (graph.Finding, bool) {
	f.Ties = graph.Ties{}
	next := old.Value
	next.ID, next.Repository, next.Kind, next.State, next.Runtime = f.ID, r, graph.RuntimeKind, f.State, &f
	next.FixKey = f.FixKey()
	next.Remediation = graph.NewRemediationID(r, next.FixKey)
	next.CVEs = nil
	for _, c := range f.CVEs {
		next.CVEs = append(next.CVEs, c.ID)
	}
	if next.FirstSeen.IsZero() {
		next.FirstSeen = f.FirstSeen
	}
	if !old.Exists() {
		next.Revision = t.now.UnixMilli() // newer than its lines from another repository
	}
	return next, !old.Exists() || !same(next, old.Value)
}

// home writes the finding of one runtime finding.
func (t *tie) home(ctx context.Context, r graph.RepositoryID, f graph.RuntimeFinding) error {
	now, changed, err := graph.Update(ctx, t.Store, graph.FindingKey(r, f.ID), graph.KindFinding, func(old graph.Versioned[graph.Finding]) (graph.Finding, bool, error) {
		next, change := t.homeOf(r, f, old)
		return next, change, nil
	})
	if err != nil {
		return err
	}
	if !changed {
		if now.Lags() {
			t.lag(r, f.ID)
		}
		return nil
	}
	return t.arrived(ctx, r, []graph.Finding{now})
}

// observed marks the exposure of a repository whose images have runtime findings.
func (t *tie) observed(ctx context.Context, r graph.RepositoryID) (graph.Exposure, error) {
	x, _, err := graph.Update(ctx, t.Store, graph.ExposureKey(r), graph.KindExposure, func(old graph.Versioned[graph.Exposure]) (graph.Exposure, bool, error) {
		next := old.Value
		next.Repository, next.Observed = r, true
		return next.Sealed(), !old.Value.Observed, nil
	})
	return x, err
}

// evict takes a finding out of a repository that does not own its image, with its line in the worklist. The finding goes
// first: who writes its line afterwards looks whether it is still there. A line that a crash left behind goes too.
// It answers whether the finding was there.
func (t *tie) evict(ctx context.Context, r graph.RepositoryID, org graph.OrgID, f graph.FindingID) (bool, error) {
	key := graph.FindingKey(r, f)
	was, err := graph.Get[graph.Finding](ctx, t.Store, key)
	if err != nil {
		return false, err
	}
	if was.Exists() {
		if err := t.drop(ctx, key); err != nil {
			return false, err
		}
	}
	if err := graph.DropSummary(ctx, t.Store, org, r, f); err != nil {
		return false, err
	}
	if !was.Exists() {
		return false, nil
	}
	t.lagOf(r).Remediations = union(t.lagOf(r).Remediations, was.Value.Remediation)
	_, _, err = t.expose(ctx, r, []graph.Digest{was.Value.Runtime.Digest})
	return true, err
}
