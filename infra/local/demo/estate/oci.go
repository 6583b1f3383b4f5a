package estate

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// The media types of what a registry holds.
const (
	MediaIndex    = "application/vnd.oci.image.index.v1+json"
	MediaManifest = "application/vnd.oci.image.manifest.v1+json"
	MediaConfig   = "application/vnd.oci.image.config.v1+json"
	MediaLayer    = "application/vnd.oci.image.layer.v1.tar"
	mediaInToto   = "application/vnd.in-toto+json"
)

// Document is a piece of registry content with its real digest.
type Document struct {
	Digest    string
	MediaType string
	Body      []byte
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platformJSON     `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platformJSON struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type manifestJSON struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        *descriptor       `json:"config,omitempty"`
	Layers        []descriptor      `json:"layers,omitempty"`
	Manifests     []descriptor      `json:"manifests,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// DigestOf is the SHA-256 digest of a body as registries write it.
func DigestOf(body []byte) string {
	h := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(h[:])
}

// Content makes all that a registry holds of an image: manifests first (the index at the head), then blobs.
func (e *Estate) Content(img Image) (manifests, blobs []Document) {
	if !img.Multi {
		m, b := e.platformContent(img, "amd64")
		return []Document{m}, b
	}
	index := manifestJSON{SchemaVersion: 2, MediaType: MediaIndex}
	var first Document
	for _, arch := range []string{"amd64", "arm64"} {
		m, b := e.platformContent(img, arch)
		if arch == "amd64" {
			first = m
		}
		manifests, blobs = append(manifests, m), append(blobs, b...)
		d := describe(m)
		d.Platform = &platformJSON{arch, "linux"}
		index.Manifests = append(index.Manifests, d)
	}
	m, b := e.buildRecord(img, first)
	manifests, blobs = append(manifests, m), append(blobs, b...)
	d := describe(m)
	d.Platform = &platformJSON{"unknown", "unknown"}
	d.Annotations = map[string]string{"vnd.docker.reference.digest": first.Digest, "vnd.docker.reference.type": "attestation-manifest"}
	index.Manifests = append(index.Manifests, d)
	return append([]Document{document(MediaIndex, index)}, manifests...), blobs
}

// platformContent makes one platform's manifest, its configuration and its layers.
func (e *Estate) platformContent(img Image, arch string) (Document, []Document) {
	layers := e.layers(img, arch)
	diffs := make([]string, len(layers))
	m := manifestJSON{SchemaVersion: 2, MediaType: MediaManifest}
	for i, l := range layers {
		diffs[i] = l.Digest
		m.Layers = append(m.Layers, describe(l))
	}
	config := document(MediaConfig, map[string]any{
		"created": img.Built().Format(time.RFC3339), "architecture": arch, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/app/run"}, "User": "65532", "Labels": e.Labels(img)},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	})
	d := describe(config)
	m.Config = &d
	return document(MediaManifest, m), append([]Document{config}, layers...)
}

// layers are those of the base image and then two of its own: real, small tar archives.
func (e *Estate) layers(img Image, arch string) []Document {
	var out []Document
	if img.Base >= 0 {
		out = e.layers(e.Images[img.Base], arch)
	}
	for n := range 2 {
		body := archive(fmt.Sprintf("app/%d", n), fmt.Sprintf("%d/%s/%s/%s/%d\n", e.Seed, e.Size, img.seedKey, arch, n))
		out = append(out, Document{DigestOf(body), MediaLayer, body})
	}
	return out
}

// buildRecord is the manifest that a builder adds to an index to carry its own record of the build.
func (e *Estate) buildRecord(img Image, of Document) (Document, []Document) {
	statement := document(mediaInToto, map[string]any{
		"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document",
		"subject":   []any{map[string]any{"name": img.Reference(), "digest": map[string]string{"sha256": of.Digest[7:]}}},
		"predicate": map[string]any{"spdxVersion": "SPDX-2.3", "name": img.Path},
	})
	config := document(MediaConfig, map[string]any{
		"architecture": "unknown", "os": "unknown", "config": map[string]any{}, "rootfs": map[string]any{"type": "layers", "diff_ids": []string{statement.Digest}},
	})
	c, l := describe(config), describe(statement)
	l.Annotations = map[string]string{"in-toto.io/predicate-type": "https://spdx.dev/Document"}
	return document(MediaManifest, manifestJSON{SchemaVersion: 2, MediaType: MediaManifest, Config: &c, Layers: []descriptor{l}}), []Document{config, statement}
}

// seal computes the digests of an image.
func (e *Estate) seal(img *Image) {
	manifests, _ := e.Content(*img)
	img.Digest, img.Manifests = manifests[0].Digest, nil
	for _, m := range manifests[1:] {
		img.Manifests = append(img.Manifests, m.Digest)
	}
}

func describe(d Document) descriptor {
	return descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: len(d.Body)}
}

// document renders v, whose map keys JSON sorts, so that the same content always has the same digest.
func document(mediaType string, v any) Document {
	body, err := json.Marshal(v)
	if err != nil {
		body = []byte(err.Error()) // no value above can fail to marshal
	}
	return Document{DigestOf(body), mediaType, body}
}

// archive packs one file into a tar; writing to memory cannot fail.
func archive(name, content string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Format: tar.FormatUSTAR})
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	return b.Bytes()
}
