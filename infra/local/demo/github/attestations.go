package github

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/golang/snappy"

	"throughline/infra/local/demo/authority"
	"throughline/infra/local/demo/estate"
)

const provenance = "https://slsa.dev/provenance/v1"

// attested gives the image whose own digest (that of the index, when it has one) somebody attested to.
func (s *Server) attested(digest string) (estate.Image, bool) {
	i, found := s.world.Lookup(digest)
	if !found {
		return estate.Image{}, false
	}
	img := s.world.Image(i)
	return img, img.Digest == digest && img.Evidence.Has(estate.Attested)
}

func wants(predicate string) bool {
	return predicate == "" || predicate == "provenance" || predicate == provenance
}

// attestationJSON leaves the bundle out where API version 2026-03-10 was asked for.
func (s *Server) attestationJSON(c *call, img estate.Image) (map[string]any, error) {
	out := map[string]any{"repository_id": s.world.Repositories[img.Repo].ID, "bundle_url": s.base + "/_blobs/" + img.Digest, "initiator": "user"}
	if c.r.Header.Get("X-Github-Api-Version") < "2026-03-10" {
		bundle, err := s.bundle(img)
		if err != nil {
			return nil, err
		}
		out["bundle"] = bundle
	}
	return out, nil
}

// bundle is the provenance of an image, signed by the workflow that built it.
func (s *Server) bundle(img estate.Image) (map[string]any, error) {
	statement, err := json.Marshal(s.world.Statement(img))
	if err != nil {
		return nil, err
	}
	re := s.world.Repositories[img.Repo]
	return s.authority.Bundle(authority.Workflow{
		Repository: s.world.FullName(img.Repo), RepositoryID: re.ID, Owner: s.world.Org.Login, OwnerID: s.world.Org.ID,
		Commit: s.world.Commit(img.Repo, img.Revision), Ref: "refs/heads/main", File: ".github/workflows/build.yml", RunID: s.world.RunID(img), Visibility: "private",
	}, statement, img.Built())
}

func (s *Server) attestations(c *call) reply {
	out := []any{}
	if img, found := s.attested(c.r.PathValue("digest")); found && (c.repo < 0 || c.repo == img.Repo) && wants(c.r.URL.Query().Get("predicate_type")) {
		one, err := s.attestationJSON(c, img)
		if err != nil {
			return broken(err)
		}
		out = append(out, one)
	}
	if len(out) == 0 && c.repo >= 0 {
		return problem(http.StatusNotFound, "Not Found")
	}
	return ok(map[string]any{"attestations": out})
}

// attestationsBulk takes at most 1,024 digests. per_page counts digests; what GitHub counts is not documented.
func (s *Server) attestationsBulk(c *call) reply {
	var p struct {
		Digests   []string `json:"subject_digests"`
		Predicate string   `json:"predicate_type"`
	}
	if bad := c.decode(&p); bad != nil {
		return *bad
	}
	if len(p.Digests) == 0 || len(p.Digests) > 1024 {
		return invalid("Attestation", "subject_digests", "must have 1 to 1024 items")
	}
	list, info := bulkPage(c, p.Digests)
	found := map[string]any{}
	for _, d := range list {
		found[d] = nil
		if img, ok := s.attested(d); ok && wants(p.Predicate) && c.token.reaches(s.world.Repositories[img.Repo].ID) {
			one, err := s.attestationJSON(c, img)
			if err != nil {
				return broken(err)
			}
			found[d] = []any{one}
		}
	}
	return ok(map[string]any{"attestations_subject_digests": found, "page_info": info})
}

// bulkPage cuts the digests only where per_page was asked for.
func bulkPage(c *call, digests []string) ([]string, map[string]any) {
	info := map[string]any{"has_next": false, "has_previous": false}
	v := c.r.URL.Query()
	from, err := strconv.Atoi(decodeCursor(v.Get("after")))
	if err != nil || from < 0 {
		from = 0
	}
	from = min(from, len(digests))
	to := len(digests)
	if v.Has("per_page") {
		to = min(from+c.perPage(), len(digests))
	}
	if to < len(digests) {
		info["has_next"], info["next"] = true, encodeCursor(strconv.Itoa(to))
	}
	if from > 0 {
		info["has_previous"], info["previous"] = true, encodeCursor(strconv.Itoa(max(from-c.perPage(), 0)))
	}
	return digests[from:to], info
}

func (s *Server) attestationRepositories(c *call) reply {
	var ids []int64
	names := map[int64]string{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.visible(c) {
		for _, n := range s.world.ImagesOf(i) {
			if id := s.world.Repositories[i].ID; s.world.Images[n].Evidence.Has(estate.Attested) && names[id] == "" {
				names[id] = s.repos[i].Name
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	if after, err := strconv.ParseInt(decodeCursor(c.r.URL.Query().Get("after")), 10, 64); err == nil {
		ids = slices.DeleteFunc(ids, func(id int64) bool { return id <= after })
	}
	var header map[string]string
	if size := c.perPage(); len(ids) > size {
		ids = ids[:size]
		header = linkHeader([]string{c.link("next", "after", encodeCursor(strconv.FormatInt(ids[size-1], 10)))})
	}
	out := []any{}
	for _, id := range ids {
		out = append(out, map[string]any{"id": id, "name": names[id]})
	}
	return reply{http.StatusOK, out, header}
}

// bundleBlob is the short-lived address of a bundle: snappy-compressed JSON, no token wanted.
func (s *Server) bundleBlob(w http.ResponseWriter, r *http.Request) {
	img, found := s.attested(r.PathValue("digest"))
	if !found {
		http.NotFound(w, r)
		return
	}
	bundle, err := s.bundle(img)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	raw, err := json.Marshal(bundle)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-snappy")
	_, _ = w.Write(snappy.Encode(nil, raw))
}

// validDigest is the pattern that artifact metadata asks for.
func validDigest(d string) bool {
	hex, found := strings.CutPrefix(d, "sha256:")
	return found && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}
