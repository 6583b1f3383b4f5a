package prioritize

import (
	"slices"

	"throughline/shared/graph"
)

// dueUpgrade is due with the next image that is built and deployed.
const dueUpgrade = "upgrade"

// maxImages bounds the images that a decision remembers.
const maxImages = 50

// upgraded tells whether what was due with the next upgrade is still there after it: it was due so before, and runs in an
// image now that did not run then. While a new image is being mapped the finding seems to run nowhere; what was due before
// is remembered over that.
func upgraded(d *graph.Decision, f graph.Finding, where reach) {
	was := f.Decision
	if was != nil && !was.Provisional && d.Published.Rank() >= graph.P3.Rank() {
		d.Images, d.Missed = was.Images, was.Missed
	}
	if d.Due != dueUpgrade || f.Runtime != nil || len(where.images) == 0 {
		return
	}
	var images []graph.Digest
	for _, a := range where.images[:min(len(where.images), maxImages)] {
		images = append(images, a.Digest)
	}
	later := func(i graph.Digest) bool { return !slices.Contains(d.Images, i) }
	d.Missed = d.Missed || len(d.Images) > 0 && slices.ContainsFunc(images, later)
	d.Images = images
}
