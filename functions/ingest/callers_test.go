package ingest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

// signer is an issuer of tokens for tests, with its keys served as JWKS.
type signer struct {
	name    string
	key     crypto.Signer
	id      string
	method  jwt.SigningMethod
	fetches int
	down    bool
	mu      sync.Mutex
}

func (s *signer) jwk() map[string]any {
	enc := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	switch k := s.key.Public().(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "use": "sig", "kid": s.id, "n": enc(k.N.Bytes()), "e": enc(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		raw, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		return map[string]any{"kty": "EC", "crv": "P-256", "kid": s.id, "x": enc(raw[1:33]), "y": enc(raw[33:])}
	}
	return nil
}

func (s *signer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetches++; s.down {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{s.jwk(), map[string]any{"kty": "RSA", "kid": "small", "n": "AQAB", "e": "AQAB"}, map[string]any{"kty": "oct", "kid": "odd"}}})
}

func (s *signer) token(t *testing.T, change func(jwt.MapClaims)) string {
	t.Helper()
	c := jwt.MapClaims{"iss": s.name, "aud": "throughline", "exp": now.Add(5 * time.Minute).Unix(), "nbf": now.Add(-time.Minute).Unix(), "iat": now.Unix(),
		"repository_id": "4711", "repository": "acme/shop", "repository_owner": "acme", "sha": strings.Repeat("c", 40), "ref": "refs/heads/main", "run_id": "99",
		"workflow_ref": "acme/shop/.github/workflows/build.yml@refs/heads/main", "job_workflow_ref": "acme/ci/.github/workflows/go.yml@refs/heads/main", "appid": "event-grid"}
	if change != nil {
		change(c)
	}
	token := jwt.NewWithClaims(s.method, c)
	token.Header["kid"] = s.id
	text, err := token.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// entraKey is made once: it takes a while.
var entraKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// withIssuers makes a stage that takes tokens of Entra (RSA) and GitHub (EC).
func withIssuers(t *testing.T) (s *Stage, q *queue, entra, github *signer) {
	t.Helper()
	rsaKey, err := entraKey()
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	entra = &signer{name: "https://login.microsoftonline.com/tenant/v2.0", key: rsaKey, id: "e", method: jwt.SigningMethodRS256}
	github = &signer{name: "https://token.actions.githubusercontent.com", key: ecKey, id: "g", method: jwt.SigningMethodES256}
	s, q = newStage()
	issuer := func(from *signer, apps ...string) *Issuer {
		server := httptest.NewServer(from)
		t.Cleanup(server.Close)
		return &Issuer{Names: []string{from.name}, Audience: "throughline", Applications: apps, Keys: &KeySet{URL: server.URL, Client: server.Client(), Now: s.Now}}
	}
	s.Callers = Callers{Entra: issuer(entra, "event-grid"), GitHub: issuer(github), Now: s.Now,
		Owner: func(_ context.Context, login string) (bool, error) {
			if login == "unsure" {
				return false, errors.New("GitHub is away")
			}
			return login == "acme", nil
		}}
	return s, q, entra, github
}

func bear(token string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del("aeg-sas-key")
		r.Header.Set("Authorization", "Bearer "+token)
	}
}

func TestTokens(t *testing.T) {
	s, _, entra, github := withIssuers(t)
	build := cloudEvent("io.throughline.build.v1", `{"digest":"`+digest+`"}`)
	resource := cloudEvent("Microsoft.ResourceNotifications.Resources.Deleted", `{"resourceInfo":{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/x"}}`)
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": entra.name, "aud": "throughline", "exp": now.Add(time.Hour).Unix()}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	// The public key as an HMAC secret is the classic confusion of algorithms.
	confused := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": entra.name, "aud": "throughline", "exp": now.Add(time.Hour).Unix()})
	confused.Header["kid"] = "e"
	confusedText, err := confused.SignedString(entra.key.Public().(*rsa.PublicKey).N.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	set := func(k string, v any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[k] = v } }
	cases := []struct {
		name, token, body string
		want              int
	}{
		{"Entra reports resources", entra.token(t, nil), resource, 202},
		{"GitHub reports builds", github.token(t, nil), build, 202},
		{"GitHub may not report resources", github.token(t, nil), resource, 403},
		{"GitHub may not report deployments", github.token(t, nil), cloudEvent("io.throughline.deployment.v1", `{"workloads":[]}`), 403},
		{"another audience", entra.token(t, set("aud", "other")), resource, 401},
		{"several audiences with ours", entra.token(t, set("aud", []string{"other", "throughline"})), resource, 202},
		{"another issuer", entra.token(t, set("iss", "https://login.microsoftonline.com/other/v2.0")), resource, 401},
		{"Entra's token with GitHub's name", entra.token(t, set("iss", github.name)), build, 401},
		{"expired", entra.token(t, set("exp", now.Add(-2*time.Minute).Unix())), resource, 401},
		{"without an end", entra.token(t, func(c jwt.MapClaims) { delete(c, "exp") }), resource, 401},
		{"not yet valid", entra.token(t, set("nbf", now.Add(5*time.Minute).Unix())), resource, 401},
		{"another application", entra.token(t, set("appid", "other")), resource, 401},
		{"application in azp", entra.token(t, func(c jwt.MapClaims) { delete(c, "appid"); c["azp"] = "event-grid" }), resource, 202},
		{"unsigned", unsigned, resource, 401},
		{"algorithm confused", confusedText, resource, 401},
		{"signature changed", flip(entra.token(t, nil)), resource, 401},
		{"owner without the App", github.token(t, set("repository_owner", "eve")), build, 401},
		{"owner cannot be checked now", github.token(t, set("repository_owner", "unsure")), build, 503},
		{"no repository", github.token(t, func(c jwt.MapClaims) { delete(c, "repository_id") }), build, 401},
		{"no token", "", resource, 401},
		{"garbage", "a.b.c", resource, 401},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if w := serve(s, send(c.body, bear(c.token))); w.Code != c.want {
				t.Errorf("answer %d %s, want %d", w.Code, w.Body, c.want)
			}
		})
	}
	if entra.fetches != 1 || github.fetches != 1 {
		t.Errorf("keys were fetched %d and %d times", entra.fetches, github.fetches)
	}
}

func TestTokensWithoutAnAudience(t *testing.T) {
	s, _, entra, _ := withIssuers(t)
	s.Callers.Entra.Audience = ""
	for _, audience := range []any{"", []string{}, nil} {
		token := entra.token(t, func(c jwt.MapClaims) { c["aud"] = audience })
		if w := serve(s, send(cloudEvent("com.example", `{}`), bear(token))); w.Code != 401 {
			t.Errorf("audience %v: answer %d", audience, w.Code)
		}
	}
}

// flip changes the last letter of a token's payload.
func flip(token string) string {
	parts := strings.Split(token, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	raw[len(raw)-2] ^= 1
	parts[1] = base64.RawURLEncoding.EncodeToString(raw)
	return strings.Join(parts, ".")
}

func TestKeysAreFetchedAgainWhenTheyRotate(t *testing.T) {
	s, _, entra, _ := withIssuers(t)
	clock := now
	tick := func() time.Time { return clock }
	s.Now, s.Callers.Now = tick, tick
	s.Callers.Entra.Keys.(*KeySet).Now = tick
	body := cloudEvent("com.example", `{}`)
	status := func() int {
		return serve(s, send(body, bear(entra.token(t, func(c jwt.MapClaims) { c["exp"] = clock.Add(time.Hour).Unix() })))).Code
	}
	if got := status(); got != 202 {
		t.Fatal(got)
	}
	entra.id = "rotated"
	if got := status(); got != 401 {
		t.Errorf("a new key within the pause: %d", got)
	}
	clock = clock.Add(keysPause)
	if got := status(); got != 202 || entra.fetches != 2 {
		t.Errorf("a new key after the pause: %d, %d fetches", got, entra.fetches)
	}
	entra.down = true
	entra.id = "unknown"
	clock = clock.Add(keysPause)
	for range 3 {
		if got := status(); got != 503 {
			t.Errorf("an unknown key while the issuer is down: %d", got)
		}
	}
	if entra.fetches != 3 {
		t.Errorf("%d fetches while the issuer is down", entra.fetches)
	}
	entra.id = "rotated"
	clock = clock.Add(keysAge)
	if got := status(); got != 202 {
		t.Errorf("a known key while the issuer is down: %d", got)
	}
}

func TestOnlyStrongKeysVerify(t *testing.T) {
	rsaKey, err := entraKey()
	if err != nil {
		t.Fatal(err)
	}
	enc := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	strong := jwk{Type: "RSA", N: enc(rsaKey.N.Bytes()), E: "AQAB"}
	if strong.public() == nil {
		t.Error("a strong key is refused")
	}
	weak := map[string]jwk{
		"short":          {Type: "RSA", N: enc(rsaKey.N.Bytes()[:128]), E: "AQAB"},
		"exponent one":   {Type: "RSA", N: strong.N, E: enc([]byte{1})},
		"no exponent":    {Type: "RSA", N: strong.N},
		"for encryption": {Type: "RSA", N: strong.N, E: "AQAB", Use: "enc"},
		"symmetric":      {Type: "oct"},
		"off the curve":  {Type: "EC", Curve: "P-256", X: enc(make([]byte, 32)), Y: enc(make([]byte, 32))},
		"no such curve":  {Type: "EC", Curve: "P-1", X: "AA", Y: "AA"},
	}
	for name, k := range weak {
		if k.public() != nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestBuild(t *testing.T) {
	commit := strings.Repeat("c", 40)
	cases := []struct {
		name, data string
		token      bool
		want       int
		evidence   graph.Evidence
	}{
		{"the token tells all", `{"digest":"` + digest + `","image":"ghcr.io/acme/shop:1","contexts":["web"]}`, true, 202,
			graph.Evidence{Method: graph.CICall, Repository: "github-4711", RepositoryName: "acme/shop", Commit: commit, Ref: "refs/heads/main", Workflow: ".github/workflows/build.yml",
				Run: "https://github.com/acme/shop/actions/runs/99", Signer: "acme/ci/.github/workflows/go.yml@refs/heads/main", Contexts: []string{"web"}}},
		{"data agrees with the token", `{"digest":"` + digest + `","repository":"Acme/Shop","repositoryId":"4711","commit":"` + commit + `"}`, true, 202,
			graph.Evidence{Method: graph.CICall, Repository: "github-4711", RepositoryName: "acme/shop", Commit: commit, Ref: "refs/heads/main", Workflow: ".github/workflows/build.yml",
				Run: "https://github.com/acme/shop/actions/runs/99", Signer: "acme/ci/.github/workflows/go.yml@refs/heads/main"}},
		{"another repository", `{"digest":"` + digest + `","repository":"acme/other"}`, true, 403, graph.Evidence{}},
		{"another repository id", `{"digest":"` + digest + `","repositoryId":4712}`, true, 403, graph.Evidence{}},
		{"another commit", `{"digest":"` + digest + `","commit":"` + strings.Repeat("d", 40) + `"}`, true, 403, graph.Evidence{}},
		{"a key only declares", `{"digest":"` + digest + `","repository":"acme/shop","repositoryId":4711,"commit":"abc","run":"https://ci/1"}`, false, 202,
			graph.Evidence{Method: graph.Declared, Repository: "github-4711", RepositoryName: "acme/shop", Commit: "abc", Run: "https://ci/1"}},
		{"a key may name the repository only", `{"digest":"` + digest + `","repository":"acme/shop"}`, false, 202, graph.Evidence{Method: graph.Declared, RepositoryName: "acme/shop"}},
		{"no repository at all", `{"digest":"` + digest + `"}`, false, 400, graph.Evidence{}},
		{"no digest", `{"repository":"acme/shop"}`, false, 400, graph.Evidence{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, q, _, github := withIssuers(t)
			s.Callers.SharedKey = sharedKey
			var who func(*http.Request)
			if c.token {
				who = bear(github.token(t, nil))
			}
			w := serve(s, send(cloudEvent("io.throughline.build.v1", c.data), who))
			if w.Code != c.want {
				t.Fatalf("answer %d %s, want %d", w.Code, w.Body, c.want)
			}
			if c.want != 202 {
				return
			}
			o, follow := heard(t, q)
			c.evidence.Digest, c.evidence.SeenAt = digest, time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC)
			if diff := cmp.Diff([]graph.Evidence{c.evidence}, o.Evidence); diff != "" {
				t.Error(diff)
			}
			if len(o.Artifacts) != 1 || !cmp.Equal(follow, []string{"github digest:" + digest}) {
				t.Errorf("artifacts %+v, follow %v", o.Artifacts, follow)
			}
		})
	}
}
