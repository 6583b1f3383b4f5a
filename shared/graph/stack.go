package graph

import (
	"context"
	"slices"
)

// Images are found by their layers: stackPartition holds the images with exactly these layers and, once there is an image
// that goes on from them, a mark that says so. So most images, which nothing is built on, need not be compared with
// thousands that share the layers of a distribution. layersPartition lists all images that begin with a layer.
func stackPartition(layers []string) string { return "stack:" + Version(layers) }

func layersPartition(first string) string { return "layers:" + first }

const (
	kindStack   Kind = "stack"
	kindGoesOn  Kind = "goesOn"
	goesOnID         = "goes-on"
	longestBase      = 127 // layers of a base; no image that runs has more
)

// goesOn is the mark that images are built on a stack of layers.
type goesOn struct {
	Layers int `json:"layers"`
}

// Stack enters an image under its layers. It is entered whole before anybody looks for its bases or for what is built on
// it: of two images that are entered at once, one sees the other.
func (g Graph) Stack(ctx context.Context, a Artifact) error {
	if len(a.Layers) == 0 {
		return nil
	}
	for _, k := range []Key{StateKey(stackPartition(a.Layers), string(a.Digest)), StateKey(layersPartition(a.Layers[0]), string(a.Digest))} {
		w, err := NewWrite(k, kindStack, Any, a)
		if err != nil {
			return err
		}
		if err := g.Store.Write(ctx, w); err != nil {
			return err
		}
	}
	for n := min(len(a.Layers)-1, longestBase); n > 0; n-- {
		k := StateKey(stackPartition(a.Layers[:n]), goesOnID)
		mark, err := Get[goesOn](ctx, g.Store, k)
		if err != nil {
			return err
		}
		if mark.Exists() {
			continue
		}
		w, err := NewWrite(k, kindGoesOn, Any, goesOn{n})
		if err != nil {
			return err
		}
		if err := g.Store.Write(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// Bases lists the known images that an image was built on: by its layers, and by the digest that it names.
func (g Graph) Bases(ctx context.Context, a Artifact) ([]Artifact, error) {
	var out []Artifact
	for n := min(len(a.Layers)-1, longestBase); n > 0; n-- {
		found, err := ListAll[Artifact](ctx, g.Store, Query{Container: StateContainer, Partition: stackPartition(a.Layers[:n]), Kind: kindStack})
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	if a.Base == "" || slices.ContainsFunc(out, func(b Artifact) bool { return b.Digest == a.Base || slices.Contains(b.Indexes, a.Base) }) {
		return out, nil
	}
	named, err := Get[Artifact](ctx, g.Store, ArtifactKey(a.Base))
	if named.Exists() {
		out = append(out, named.Value)
	}
	return out, err
}

// above lists the images that may be built on a base.
func (g Graph) above(ctx context.Context, base Artifact) ([]Artifact, error) {
	if len(base.Layers) == 0 {
		return nil, nil
	}
	mark, err := Get[goesOn](ctx, g.Store, StateKey(stackPartition(base.Layers), goesOnID))
	if err != nil || !mark.Exists() {
		return nil, err
	}
	return ListAll[Artifact](ctx, g.Store, Query{Container: StateContainer, Partition: layersPartition(base.Layers[0]), Kind: kindStack})
}
