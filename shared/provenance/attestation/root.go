package attestation

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// RootRepository is where a trusted root is kept up to date by TUF, whose signatures are checked from a first root on.
type RootRepository struct {
	// URL of the repository; empty: Sigstore's public one.
	URL string
	// First is the repository's first root.json; empty: that of Sigstore's, which ships with the verifier.
	First []byte
	// Target is the file to fetch; empty: trusted_root.json.
	Target string
	// Dir keeps what was fetched; empty: nothing is kept.
	Dir string
	// Transport replaces http.DefaultTransport.
	Transport http.RoundTripper
}

// Fetch reads the newest trusted root, as Trust wants it. Where nothing outside may be reached, give Trust a file instead.
func (r RootRepository) Fetch(ctx context.Context) ([]byte, error) {
	o := &tuf.Options{RepositoryBaseURL: r.URL, Root: r.First, CachePath: r.Dir, DisableLocalCache: r.Dir == "", Fetcher: &download{ctx, r.Transport}}
	if o.RepositoryBaseURL == "" {
		o.RepositoryBaseURL = tuf.DefaultMirror
	}
	if len(o.Root) == 0 {
		o.Root = tuf.DefaultRoot()
	}
	target := r.Target
	if target == "" {
		target = "trusted_root.json"
	}
	client, err := tuf.New(o)
	if err != nil {
		return nil, fmt.Errorf("trusted root from %s: %w", o.RepositoryBaseURL, err)
	}
	raw, err := client.GetTarget(target)
	if err != nil {
		return nil, fmt.Errorf("trusted root from %s: %w", o.RepositoryBaseURL, err)
	}
	return raw, nil
}

// download fetches the files of a TUF repository under one context.
type download struct {
	ctx       context.Context
	transport http.RoundTripper
}

// DownloadFile reads one file of at most limit bytes.
func (d *download) DownloadFile(url string, limit int64, _ time.Duration) ([]byte, error) {
	req, err := http.NewRequestWithContext(d.ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: d.transport, Timeout: 30 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: resp.StatusCode, URL: url}
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, &metadata.ErrDownloadLengthMismatch{Msg: fmt.Sprintf("%s is larger than %d bytes", url, limit)}
	}
	return raw, nil
}

//go:embed github-root.json
var githubRoot []byte

// PublicDomains are the two trust domains in which GitHub's attest action signs: Sigstore's public one for public
// repositories, and GitHub's own for the others.
func PublicDomains() []RootRepository {
	return []RootRepository{{}, {URL: "https://tuf-repo.github.com", First: githubRoot}}
}
