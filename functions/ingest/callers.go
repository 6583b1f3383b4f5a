package ingest

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Callers decides who may send CloudEvents. Each way is off until it is configured.
type Callers struct {
	// SharedKey is taken as a bearer token, in the header aeg-sas-key, or in the query as code.
	SharedKey string
	// Entra takes tokens of Microsoft Entra ID, GitHub those that GitHub Actions gives to a workflow run.
	Entra, GitHub *Issuer
	// Owner tells whether the App is installed on the account that owns a workflow's repository. Everybody on GitHub can
	// get a token for any audience, so GitHub's tokens are refused while Owner is nil.
	Owner func(ctx context.Context, login string) (bool, error)
	Now   func() time.Time
}

// Issuer is one that signs tokens.
type Issuer struct {
	Names    []string // accepted values of iss
	Audience string
	// Applications, when set, are the accepted values of appid or azp.
	Applications []string
	Keys         keys
}

// PublicActions issues the tokens of workflow runs on github.com.
const PublicActions = "https://token.actions.githubusercontent.com"

// GitHubIssuer takes the tokens that GitHub Actions gives to workflow runs for an audience. name is who issues them, such as
// PublicActions, or https://<host>/_services/token for a GitHub Enterprise Server.
func GitHubIssuer(name, audience string, c *http.Client, now func() time.Time) *Issuer {
	return &Issuer{Names: []string{name}, Audience: audience, Keys: &KeySet{URL: name + "/.well-known/jwks", Client: c, Now: now}}
}

// EntraIssuer takes the tokens of one tenant for an audience. authority is that of the cloud, for example
// https://login.microsoftonline.com; applications, when given, are the only ones that may call.
func EntraIssuer(authority, tenant, audience string, applications []string, c *http.Client, now func() time.Time) *Issuer {
	base := strings.TrimRight(authority, "/") + "/" + tenant
	older := "https://sts.windows.net/" // the issuer of tokens of version 1
	if strings.HasSuffix(strings.TrimRight(authority, "/"), ".cn") {
		older = "https://sts.chinacloudapi.cn/"
	}
	return &Issuer{Names: []string{base + "/v2.0", older + tenant + "/"}, Audience: audience, Applications: applications,
		Keys: &KeySet{URL: base + "/discovery/v2.0/keys", Client: c, Now: now}}
}

// keys finds the public key that signed a token.
type keys interface {
	Key(ctx context.Context, id string) (any, error)
}

// way is how a caller proved who it is.
type way string

const (
	byKey    way = "key"
	byEntra  way = "entra"
	byGitHub way = "github"
)

// caller is who sends an event. run is set for workflow runs only.
type caller struct {
	way way
	run workflow
}

// workflow is what GitHub's token says of the run that holds it.
type workflow struct {
	RepositoryID string `json:"repository_id"`
	Repository   string `json:"repository"`
	Owner        string `json:"repository_owner"`
	SHA          string `json:"sha"`
	Ref          string `json:"ref"`
	RunID        string `json:"run_id"`
	WorkflowRef  string `json:"workflow_ref"`
	JobWorkflow  string `json:"job_workflow_ref"`
}

// claims are those of both issuers.
type claims struct {
	jwt.RegisteredClaims
	workflow
	AppID string `json:"appid"`
	AZP   string `json:"azp"`
}

// errNobody tells that no way to authenticate is configured.
var errNobody = errors.New("no caller is configured: set EVENTS_SHARED_KEY or EVENTS_AUDIENCE")

// errUnchecked tells that who the caller is cannot be told now.
var errUnchecked = errors.New("who the caller is cannot be checked now; try again")

func (c Callers) configured() bool {
	return c.SharedKey != "" || c.Entra != nil || c.GitHub != nil && c.Owner != nil
}

// authenticate tells who sends the request. The error is fit for the caller to read.
func (c Callers) authenticate(r *http.Request) (caller, error) {
	if !c.configured() {
		return caller{}, errNobody
	}
	bearer, hasBearer := bearer(r.Header)
	given := []string{bearer, r.Header.Get("aeg-sas-key"), r.URL.Query().Get("code")}
	if c.SharedKey != "" && slices.ContainsFunc(given, c.isSharedKey) {
		return caller{way: byKey}, nil
	}
	if !hasBearer || strings.Count(bearer, ".") != 2 {
		return caller{}, errors.New("the key or token is missing or wrong")
	}
	return c.token(r.Context(), bearer)
}

func bearer(h http.Header) (string, bool) {
	scheme, token, found := strings.Cut(h.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

func (c Callers) isSharedKey(given string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(c.SharedKey)) == 1
}

// token verifies a token against the issuer that it names.
func (c Callers) token(ctx context.Context, text string) (caller, error) {
	var unverified jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(text, &unverified); err != nil {
		return caller{}, errors.New("the token is not a JSON web token")
	}
	switch {
	case c.Entra != nil && slices.Contains(c.Entra.Names, unverified.Issuer):
		_, err := c.Entra.verify(ctx, text, c.Now)
		return caller{way: byEntra}, err
	case c.GitHub != nil && c.Owner != nil && slices.Contains(c.GitHub.Names, unverified.Issuer):
		got, err := c.GitHub.verify(ctx, text, c.Now)
		if err != nil {
			return caller{}, err
		}
		return caller{way: byGitHub, run: got.workflow}, c.checkOwner(ctx, got.workflow)
	}
	return caller{}, errors.New("the token's issuer is not one that is accepted here")
}

func (c Callers) checkOwner(ctx context.Context, run workflow) error {
	if _, err := strconv.ParseInt(run.RepositoryID, 10, 64); err != nil || run.Owner == "" {
		return errors.New("the token names no repository")
	}
	known, err := c.Owner(ctx, run.Owner)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnchecked, err)
	}
	if !known {
		return errors.New("the App is not installed on the account that owns the token's repository")
	}
	return nil
}

// verify checks signature, issuer, audience and times. Only asymmetric algorithms count.
func (i *Issuer) verify(ctx context.Context, text string, now func() time.Time) (claims, error) {
	if i.Audience == "" {
		return claims{}, errors.New("no audience is configured for the token's issuer")
	}
	var got claims
	find := func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		return i.Keys.Key(ctx, id)
	}
	_, err := jwt.ParseWithClaims(text, &got, find, jwt.WithValidMethods([]string{"RS256", "RS384", "RS512", "ES256", "ES384", "PS256"}),
		jwt.WithAudience(i.Audience), jwt.WithExpirationRequired(), jwt.WithLeeway(time.Minute), jwt.WithTimeFunc(now))
	if err != nil {
		return claims{}, fmt.Errorf("the token is refused: %w", err)
	}
	if len(i.Applications) > 0 && !slices.Contains(i.Applications, got.AppID) && !slices.Contains(i.Applications, got.AZP) {
		return claims{}, errors.New("the token's application is not one that is accepted here")
	}
	return got, nil
}
