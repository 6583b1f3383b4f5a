package correlate

import (
	"context"
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
	if err := t.settleRuntime(ctx, now); err != nil {
		return err
	}
	o, err := t.origin(ctx, now.Digest)
	if err != nil {
		return err
	}
	return tighten(ctx, t.Store, key, graph.KindRuntimeFinding, now, func(v *graph.RuntimeFinding) {
		v.Ties = graph.Ties{Touches: []graph.RepositoryID{o.owner().Repository}}
	})
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

// settleRuntime writes what follows from a runtime finding.
func (t *tie) settleRuntime(ctx context.Context, f graph.RuntimeFinding) error {
	if err := t.hold(ctx, f.Scope, graph.Absence{Kind: graph.KindRuntimeFinding, ID: string(f.Digest) + "|" + string(f.ID)}, f.State != graph.Open); err != nil {
		return err
	}
	if err := t.inquire(ctx, f.Digest, f.Image); err != nil {
		return err
	}
	_, err := t.exposeDigest(ctx, f.Digest)
	return err
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
		if err != nil || now.owner().Repository == o.owner().Repository {
			return err
		}
		o = now
	}
	return fmt.Errorf("findings of %s: the owner keeps changing", o.digest.Short())
}

// move answers false when the digest has no runtime findings.
func (t *tie) move(ctx context.Context, o origin) (bool, error) {
	found, err := graph.ListAll[graph.RuntimeFinding](ctx, t.Store, graph.Query{Container: graph.GraphContainer, Partition: graph.ArtifactPartition(o.digest), Kind: graph.KindRuntimeFinding})
	if err != nil || len(found) == 0 {
		return false, err
	}
	owner := o.owner().Repository
	strangers := union([]graph.RepositoryID{graph.Unmapped(o.digest)}, o.claimants()...)
	if !owner.Mapped() {
		if _, _, err := t.exposeUnmapped(ctx, o); err != nil {
			return false, err
		}
	}
	for _, f := range found {
		if err := t.home(ctx, owner, f); err != nil {
			return false, err
		}
		for _, r := range strangers {
			if r == owner {
				continue
			}
			gone, err := t.evict(ctx, r, f.ID)
			if err != nil {
				return false, err
			}
			if gone {
				t.lag(owner, f.ID) // its line may have been written by the former owner meanwhile
			}
		}
	}
	return true, nil
}

// exposeUnmapped keeps the exposure of an image without a repository.
func (t *tie) exposeUnmapped(ctx context.Context, o origin) (graph.Exposure, bool, error) {
	r := graph.Unmapped(o.digest)
	t.touch(r)
	return t.expose(ctx, r, []graph.Digest{o.digest})
}

// home writes the finding of a runtime finding.
func (t *tie) home(ctx context.Context, r graph.RepositoryID, f graph.RuntimeFinding) error {
	f.Ties = graph.Ties{}
	now, changed, err := graph.Update(ctx, t.Store, graph.FindingKey(r, f.ID), graph.KindFinding, func(old graph.Versioned[graph.Finding]) (graph.Finding, bool, error) {
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
		return next, !old.Exists() || !same(next, old.Value), nil
	})
	if err != nil {
		return err
	}
	if changed || now.Lags() {
		t.lag(r, f.ID)
	}
	if !changed {
		return nil
	}
	if err := t.observed(ctx, r); err != nil {
		return err
	}
	return t.lagKin(ctx, r, now)
}

// observed marks the exposure of a repository whose images have runtime findings.
func (t *tie) observed(ctx context.Context, r graph.RepositoryID) error {
	_, _, err := graph.Update(ctx, t.Store, graph.ExposureKey(r), graph.KindExposure, func(old graph.Versioned[graph.Exposure]) (graph.Exposure, bool, error) {
		next := old.Value
		next.Repository, next.Observed = r, true
		return next.Sealed(), !old.Value.Observed, nil
	})
	return err
}

// evict takes a finding out of a repository that does not own its image, with its line in the worklist. The finding goes
// first: who writes its line afterwards looks whether it is still there. A line that a crash left behind goes too.
// It answers whether the finding was there.
func (t *tie) evict(ctx context.Context, r graph.RepositoryID, f graph.FindingID) (bool, error) {
	key := graph.FindingKey(r, f)
	was, err := graph.Get[graph.Finding](ctx, t.Store, key)
	if err != nil {
		return false, err
	}
	x, err := graph.Get[graph.Exposure](ctx, t.Store, graph.ExposureKey(r))
	if err != nil {
		return false, err
	}
	if was.Exists() {
		if err := t.drop(ctx, key); err != nil {
			return false, err
		}
	}
	if err := graph.DropSummary(ctx, t.Store, x.Value.Org, r, f); err != nil {
		return false, err
	}
	if !was.Exists() {
		return false, nil
	}
	t.lagOf(r).Remediations = union(t.lagOf(r).Remediations, was.Value.Remediation)
	_, _, err = t.expose(ctx, r, []graph.Digest{was.Value.Runtime.Digest})
	return true, err
}
