// Package provenance finds out which repository built an image: from signed attestations, from the labels that the
// build wrote into the image, from what operators declare, and, only to be shown, from names.
//
// Every answer is a graph.Evidence with its method; what must not be believed is kept with the reason for it. The
// package compares nothing across methods: contradictions are ranked by whoever reads the evidence.
package provenance
