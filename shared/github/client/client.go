// Package client asks GitHub's API: it reads alerts, repositories and attestations by pages for collect, and opens and
// edits issues for assign.
//
// Every answer passes through the readers of package github, so that a webhook and an API answer of the same fact give
// the same noun. The client never sleeps and never retries: when GitHub wants to be left alone it answers
// *graph.Limited, and until then asks nothing of the same kind. It proves itself as a GitHub App, with one token for
// each installation.
package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	jwt "github.com/golang-jwt/jwt/v4"
	gogithub "github.com/google/go-github/v66/github"

	"throughline/shared/github"
	"throughline/shared/graph"
)

// Options say which GitHub to ask, and as whom.
type Options struct {
	// URL is the base of the API: https://api.github.com when empty, https://<host>/api/v3 for Enterprise Server.
	URL string
	// Host is the key of the host in identities; empty: github.HostKey(URL).
	Host string
	// AppID and PrivateKey (PEM) are those of the GitHub App.
	AppID      int64
	PrivateKey []byte
	// UserToken is of a user in whose name fixes are given to the coding agent; empty: none is.
	UserToken string
	// Reserve is the share of the rate limit, 0 to 1, that reading leaves for writing.
	Reserve float64
	// Transport carries the requests; nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// TokenTime is the time that the App's tokens are signed for; nil: time.Now.
	TokenTime func() time.Time
	// Digests lists what the graph holds for a repository, to ask for its attestations; nil: attestations:<repository>
	// reads nothing.
	Digests func(context.Context, graph.RepositoryID) ([]graph.Digest, error)
	// Healer remembers which lost webhooks were asked for again; nil: deliveries reads nothing.
	Healer Healer
	// Heard is told when GitHub last sent us a webhook and when one last arrived; nil: nobody is.
	Heard func(context.Context, graph.Heard) error
	// Wanted tells which webhooks are worth asking for again; nil: all.
	Wanted func(event string, installation int64) bool
	// Pending lists by pages the digests whose origin is to be asked for; an empty cursor begins and ends. nil:
	// digests:<login> reads nothing.
	Pending func(ctx context.Context, login, cursor string) (digests []graph.Digest, next string, err error)
	// Asked lists by pages the digests of a round of inquiries; nil: inquiries:<round> reads nothing.
	Asked func(ctx context.Context, round, cursor string) (digests []graph.Digest, next string, err error)
	// Verify checks the signature of an attestation of a digest. It answers the evidence, or why it is refused; an error
	// means that this cannot be told now. nil: signatures are not checked.
	Verify func(ctx context.Context, bundle []byte, d graph.Digest) (e graph.Evidence, refused string, err error)
}

// Client asks one GitHub host.
type Client struct {
	options Options
	base    *url.URL
	host    string
	app     *access
	user    *access // nil: no user token
	signer  signer
	plain   *http.Client // without a token, for addresses that GitHub hands out

	mu        sync.Mutex
	accesses  map[int64]*access
	directory directory
	arrivals  arrivals
	slug      string
}

// access is one way in: the App itself, or one of its installations.
type access struct {
	installation int64
	login        string
	user         bool // the account is a person, not an organisation
	github       *gogithub.Client
	limits       *limits
}

// New makes a client. It asks nothing yet.
func New(o Options) (*Client, error) {
	if o.URL == "" {
		o.URL = "https://api.github.com"
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TokenTime == nil {
		o.TokenTime = time.Now
	}
	base, err := url.Parse(strings.TrimRight(o.URL, "/") + "/")
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("GitHub API address %q is not a URL", o.URL)
	}
	c := &Client{options: o, base: base, host: o.Host, accesses: map[int64]*access{}, plain: &http.Client{Transport: o.Transport, Timeout: time.Minute}}
	if c.host == "" {
		c.host = github.HostKey(o.URL)
	}
	if o.AppID < 1 {
		return nil, errors.New("the GitHub App's id is missing")
	}
	gate := newLimits(o.Transport, o.Now)
	key, err := jwt.ParseRSAPrivateKeyFromPEM(o.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("the GitHub App's private key: %w", err)
	}
	c.signer = signer{ghinstallation.NewRSASigner(jwt.SigningMethodRS256, key), o.TokenTime}
	apps, err := c.sign(gate)
	if err != nil {
		return nil, err
	}
	c.app = &access{github: c.wrap(apps), limits: gate}
	c.openUser()
	return c, nil
}

// sign signs requests as the App itself.
func (c *Client) sign(gate *limits) (*ghinstallation.AppsTransport, error) {
	return ghinstallation.NewAppsTransportWithOptions(gate, c.options.AppID, ghinstallation.WithSigner(c.signer))
}

// signer signs the App's tokens with the time of the options: GitHub refuses those of a clock that is off.
type signer struct {
	ghinstallation.Signer
	now func() time.Time
}

// Sign moves the token's time, a little back as GitHub recommends, and signs it.
func (s signer) Sign(claims jwt.Claims) (string, error) {
	if c, ok := claims.(*jwt.RegisteredClaims); ok {
		at := s.now().Add(-30 * time.Second).Truncate(time.Second)
		c.IssuedAt, c.ExpiresAt = jwt.NewNumericDate(at), jwt.NewNumericDate(at.Add(5*time.Minute))
	}
	return s.Signer.Sign(claims)
}

// Host is the key of the host in identities.
func (c *Client) Host() string { return c.host }

// wrap makes a go-github client over a transport that authenticates. A redirect to another host is not followed: the
// transport would send the token there.
func (c *Client) wrap(transport http.RoundTripper) *gogithub.Client {
	g := gogithub.NewClient(&http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != c.base.Host || r.URL.Scheme != c.base.Scheme {
			return fmt.Errorf("GitHub redirects to another host, %s", r.URL.Host)
		}
		if len(via) >= 5 {
			return errors.New("GitHub redirects without end")
		}
		return nil
	}})
	base := *c.base
	g.BaseURL = &base
	return g
}

// drop lets go of an installation's token: GitHub says that it is no longer good, whatever our clock says.
func (c *Client) drop(a *access) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accesses[a.installation] == a {
		delete(c.accesses, a.installation)
	}
}

// as gives access as an installation.
func (c *Client) as(i installation) (*access, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := c.accesses[i.id]; ok {
		return a, nil
	}
	gate := newLimits(c.options.Transport, c.options.Now)
	apps, err := c.sign(gate)
	if err != nil {
		return nil, err
	}
	transport := ghinstallation.NewFromAppsTransport(apps, i.id)
	transport.BaseURL = strings.TrimRight(c.options.URL, "/")
	transport.InstallationTokenOptions = &gogithub.InstallationTokenOptions{} // nil would be sent as the body "null"
	a := &access{installation: i.id, login: i.account.Login, user: i.account.Type == "User", github: c.wrap(transport), limits: gate}
	c.accesses[i.id] = a
	return a, nil
}
