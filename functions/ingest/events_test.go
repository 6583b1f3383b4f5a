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
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"throughline/shared/event"
	"throughline/shared/graph"
)

const sharedKey = "a key that Event Grid sends"

// hearing stage with a shared key.
func newHearer() (*Stage, *queue) {
	s, q := newStage()
	s.Callers = Callers{SharedKey: sharedKey, Now: s.Now}
	return s, q
}

// send is a structured CloudEvent, authenticated by key until change alters it.
func send(body string, change func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/ingest/events", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	r.Header.Set("aeg-sas-key", sharedKey)
	if change != nil {
		change(r)
	}
	return r
}

func cloudEvent(kind, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","type":%q,"source":"/test","id":"e-1","time":"2026-11-24T11:00:00Z","data":%s}`, kind, data)
}

// heard takes apart what was published.
func heard(t *testing.T, q *queue) (o graph.Observation, follow []string) {
	t.Helper()
	for _, e := range q.events {
		switch e.Type {
		case event.Observed:
			if err := e.Into(&o); err != nil {
				t.Fatal(err)
			}
		case event.Collect:
			var c graph.Collection
			if err := e.Into(&c); err != nil {
				t.Fatal(err)
			}
			follow = append(follow, c.Source+" "+c.Scope)
		}
	}
	return o, follow
}

const digest = "sha256:abababababababababababababababababababababababababababababababab"

func imagePush(t *testing.T) string {
	raw, err := os.ReadFile(fixtures(t, "azure", "synth.event.acr.ImagePushed.cloudevent.single.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestImagePushedInEveryMode(t *testing.T) {
	body := imagePush(t)
	var parts struct{ Data json.RawMessage }
	if err := json.Unmarshal([]byte(body), &parts); err != nil {
		t.Fatal(err)
	}
	modes := map[string]*http.Request{
		"structured":                     send(body, nil),
		"structured as plain JSON":       send(body, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }),
		"batch":                          send("["+body+"]", func(r *http.Request) { r.Header.Set("Content-Type", "application/cloudevents-batch+json") }),
		"an array called a single event": send(" ["+body+"]", nil),
		"key in the query": send(body, func(r *http.Request) {
			r.Header.Del("aeg-sas-key")
			r.URL.RawQuery = "code=" + strings.ReplaceAll(sharedKey, " ", "+")
		}),
		"key as a bearer": send(body, func(r *http.Request) { r.Header.Del("aeg-sas-key"); r.Header.Set("Authorization", "Bearer "+sharedKey) }),
		"binary": send(string(parts.Data), func(r *http.Request) {
			r.Header.Set("Content-Type", "application/json")
			for k, v := range map[string]string{"specversion": "1.0", "type": "Microsoft.ContainerRegistry.ImagePushed", "source": "/subscriptions/x", "id": "0d6b2f5e-0001-4000-8000-000000000001"} {
				r.Header.Set("ce-"+k, v)
			}
		}),
	}
	for mode, r := range modes {
		t.Run(mode, func(t *testing.T) {
			s, q := newHearer()
			w := serve(s, r)
			if w.Code != 202 || len(ids(t, w)) != 3 {
				t.Fatalf("answer %d %s", w.Code, w.Body)
			}
			o, follow := heard(t, q)
			at := time.Date(2026, 8, 27, 10, 0, 0, 276585742, time.UTC)
			want := []graph.Artifact{{Digest: digest, Names: []string{"contosoacr.azurecr.io/shop/api"}, Tags: []string{"contosoacr.azurecr.io/shop/api:1.4.2"},
				MediaType: "application/vnd.oci.image.manifest.v1+json", PushedAt: at, UpdatedAt: at}}
			if diff := cmp.Diff(want, o.Artifacts); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"registry image:contosoacr.azurecr.io/shop/api@" + digest, "github digest:" + digest}, follow); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("delivered again it has the same ids", func(t *testing.T) {
		s, q := newHearer()
		serve(s, send(body, nil))
		serve(s, send(body, nil))
		all := eventIDs(q.events)
		if len(all) != 6 || !cmp.Equal(all[:3], all[3:]) {
			t.Errorf("%v", all)
		}
	})
}

func TestCloudEventAnswers(t *testing.T) {
	good := cloudEvent("Microsoft.ResourceNotifications.Resources.CreatedOrUpdated", `{"resourceInfo":{"id":"/subscriptions/S/resourceGroups/g/providers/Microsoft.App/containerApps/Api"}}`)
	cases := []struct {
		name   string
		body   string
		change func(*http.Request)
		want   int
		events int
	}{
		{"resource changed", good, nil, 202, 1},
		{"resource of no interest", strings.Replace(good, "Microsoft.App/containerApps", "Microsoft.Storage/storageAccounts", 1), nil, 202, 0},
		{"image deleted", cloudEvent("Microsoft.ContainerRegistry.ImageDeleted", `{}`), nil, 202, 0},
		{"unknown type", cloudEvent("com.example.other", `{}`), nil, 202, 0},
		{"image without a usable digest", cloudEvent("Microsoft.ContainerRegistry.ImagePushed", `{"target":{"digest":"sha256:12","repository":"a"},"request":{"host":"r"}}`), nil, 202, 0},
		{"image without a registry", cloudEvent("Microsoft.ContainerRegistry.ImagePushed", `{"target":{"digest":"`+digest+`","repository":"a"}}`), nil, 400, 0},
		{"data of another shape", cloudEvent("Microsoft.ContainerRegistry.ImagePushed", `[1]`), nil, 400, 0},
		{"a bad event beside a good one", "[" + good + "," + cloudEvent("io.throughline.build.v1", `{}`) + "]", nil, 202, 1},
		{"empty batch", "[]", nil, 202, 0},
		{"empty body", "", nil, 400, 0},
		{"truncated", good[:len(good)-3], nil, 400, 0},
		{"no CloudEvent", `{"a":1}`, nil, 400, 0},
		{"classic Event Grid schema", `[{"id":"1","eventType":"x","data":{}}]`, nil, 400, 0},
		{"an old CloudEvents version", strings.Replace(good, `"1.0"`, `"0.1"`, 1), nil, 400, 0},
		{"no id", strings.Replace(good, `"e-1"`, `""`, 1), nil, 400, 0},
		{"too many", "[" + strings.Repeat(good+",", 1000) + good + "]", nil, 400, 0},
		{"another content type", good, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, 0},
		{"compressed", good, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, 0},
		{"26 MiB", strings.Repeat(" ", 26<<20), nil, 413, 0},
		{"no key", good, func(r *http.Request) { r.Header.Del("aeg-sas-key") }, 401, 0},
		{"wrong key", good, func(r *http.Request) { r.Header.Set("aeg-sas-key", "x") }, 401, 0},
		{"empty key", good, func(r *http.Request) { r.Header.Set("aeg-sas-key", "") }, 401, 0},
		{"GET", "", func(r *http.Request) { r.Method = http.MethodGet }, 405, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, q := newHearer()
			w := serve(s, send(c.body, c.change))
			if w.Code != c.want || len(q.events) != c.events {
				t.Errorf("answer %d %s with %d events, want %d with %d", w.Code, w.Body, len(q.events), c.want, c.events)
			}
		})
	}
	t.Run("503 while the queue does not take it", func(t *testing.T) {
		s, q := newHearer()
		q.err = errors.New("down")
		if w := serve(s, send(good, nil)); w.Code != 503 {
			t.Errorf("answer %d", w.Code)
		}
	})
	t.Run("nobody is configured", func(t *testing.T) {
		s, _ := newStage()
		if w := serve(s, send(good, nil)); w.Code != 401 || !strings.Contains(w.Body.String(), "EVENTS_SHARED_KEY") {
			t.Errorf("answer %d %s", w.Code, w.Body)
		}
		if w := serve(s, send(good, func(r *http.Request) { r.Header.Set("aeg-sas-key", "") })); w.Code != 401 {
			t.Errorf("answer %d", w.Code)
		}
	})
}

func TestHandshakes(t *testing.T) {
	s, _ := newHearer()
	ask := func(r *http.Request) {
		r.Method = http.MethodOptions
		r.Header.Del("aeg-sas-key")
		r.Header.Set("WebHook-Request-Origin", "eventgrid.azure.net")
	}
	w := serve(s, send("", ask))
	if w.Code != 200 || w.Header().Get("WebHook-Allowed-Origin") != "eventgrid.azure.net" || w.Header().Get("WebHook-Allowed-Rate") == "" || !strings.Contains(w.Header().Get("Allow"), "POST") {
		t.Errorf("answer %d %v", w.Code, w.Header())
	}
	if w := serve(s, send("", func(r *http.Request) { r.Method = http.MethodOptions })); w.Code != 400 {
		t.Errorf("without an origin: %d", w.Code)
	}
	raw, err := os.ReadFile(fixtures(t, "azure", "synth.http.eventgrid.validation.json"))
	if err != nil {
		t.Fatal(err)
	}
	var script struct {
		Classic struct {
			Request  struct{ Body json.RawMessage }
			Response struct{ Body json.RawMessage }
		} `json:"eventgridschema"`
	}
	if err := json.Unmarshal(raw, &script); err != nil {
		t.Fatal(err)
	}
	classic := func(r *http.Request) {
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		r.Header.Set("aeg-event-type", "SubscriptionValidation")
	}
	w = serve(s, send(string(script.Classic.Request.Body), classic))
	var got, want any
	if errors.Join(json.Unmarshal(w.Body.Bytes(), &got), json.Unmarshal(script.Classic.Response.Body, &want)) != nil || w.Code != 200 || !cmp.Equal(got, want) {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
	if w := serve(s, send(`[{"data":{}}]`, classic)); w.Code != 400 {
		t.Errorf("without a code: %d", w.Code)
	}
	if w := serve(s, send(string(script.Classic.Request.Body), func(r *http.Request) { classic(r); r.Header.Del("aeg-sas-key") })); w.Code != 401 {
		t.Errorf("without a key: %d", w.Code)
	}
}

func TestDeployment(t *testing.T) {
	s, q := newHearer()
	w := serve(s, send(cloudEvent("io.throughline.deployment.v1", `{"workloads":[
		{"path":"clusters/West/namespaces/shop/deployments/api/","kind":"Deployment","namespace":"shop","cluster":"West","labels":{"app":"api"},
		 "annotations":{"metadata.github.com/runtime-risks":"internet-exposed, gibberish"},
		 "containers":[{"name":"api","image":"ghcr.io/acme/api:1","digest":"`+digest+`"},{"name":"sidecar","image":"ghcr.io/acme/side@`+digest+`"},{"name":"tagged","image":"busybox:1","digest":"sha256:1"},{"image":"x"}]},
		{"path":"clusters/west/namespaces/shop/pods/old","kind":"Pod","containers":[{"name":"old","image":"a"}],"deleted":true},
		{"path":"/","containers":[{"name":"x"}]}]}`), nil))
	if w.Code != 202 {
		t.Fatalf("answer %d %s", w.Code, w.Body)
	}
	o, follow := heard(t, q)
	at := time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC)
	path := "clusters/West/namespaces/shop/deployments/api/containers/api"
	want := graph.Workload{ID: graph.NewWorkloadID(strings.ToLower(path)), Path: path, Name: "api", Kind: "Deployment", Cloud: "other", Cluster: "West", Namespace: "shop", Container: "api",
		Tags: map[string]string{"app": "api"}, Running: []graph.Running{{Digest: digest, Image: "ghcr.io/acme/api:1", FirstSeen: at, LastSeen: at}},
		Readings: []graph.Reading{{Factor: graph.InternetExposed, Source: "event", Says: graph.Yes, Raw: "internet-exposed", Path: risksAnnotation, ReadAt: at, YesAt: at}}, UpdatedAt: at}
	if len(o.Workloads) != 4 {
		t.Fatalf("%d workloads", len(o.Workloads))
	}
	if diff := cmp.Diff(want, o.Workloads[0]); diff != "" {
		t.Error(diff)
	}
	if !o.Workloads[3].Gone || o.Workloads[1].Running[0].Digest != digest || o.Workloads[2].Running[0].Digest != "" {
		t.Errorf("%+v", o.Workloads)
	}
	if len(follow) != 2 {
		t.Errorf("follow %v", follow)
	}
	wantSkipped := map[string]int{"risk that is not understood": 1, "container with an unusable digest": 1, "container without a name": 1, "workload without a path or containers": 1}
	if diff := cmp.Diff(wantSkipped, s.Counts.Tally().Skipped); diff != "" {
		t.Error(diff)
	}
}

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

// withIssuers makes a stage that takes tokens of Entra (RSA) and GitHub (EC).
func withIssuers(t *testing.T) (s *Stage, q *queue, entra, github *signer) {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
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

func FuzzCloudEvents(f *testing.F) {
	f.Add("application/cloudevents+json", "", cloudEvent("io.throughline.build.v1", `{"digest":"`+digest+`","repository":"a/b"}`))
	f.Add("application/cloudevents+json", "", cloudEvent("io.throughline.deployment.v1", `{"workloads":[{"path":"p","containers":[{"name":"c"}]}]}`))
	f.Add("application/cloudevents-batch+json", "", "["+cloudEvent("Microsoft.ContainerRegistry.ImagePushed", `{"target":{"digest":"`+digest+`","repository":"r"},"request":{"host":"h"}}`)+"]")
	f.Add("application/json", "Microsoft.ResourceNotifications.Resources.Deleted", `{"resourceInfo":{"id":"/subscriptions/s/providers/a/b/c"}}`)
	f.Add("application/json", "", `[{"data_base64":"!!","specversion":"1.0"}]`)
	f.Fuzz(func(t *testing.T, contentType, binaryType, body string) {
		s, q := newHearer()
		r := send("", func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(body))
			r.Header.Set("Content-Type", contentType)
			if binaryType != "" {
				for k, v := range map[string]string{"specversion": "1.0", "type": binaryType, "source": "/x", "id": "1"} {
					r.Header.Set("ce-"+k, v)
				}
			}
		})
		w := serve(s, r)
		if w.Code >= 500 || w.Code != 202 && len(q.events) > 0 {
			t.Fatalf("answer %d %s with %d events", w.Code, w.Body, len(q.events))
		}
		for _, e := range q.events {
			if _, err := e.Encode(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
