package azure

import (
	"net/http"
	"strconv"
	"strings"

	"throughline/infra/local/demo/estate"
)

// registry serves the OCI distribution API for every registry host at once: the host is the first part of the repository,
// as in /v2/shop.azurecr.io/web/manifests/1.2. It reads only: manifests by tag or digest, blobs, tags, no referrers.
func (s *Server) registry(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		denied(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is read only")
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	if path == "" {
		write(w, http.StatusOK, map[string]any{})
		return
	}
	for _, kind := range []string{"/manifests/", "/blobs/", "/referrers/", "/tags/list"} {
		n := strings.LastIndex(path, kind)
		if n < 0 {
			continue
		}
		images := s.repository(path[:n])
		if len(images) == 0 {
			denied(w, http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry")
			return
		}
		s.serveContent(w, r, kind, path[:n], path[n+len(kind):], images)
		return
	}
	denied(w, http.StatusNotFound, "NAME_UNKNOWN", "no such path")
}

// repository finds the images of a repository, newest last. Docker Hub has two names.
func (s *Server) repository(name string) []estate.Image {
	if rest, found := strings.CutPrefix(name, "index.docker.io/"); found {
		name = "docker.io/" + rest
	}
	var out []estate.Image
	for _, i := range s.world.At(name) {
		out = append(out, s.world.Image(i))
	}
	return out
}

func (s *Server) serveContent(w http.ResponseWriter, r *http.Request, kind, name, what string, images []estate.Image) {
	switch kind {
	case "/tags/list":
		tags := []string{}
		for _, img := range images {
			tags = append(tags, img.Tag)
		}
		write(w, http.StatusOK, map[string]any{"name": name, "tags": tags})
		return
	case "/referrers/":
		w.Header().Set("Content-Type", estate.MediaIndex)
		_, _ = w.Write([]byte(`{"schemaVersion":2,"mediaType":"` + estate.MediaIndex + `","manifests":[]}`))
		return
	}
	for n := len(images) - 1; n >= 0; n-- {
		manifests, blobs := s.world.Content(images[n])
		if kind == "/manifests/" && what == images[n].Tag {
			serveDocument(w, r, manifests[0])
			return
		}
		docs := blobs
		if kind == "/manifests/" {
			docs = manifests
		}
		for _, d := range docs {
			if d.Digest == what {
				serveDocument(w, r, d)
				return
			}
		}
	}
	if kind == "/manifests/" {
		denied(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	denied(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
}

func serveDocument(w http.ResponseWriter, r *http.Request, d estate.Document) {
	h := w.Header()
	h.Set("Content-Type", d.MediaType)
	h.Set("Docker-Content-Digest", d.Digest)
	h.Set("Content-Length", strconv.Itoa(len(d.Body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(d.Body) // a client that left is no business of ours
	}
}

func denied(w http.ResponseWriter, status int, code, message string) {
	write(w, status, map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}
