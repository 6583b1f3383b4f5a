package assign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"throughline/shared/graph"
)

// history tells which commits descend from which.
type history interface {
	// Compare tells whether base, a commit or a branch, is an ancestor of head, or the same. graph.ErrNotFound tells that
	// one of them is not in the repository.
	Compare(ctx context.Context, r graph.Repository, base, head string) (bool, error)
}

// prove follows a fix whose findings are all closed into what runs. An image has the fix when it was built from a commit
// that descends from one with the fix. That commit is the merge of a linked pull request, or any that holds the whole
// default branch at a time when GitHub already called the alerts fixed.
func (c *work) prove(ctx context.Context) error {
	c.proof = graph.Proof{}
	if len(c.open()) > 0 || c.dismissed() || c.repository.Deleted || c.repository.Archived {
		return nil
	}
	pr := graph.Proof{FixedAt: c.lastClosed()}
	if before := c.remediation.Proof; before != nil && before.FixedAt.Equal(pr.FixedAt) {
		pr.Commit, pr.Fixed, pr.CleanSince = before.Commit, before.Fixed, before.CleanSince
	}
	if pr.Commit == "" {
		pr.Commit = c.mergedFix(pr.FixedAt)
	}
	if err := c.images(ctx, &pr); err != nil {
		return err
	}
	if err := c.strays(ctx, &pr); err != nil {
		return err
	}
	c.count(&pr)
	pr.Missing = c.missing(pr)
	if pr.Missing != "" {
		pr.CleanSince = time.Time{}
	} else if pr.CleanSince.IsZero() {
		pr.CleanSince = c.now
	}
	c.proof = pr
	return nil
}

func (c *work) lastClosed() time.Time {
	var at time.Time
	for _, f := range c.findings {
		if t := closedAt(f); f.State != graph.Open && t.After(at) {
			at = t
		}
	}
	return at
}

// near is how close to the closing of the alerts a pull request must have been merged to be taken for their fix.
const near = 24 * time.Hour

// mergedFix is the merge commit of the newest linked pull request, when the alerts were closed about then.
func (c *work) mergedFix(fixed time.Time) string {
	var newest graph.PullRequest
	for _, p := range c.remediation.PullRequests {
		if p.Repository == c.repository.ID && p.State == "merged" && gitCommit.MatchString(p.Commit) && !p.UpdatedAt.Before(newest.UpdatedAt) {
			newest = p
		}
	}
	if newest.Commit == "" || fixed.Sub(newest.UpdatedAt).Abs() > near {
		return ""
	}
	return newest.Commit
}

// images sorts what runs into images with the fix and without.
func (c *work) images(ctx context.Context, pr *graph.Proof) error {
	if c.onlySecrets() {
		return nil
	}
	for _, a := range c.exposure.Artifacts {
		if slices.Contains(pr.Fixed, a.Digest) && !c.reported(a.Digest) {
			continue
		}
		pr.Fixed = slices.DeleteFunc(slices.Clone(pr.Fixed), func(d graph.Digest) bool { return d == a.Digest })
		has, err := c.has(ctx, pr, a)
		if err != nil {
			return err
		}
		if has {
			pr.Fixed = append(pr.Fixed, a.Digest)
		} else {
			pr.Old = append(pr.Old, a.Digest)
		}
	}
	return nil
}

func (c *work) onlySecrets() bool {
	return !slices.ContainsFunc(c.findings, func(f graph.Finding) bool { return f.Kind != graph.SecretScanning })
}

// reported tells whether Defender for Cloud still sees a flaw of the fix in a running image.
func (c *work) reported(d graph.Digest) bool {
	return slices.ContainsFunc(c.findings, func(f graph.Finding) bool {
		return f.Runtime != nil && f.State == graph.Open && f.Runtime.Digest == d ||
			slices.ContainsFunc(f.Matches, func(m graph.RuntimeMatch) bool { return m.Digest == d })
	})
}

// has tells whether an image is proven to have the fix.
func (c *work) has(ctx context.Context, pr *graph.Proof, a graph.ExposedArtifact) (bool, error) {
	if c.reported(a.Digest) {
		return false, nil
	}
	if c.onlyRuntime() {
		return true, nil // what was reported is reported no more, and that is all that was ever known
	}
	if !gitCommit.MatchString(a.Commit) || c.History == nil {
		return false, nil
	}
	if pr.Commit != "" {
		if has, err := c.descends(ctx, pr.Commit, a.Commit); has || err != nil {
			return has, err
		}
	}
	if c.repository.DefaultBranch == "" {
		return false, nil
	}
	holds, err := c.descends(ctx, c.repository.DefaultBranch, a.Commit)
	if holds && pr.Commit == "" {
		pr.Commit = a.Commit
	}
	return holds, err
}

func (c *work) onlyRuntime() bool {
	return !slices.ContainsFunc(c.findings, func(f graph.Finding) bool { return f.Runtime == nil })
}

func (c *work) descends(ctx context.Context, base, head string) (bool, error) {
	has, err := c.History.Compare(ctx, c.repository, base, head)
	if errors.Is(err, graph.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("compare %s with %s: %w", base, head, err)
	}
	return has, nil
}

// maxRan bounds the workloads that are kept in sight.
const maxRan = 1000

// ran are the workloads to keep in sight: those that ever ran the repository's images since the fix was open.
func (c *work) ran(p plan) []graph.WorkloadID {
	var ids []graph.WorkloadID
	if p.status != graph.StatusVerified {
		ids = slices.Clone(c.remediation.Ran)
	}
	for _, w := range c.exposure.Workloads {
		if len(ids) < maxRan && !slices.Contains(ids, w.ID) {
			ids = append(ids, w.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// strays finds the workloads that left the exposure without a known reason: what they run now may be a new build whose
// origin is still being asked for, or never will be known.
func (c *work) strays(ctx context.Context, pr *graph.Proof) error {
	if c.onlySecrets() {
		return nil
	}
	for _, id := range c.remediation.Ran {
		if _, known := c.workload(id); known {
			continue
		}
		stray, err := c.stray(ctx, id)
		if err != nil {
			return err
		}
		if stray {
			pr.Strays = append(pr.Strays, id)
		}
	}
	return nil
}

func (c *work) stray(ctx context.Context, id graph.WorkloadID) (bool, error) {
	w, err := graph.Get[graph.Workload](ctx, c.Store, graph.WorkloadKey(id))
	if err != nil || !w.Exists() || w.Value.Gone {
		return false, err
	}
	for _, r := range w.Value.Running {
		if r.Ended {
			continue
		}
		if r.Digest == "" {
			return true, nil
		}
		line, err := graph.Get[graph.ArtifactLine](ctx, c.Store, graph.StateKey(graph.ArtifactsPartition, string(r.Digest)))
		if err != nil {
			return false, err
		}
		if of := line.Value.Repository; of == "" || of == c.repository.ID {
			return true, nil
		}
	}
	return false, nil
}

// count counts the workloads that run the fix and nothing without it.
func (c *work) count(pr *graph.Proof) {
	if c.onlySecrets() {
		return
	}
	pr.Total = len(pr.Strays)
	for _, w := range c.exposure.Workloads {
		pr.Total++
		if !slices.ContainsFunc(w.Digests, func(d graph.Digest) bool { return slices.Contains(pr.Old, d) }) {
			pr.Running++
		}
	}
}

// missing tells what is not proven yet.
func (c *work) missing(pr graph.Proof) string {
	switch {
	case c.onlySecrets():
		return ""
	case !c.exposure.Inventory || c.exposure.Provisional:
		return "the inventory is not complete"
	case len(pr.Strays) > 0:
		return fmt.Sprintf("%d of %d workloads run an image whose origin is not known", len(pr.Strays), pr.Total)
	case !c.exposure.Images && !c.onlyRuntime():
		return "no image is known to come from the repository"
	case len(pr.Old) > 0 && pr.Running == 0:
		return "no running image is proven to be built from a commit with the fix"
	case len(pr.Old) > 0:
		return fmt.Sprintf("%d of %d workloads run an image that is not proven to have the fix", pr.Total-pr.Running, pr.Total)
	}
	return ""
}

// progress tells how far a fix has come whose findings are all closed.
func (c *work) progress() (graph.Status, string) {
	pr := c.proof
	switch {
	case pr.Missing == "" && !pr.CleanSince.IsZero() && !c.now.Before(c.verifiedAt()):
		return graph.StatusVerified, "nothing runs without the fix"
	case pr.Running > 0 && pr.Total > 0 && !c.onlySecrets():
		return graph.StatusRollingOut, fmt.Sprintf("%d of %d workloads run the fix", pr.Running, pr.Total)
	}
	return graph.StatusFixedInCode, "every finding is closed; " + pr.Missing
}

// verifiedAt is when the window has passed in which nothing without the fix was seen. A revoked secret waits for nothing.
func (c *work) verifiedAt() time.Time {
	if c.onlySecrets() {
		return c.proof.CleanSince
	}
	return c.proof.CleanSince.Add(c.Window)
}

// look is how long it takes until workloads that nobody announces are looked at again.
const look = 10 * time.Minute

// waits is *graph.Limited while only time is left to pass: the window, or that of a workload whose image is not known.
func (c *work) waits(p plan) error {
	if len(c.proof.Strays) > 0 && c.remediation.Issue != nil && c.remediation.Issue.State == "open" {
		return &graph.Limited{Until: c.now.Add(look), Why: c.proof.Missing}
	}
	if c.proof.CleanSince.IsZero() || p.status == graph.StatusVerified || c.verifiedAt().Before(c.now) {
		return nil
	}
	return &graph.Limited{Until: c.verifiedAt(), Why: "the fix runs everywhere; the window is left to pass"}
}

// verification tells how the fix will be verified, or how it was.
func (c *work) verification(b *strings.Builder, p plan) {
	fmt.Fprint(b, "### How it is verified\n\n")
	if p.status == graph.StatusVerified {
		fmt.Fprintf(b, "%s\n", c.evidenceText(p))
		return
	}
	if c.onlySecrets() {
		fmt.Fprint(b, "It counts as done once the alert is closed as revoked.\n\n")
		return
	}
	fmt.Fprint(b, "It counts as done once every alert is closed and every running image of this repository is proven to be built from a commit with the fix.")
	if c.hadRuntime() {
		fmt.Fprint(b, " Defender for Cloud must no longer report it.")
	}
	fmt.Fprint(b, " This issue is then closed with the evidence, and opened again if it comes back.\n\n")
}

func (c *work) hadRuntime() bool {
	return slices.ContainsFunc(c.findings, func(f graph.Finding) bool { return f.Runtime != nil || len(f.Matches) > 0 })
}

// evidenceText is the proof in words.
func (c *work) evidenceText(p plan) string {
	var b strings.Builder
	fmt.Fprint(&b, "Verified: the fix runs.\n\n")
	if !p.proof.FixedAt.IsZero() {
		fmt.Fprintf(&b, "- every finding of this fix was closed by %s\n", p.proof.FixedAt.UTC().Format("2 January 2006 15:04 UTC"))
	}
	if gitCommit.MatchString(p.proof.Commit) {
		fmt.Fprintf(&b, "- the fix is in commit %s\n", code(p.proof.Commit[:12]))
	}
	switch {
	case c.onlySecrets():
		fmt.Fprint(&b, "- the alert was closed as revoked; where the code runs does not matter\n")
	case p.proof.Total == 0:
		fmt.Fprint(&b, "- the inventory is complete and nothing runs an image of this repository\n")
	case c.public():
		fmt.Fprint(&b, "- every running image of this repository is built from a commit with the fix\n")
	default:
		fmt.Fprintf(&b, "- %d of %d workloads run it, and nothing without it was seen since %s\n", p.proof.Running, p.proof.Total, p.proof.CleanSince.UTC().Format("2 January 2006 15:04 UTC"))
		c.imageProof(&b)
	}
	if c.Signed {
		fmt.Fprintf(&b, "- signed evidence: %s of Throughline, an in-toto statement with OpenVEX\n", code("/api/evidence/"+string(c.remediation.ID)))
	}
	return b.String()
}

func (c *work) imageProof(b *strings.Builder) {
	for i, a := range c.exposure.Artifacts {
		if i == maxLinks {
			fmt.Fprintf(b, "- … and %d more images\n", len(c.exposure.Artifacts)-maxLinks)
			return
		}
		from := "nothing of it is reported there any more"
		if gitCommit.MatchString(a.Commit) {
			from = fmt.Sprintf("built from %s, by %s (%s)", code(a.Commit[:12]), code(string(a.Method)), a.Method.Confidence())
		}
		fmt.Fprintf(b, "- image %s: %s\n", code(a.Name+"@"+a.Digest.Short()), from)
	}
}
