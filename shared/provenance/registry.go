package provenance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"throughline/shared/graph"
)

const (
	// maxManifests bounds the manifests of one index.
	maxManifests = 64
	// maxAnswer bounds an answer of a registry after decompression.
	maxAnswer = 8 << 20
)

// Registry reads images in container registries: what they are made of and what their labels say. The zero value reads
// public registries without signing in. It is safe for concurrent use and must not be copied after its first use.
type Registry struct {
	// Mirrors replace a registry host by another host with a path in front, such as shopacr.azurecr.io by
	// 127.0.0.1:7090/shopacr.azurecr.io; a mirror on loopback is read over plain http. The key * stands for every other
	// host, whose name is then put behind the mirror: * → 127.0.0.1:7090 reads quay.io/a/b at 127.0.0.1:7090/quay.io/a/b.
	Mirrors map[string]string
	// Keychain signs in to registries; nil: without signing in.
	Keychain authn.Keychain
	// Credential signs in to Azure Container Registry; nil: as Keychain says.
	Credential azcore.TokenCredential
	// Hosts are the GitHub hosts that labels may name; none means github.com.
	Hosts []string
	// Reach tells which hosts without a mirror may be asked; nil: every public one.
	Reach func(host string) bool
	// Transport replaces http.DefaultTransport.
	Transport http.RoundTripper
	// Log is told which base images could not be compared; nil: nobody is.
	Log *slog.Logger
	// Now replaces time.Now.
	Now func() time.Time

	azure exchanges
}

// Read reads one image. The scope is `image:<reference>`, by tag or digest as a workload writes it. It answers the
// artifact, for an index also its manifests, and the evidence of the labels. An image that is gone or may not be read
// is skipped and counted; a registry that limits the rate answers a *graph.Limited; one in trouble is an error.
//
// `images:<name>` reads the images whose references by digest stand in the cursor, one a line, and answers which of them
// it has read to the end. The others follow one by one.
func (r *Registry) Read(ctx context.Context, q graph.Collection) (graph.Collected, error) {
	if strings.HasPrefix(q.Scope, "images:") {
		return r.images(ctx, q)
	}
	image, ok := strings.CutPrefix(q.Scope, "image:")
	if !ok {
		return graph.Collected{}, fmt.Errorf("read %s %s: unknown scope", q.Source, q.Scope)
	}
	return r.read(ctx, image, &pullers{})
}

// read reads one image.
func (r *Registry) read(ctx context.Context, image string, shared *pullers) (graph.Collected, error) {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	p := &pull{Registry: r, at: now().UTC().Truncate(time.Second), skipped: map[string]int{}, pullers: shared}
	p.transport = &bounded{inner: r.Transport, now: now}
	err := p.image(ctx, image)
	if reason := skippable(err); reason != "" {
		p.skipped[reason]++
		p.artifacts, p.evidence, err = nil, nil, nil
	}
	if err != nil {
		return graph.Collected{}, fmt.Errorf("read image %.300s: %w", image, err)
	}
	out := graph.Collected{Observation: graph.Observation{Source: "registry", ObservedAt: p.at, Artifacts: p.artifacts, Evidence: p.evidence}}
	if len(p.skipped) > 0 {
		out.Skipped = p.skipped
	}
	return out, nil
}

// errReference is a reference that names no image in a registry that may be asked.
var errReference = errors.New("image reference not understood")

// errOutside is a registry that Reach forbids.
var errOutside = errors.New("registry lies outside; name it in REGISTRY_MIRRORS")

// skippable tells why an image is left out although nothing is wrong with the registry; empty when that is not so.
func skippable(err error) string {
	var refused *transport.Error
	var dns *net.DNSError
	switch {
	case errors.Is(err, errReference):
		return errReference.Error()
	case errors.Is(err, errOutside):
		return errOutside.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return "registry does not exist"
	case errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound:
		return "image not found"
	case errors.As(err, &refused) && (refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden):
		return "image not readable"
	}
	return ""
}

// pull is one call of Read.
type pull struct {
	*Registry
	at        time.Time
	transport http.RoundTripper
	artifacts []graph.Artifact
	evidence  []graph.Evidence
	skipped   map[string]int
	pullers   *pullers
}

// source is where an image is read and what it is called.
type source struct {
	ref    name.Reference // at the mirror, if there is one
	name   string         // registry/path
	tag    string         // registry/path:tag; empty for a digest
	puller *remote.Puller
}

// image reads an image with all its manifests, and the labels of its base images.
func (p *pull) image(ctx context.Context, reference string) error {
	src, err := p.locate(reference)
	if err != nil {
		return err
	}
	desc, err := src.puller.Get(ctx, src.ref)
	if err != nil {
		return err
	}
	top, children, err := p.closure(ctx, src, desc)
	if err != nil {
		return err
	}
	if src.tag != "" {
		top.Tags = []string{src.tag}
		if reference != src.tag {
			top.Tags = append(top.Tags, reference)
		}
	}
	p.artifacts = append([]graph.Artifact{top}, children...)
	return p.judge(ctx)
}

// locate finds the image's place, through a mirror if there is one. Addresses and names without a dot are never asked:
// references come from outside.
func (p *pull) locate(reference string) (source, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return source{}, fmt.Errorf("%w: %.200s", errReference, reference)
	}
	host := ref.Context().RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io"
	}
	src := source{ref: ref, name: host + "/" + ref.Context().RepositoryStr()}
	if tag, ok := ref.(name.Tag); ok {
		src.tag = src.name + ":" + tag.TagStr()
	}
	if mirror := p.mirror(host); mirror != "" {
		place, err := name.NewRepository(mirror+"/"+ref.Context().RepositoryStr(), name.StrictValidation)
		if err != nil {
			return source{}, fmt.Errorf("mirror of %s: %w", host, err)
		}
		if tag, ok := ref.(name.Tag); ok {
			src.ref = place.Tag(tag.TagStr())
		} else {
			src.ref = place.Digest(ref.Identifier())
		}
	} else if !public(host) {
		return source{}, fmt.Errorf("%w: registry %q", errReference, host)
	} else if p.Reach != nil && !p.Reach(host) {
		return source{}, fmt.Errorf("%w: %q", errOutside, host)
	}
	src.puller, err = p.pullers.of(host, p.options(host))
	return src, err
}

func (p *pull) mirror(host string) string {
	if m, ok := p.Mirrors[host]; ok {
		return strings.Trim(m, "/")
	}
	if m, ok := p.Mirrors["*"]; ok {
		return strings.Trim(m, "/") + "/" + strings.ReplaceAll(host, ":", "_")
	}
	return ""
}

// public tells whether a host is a name that may belong to a registry out there.
func public(host string) bool {
	bare := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		bare = h
	}
	local := strings.HasSuffix(bare, ".local") || strings.HasSuffix(bare, ".localhost") || strings.HasSuffix(bare, ".internal")
	return net.ParseIP(strings.Trim(bare, "[]")) == nil && strings.Contains(bare, ".") && !local
}

func (p *pull) options(host string) []remote.Option {
	options := []remote.Option{remote.WithTransport(p.transport), remote.WithUserAgent("throughline"), remote.WithRetryBackoff(remote.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Steps: 2})}
	switch {
	case p.Credential != nil && isAzure(host) && p.mirror(host) == "":
		return append(options, remote.WithAuth(&azureAuth{host: host, registry: p.Registry, transport: p.transport}))
	case p.Keychain != nil:
		return append(options, remote.WithAuthFromKeychain(p.Keychain))
	}
	return options
}

// closure reads the artifact behind a descriptor and, for an index, those of its manifests.
func (p *pull) closure(ctx context.Context, src source, desc *remote.Descriptor) (graph.Artifact, []graph.Artifact, error) {
	if !desc.MediaType.IsIndex() {
		a, err := p.manifest(src, desc)
		return a, nil, err
	}
	a, err := p.artifact(src, desc)
	if err != nil {
		return a, nil, err
	}
	index, err := desc.ImageIndex()
	if err != nil {
		return a, nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return a, nil, err
	}
	a.Labels = known(list.Annotations)
	var children []graph.Artifact
	for i, entry := range list.Manifests {
		if i == maxManifests {
			p.skipped["more manifests in an index than are read"]++
			break
		}
		child, err := p.child(ctx, src, entry)
		if err != nil {
			return a, nil, err
		}
		child.Indexes = []graph.Digest{a.Digest}
		a.Manifests = append(a.Manifests, child.Digest)
		children = append(children, child)
	}
	return a, children, nil
}

// child reads one entry of an index. The record of the build that BuildKit adds is linked and not read.
func (p *pull) child(ctx context.Context, src source, entry v1.Descriptor) (graph.Artifact, error) {
	d, err := graph.ParseDigest(entry.Digest.String())
	if err != nil {
		return graph.Artifact{}, err
	}
	a := graph.Artifact{Digest: d, Names: []string{src.name}, MediaType: string(entry.MediaType), Platform: platform(entry.Platform), UpdatedAt: p.at}
	if entry.Annotations["vnd.docker.reference.type"] != "" || a.Platform == "unknown/unknown" || !entry.MediaType.IsImage() {
		return a, nil
	}
	desc, err := src.puller.Get(ctx, src.ref.Context().Digest(entry.Digest.String()))
	if err != nil {
		return a, err
	}
	read, err := p.manifest(src, desc)
	if a.Platform != "" {
		read.Platform = a.Platform
	}
	return read, err
}

func (p *pull) artifact(src source, desc *remote.Descriptor) (graph.Artifact, error) {
	d, err := graph.ParseDigest(desc.Digest.String())
	return graph.Artifact{Digest: d, Names: []string{src.name}, MediaType: string(desc.MediaType), UpdatedAt: p.at}, err
}

// manifest reads the configuration of one image: its labels and the layers it is made of.
func (p *pull) manifest(src source, desc *remote.Descriptor) (graph.Artifact, error) {
	a, err := p.artifact(src, desc)
	if err != nil || !desc.MediaType.IsImage() {
		return a, err
	}
	image, err := desc.Image()
	if err != nil {
		return a, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return a, fmt.Errorf("configuration of %s: %w", a.Digest.Short(), err)
	}
	a.Platform = platform(config.Platform())
	a.Labels = known(config.Config.Labels)
	for _, layer := range config.RootFS.DiffIDs {
		a.Layers = append(a.Layers, layer.String())
	}
	a.BaseName = a.Labels[labelBaseName]
	if base, err := graph.ParseDigest(a.Labels[labelBaseDigest]); err == nil {
		a.Base = base
	}
	return a, nil
}

func platform(p *v1.Platform) string {
	if p == nil || p.OS == "" || p.Architecture == "" {
		return ""
	}
	return strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
}

// judge turns the labels into evidence, after the base images that the labels name were read too. The evidence of all
// manifests of an index is said of the index as well when it is the same.
func (p *pull) judge(ctx context.Context) error {
	bases, err := p.bases(ctx)
	if err != nil {
		return err
	}
	var of []graph.Evidence
	labelled, differ := 0, false
	for _, a := range p.artifacts {
		if source := a.Labels[labelSource]; source != "" && len(JudgeLabels(a, nil, p.Hosts...)) == 0 {
			p.skipped["source label names no repository on this GitHub"]++
		}
		es := JudgeLabels(a, bases, p.Hosts...)
		p.evidence = append(p.evidence, es...)
		if len(a.Indexes) > 0 && a.Layers != nil {
			labelled++
			of = append(of, es...)
		}
	}
	for _, e := range of {
		differ = differ || e.RepositoryName != of[0].RepositoryName || e.Refused != of[0].Refused
	}
	index := p.artifacts[0]
	own := slices.ContainsFunc(p.evidence, func(e graph.Evidence) bool { return e.Digest == index.Digest })
	if len(of) > 0 && len(of) == labelled && !differ && !own {
		e := of[0]
		e.Digest, e.Note = index.Digest, "the label of all its manifests"
		p.evidence = append(p.evidence, e)
	}
	return nil
}

// bases reads the base images that the labels name. One that cannot be read is left out: its labels are then judged
// when it is known from elsewhere.
func (p *pull) bases(ctx context.Context) ([]graph.Artifact, error) {
	var read []string
	var out []graph.Artifact
	for _, a := range p.artifacts {
		reference := a.BaseName
		if reference == "" {
			continue
		}
		if a.Base != "" {
			reference, _, _ = strings.Cut(reference, "@")
			reference += "@" + string(a.Base)
		}
		if slices.Contains(read, reference) {
			continue
		}
		read = append(read, reference)
		family, err := p.base(ctx, reference)
		if reason := skippable(err); reason != "" {
			p.skipped["base "+reason]++
			if p.Log != nil {
				p.Log.InfoContext(ctx, "base image left out", "image", a.Digest, "base", reference, "why", reason)
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("base image %.200s: %w", reference, err)
		}
		out = append(out, family...)
	}
	return out, nil
}

// base reads a base image with its manifests.
func (p *pull) base(ctx context.Context, reference string) ([]graph.Artifact, error) {
	src, err := p.locate(reference)
	if err != nil {
		return nil, err
	}
	desc, err := src.puller.Get(ctx, src.ref)
	if err != nil {
		return nil, err
	}
	top, children, err := p.closure(ctx, src, desc)
	if err != nil {
		return nil, err
	}
	top.Tags = []string{strings.TrimSuffix(reference, "@"+string(top.Digest))}
	for i := range children {
		children[i].Tags = top.Tags
	}
	return append([]graph.Artifact{top}, children...), nil
}
