package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// rounds are the scopes under which GitHub was asked about digests together.
func (p *pipeline) rounds() []string {
	var out []string
	for _, c := range p.asked {
		if strings.HasPrefix(c.Scope, "inquiries:") {
			out = append(out, strings.TrimPrefix(c.Scope, "inquiries:"))
		}
	}
	return out
}

func runningNo(n int) graph.Workload {
	w := running()
	w.Path = fmt.Sprint(w.Path, n)
	w.ID = graph.NewWorkloadID(w.Path)
	w.Running = []graph.Running{{Digest: graph.Digest(fmt.Sprintf("sha256:%064x", n))}}
	return w
}

func (p *pipeline) digestsOf(round string) []graph.Digest {
	p.t.Helper()
	ds, _, err := graph.Graph{Store: p.store}.DigestsOfRound(context.Background(), round, "")
	if err != nil {
		p.t.Fatal(err)
	}
	return ds
}

func TestNewImagesAreAskedForTogether(t *testing.T) {
	p := newPipeline(t)
	for n := range 30 {
		p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Workloads: []graph.Workload{runningNo(2 * n), runningNo(2*n + 1)}})
	}
	rounds := p.rounds()
	if len(rounds) != 1 {
		t.Fatalf("%d questions for 60 images within one round", len(rounds))
	}
	if got := p.digestsOf(rounds[0]); len(got) != 60 {
		t.Fatalf("%d digests in the round", len(got))
	}
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Workloads: []graph.Workload{runningNo(100)}})
	rounds = p.rounds()
	if len(rounds) != 2 || !slices.Equal(p.digestsOf(rounds[1]), []graph.Digest{graph.Digest(fmt.Sprintf("sha256:%064x", 100))}) {
		t.Errorf("a round that was read takes part in no more: %v", rounds)
	}
}

// TestNoQuestionIsLost breaks the handling after each of its writes, delivers the event again, and looks whether every
// image that waits for an answer is in a round that somebody was told to ask for.
func TestNoQuestionIsLost(t *testing.T) {
	for writes := 1; ; writes++ {
		p := newPipeline(t)
		broken := &breaking{Store: p.store, left: writes}
		p.correlate.Store = broken
		events, err := event.NewObserved("/test", graph.Observation{Source: "test", ObservedAt: p.now, Workloads: []graph.Workload{runningNo(1), runningNo(2)}}, -1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.correlate.Handle(context.Background(), events[0])
		whole := err == nil
		p.correlate.Store = p.store
		p.settle(events)
		var asked []graph.Digest
		for _, round := range p.rounds() {
			asked = append(asked, p.digestsOf(round)...)
		}
		for _, n := range []int{1, 2} {
			if d := runningNo(n).Running[0].Digest; !slices.Contains(asked, d) {
				t.Fatalf("broken after %d writes: nobody asks about %s", writes-1, d.Short())
			}
		}
		if whole {
			if writes < 5 {
				t.Errorf("only %d writes", writes)
			}
			return
		}
	}
}

// breaking is a store whose process ends after some writes.
type breaking struct {
	graph.Store
	left int
}

func (b *breaking) Write(ctx context.Context, changes ...graph.Write) error {
	if b.left--; b.left < 0 {
		return fmt.Errorf("the process has ended")
	}
	return b.Store.Write(ctx, changes...)
}

// TestRoundThatIsReadTooEarlyIsReadAgain reads the round between the moment a handling joins it and the moment it notes
// its image.
func TestRoundThatIsReadTooEarlyIsReadAgain(t *testing.T) {
	p := newPipeline(t)
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Workloads: []graph.Workload{runningNo(1)}})
	first := p.rounds()
	if len(first) != 1 {
		t.Fatalf("asked %v", first)
	}
	p.correlate.Store = &hasty{Store: p.store, read: func() { p.digestsOf(first[0]) }}
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Workloads: []graph.Workload{runningNo(2)}})
	if again := p.rounds(); len(again) != 2 || again[1] != first[0] {
		t.Errorf("the image came too late for the round, and nobody was told to read it again: %v", again)
	}
}

// hasty has somebody read the round before an inquiry is noted.
type hasty struct {
	graph.Store
	read func()
}

func (h *hasty) Write(ctx context.Context, changes ...graph.Write) error {
	if changes[0].Key.Partition == graph.InquiriesPartition {
		h.read()
	}
	return h.Store.Write(ctx, changes...)
}
