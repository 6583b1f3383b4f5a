package provenance

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"throughline/shared/graph"
)

// pullers are one for each registry host, so that images read together sign in once.
type pullers struct {
	mu   sync.Mutex
	made map[string]*remote.Puller
}

func (p *pullers) of(host string, options []remote.Option) (*remote.Puller, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if have := p.made[host]; have != nil {
		return have, nil
	}
	made, err := remote.NewPuller(options...)
	if err != nil {
		return nil, err
	}
	if p.made == nil {
		p.made = map[string]*remote.Puller{}
	}
	p.made[host] = made
	return made, nil
}

// pullsAtOnce is how many images are read at the same time.
const pullsAtOnce = 4

// images reads many images. When none could be read it answers the first trouble, so that all are tried again.
func (r *Registry) images(ctx context.Context, q graph.Collection) (graph.Collected, error) {
	references := strings.Split(q.Cursor, "\n")
	got, failed := make([]graph.Collected, len(references)), make([]error, len(references))
	shared := &pullers{}
	var group sync.WaitGroup
	slots := make(chan struct{}, pullsAtOnce)
	for i, reference := range references {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			got[i], failed[i] = r.read(ctx, reference, shared)
		})
	}
	group.Wait()
	var all graph.Collected
	all.Skipped = map[string]int{}
	for i, reference := range references {
		_, digest, _ := strings.Cut(reference, "@")
		d, err := graph.ParseDigest(digest)
		if err != nil {
			all.Skipped["reference without a digest"]++
			continue
		}
		if failed[i] != nil {
			all.Follow = append(all.Follow, graph.Collection{Source: q.Source, Scope: "image:" + reference})
			continue
		}
		o := &all.Observation
		o.Source, o.ObservedAt = got[i].Observation.Source, got[i].Observation.ObservedAt
		o.Artifacts, o.Evidence = append(o.Artifacts, got[i].Observation.Artifacts...), append(o.Evidence, got[i].Observation.Evidence...)
		o.Answered = append(o.Answered, d)
		for why, n := range got[i].Skipped {
			all.Skipped[why] += n
		}
	}
	if len(all.Observation.Answered) == 0 && len(all.Follow) > 0 {
		return graph.Collected{}, firstLimit(failed)
	}
	return all, nil
}

// firstLimit prefers the error that says when to come back.
func firstLimit(failed []error) error {
	var first error
	for _, err := range failed {
		var limited *graph.Limited
		if errors.As(err, &limited) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}
