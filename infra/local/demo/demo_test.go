package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v66/github"

	"throughline/infra/local/demo"
)

// TestMain runs a child of TestConfirmedWritesSurviveKill where it is asked to, else the tests, and closes what they shared.
func TestMain(m *testing.M) {
	if os.Getenv("DEMO_CHILD") != "" {
		os.Exit(child())
	}
	code := m.Run()
	if readOnly != nil {
		if err := readOnly.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var readOnly *demo.Demo

// shared is one small demo for all tests that change nothing, because making an App's key takes a while.
func shared(t *testing.T) *demo.Demo {
	t.Helper()
	if readOnly == nil {
		d, err := demo.Start(context.Background(), demo.Options{GitHubAddr: "127.0.0.1:0", AzureAddr: "127.0.0.1:0", Seed: 1, Estate: "small"})
		if err != nil {
			t.Fatal(err)
		}
		readOnly = d
	}
	return readOnly
}

// start runs a small demo and stops it with the test.
func start(t *testing.T, change ...func(*demo.Options)) *demo.Demo {
	t.Helper()
	o := demo.Options{GitHubAddr: "127.0.0.1:0", AzureAddr: "127.0.0.1:0", Seed: 1, Estate: "small"}
	for _, c := range change {
		c(&o)
	}
	d, err := demo.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func setting(t *testing.T, d *demo.Demo, name string) string {
	t.Helper()
	for _, e := range d.Env() {
		if v, found := strings.CutPrefix(e, name+"="); found {
			return v
		}
	}
	t.Fatalf("there is no setting %s", name)
	return ""
}

// transport signs as the App and fetches installation tokens, with a client that is not ours.
func transport(t *testing.T, d *demo.Demo) (*ghinstallation.AppsTransport, http.RoundTripper) {
	t.Helper()
	return transportOver(t, d, http.DefaultTransport)
}

func transportOver(t *testing.T, d *demo.Demo, over http.RoundTripper) (*ghinstallation.AppsTransport, http.RoundTripper) {
	t.Helper()
	var id int64
	if _, err := fmt.Sscan(setting(t, d, "GITHUB_APP_ID"), &id); err != nil {
		t.Fatal(err)
	}
	app, tr, err := signer(over, d.GitHubURL(), id, []byte(setting(t, d, "GITHUB_APP_PRIVATE_KEY")))
	if err != nil {
		t.Fatal(err)
	}
	return app, tr
}

func signer(over http.RoundTripper, base string, id int64, key []byte) (*ghinstallation.AppsTransport, http.RoundTripper, error) {
	app, err := ghinstallation.NewAppsTransport(over, id, key)
	if err != nil {
		return nil, nil, err
	}
	app.BaseURL = base
	r, err := (&http.Client{Transport: app}).Get(base + "/orgs/throughline-demo/installation")
	if err != nil {
		return nil, nil, err
	}
	defer r.Body.Close()
	var found struct {
		ID int64 `json:"id"`
	}
	if err := json.NewDecoder(r.Body).Decode(&found); err != nil || found.ID == 0 {
		return nil, nil, fmt.Errorf("installation: %s %w", r.Status, err)
	}
	tr := ghinstallation.NewFromAppsTransport(app, found.ID)
	tr.BaseURL = base
	return app, tr, nil
}

func client(t *testing.T, d *demo.Demo) *github.Client {
	t.Helper()
	_, tr := transport(t, d)
	c, err := github.NewClient(&http.Client{Transport: tr}).WithEnterpriseURLs(d.GitHubURL(), d.GitHubURL())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// receiver is a webhook endpoint that keeps what it accepts.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	secret string
	got    []received
	status int
}

type received struct {
	event, guid, action string
	body                []byte
	header              http.Header
}

func receive(t *testing.T, secret string) *receiver {
	r := &receiver{secret: secret, status: http.StatusAccepted}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err == nil {
			err = github.ValidateSignature(req.Header.Get("X-Hub-Signature-256"), body, []byte(r.secret))
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.status/100 == 2 {
			var a struct {
				Action string `json:"action"`
			}
			if json.Unmarshal(body, &a) != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			r.got = append(r.got, received{req.Header.Get("X-GitHub-Event"), req.Header.Get("X-GitHub-Delivery"), a.Action, body, req.Header})
		}
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Server.Close)
	return r
}

func (r *receiver) list() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// wait polls until f holds; webhooks come in the background.
func wait(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("timed out waiting for %s", what)
}

func post(t *testing.T, url string, body any, into any) int {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Post(url, "application/json", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v: %.300s", url, err, text)
		}
	}
	return r.StatusCode
}

const secret = "a secret of the right length"

func TestPlayDeliversEveryEventSigned(t *testing.T) {
	r := receive(t, secret)
	d := start(t, func(o *demo.Options) { o.WebhookURL, o.WebhookSecret = r.URL, secret })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := d.Play(ctx); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	guids := map[string]bool{}
	for _, g := range r.list() {
		count[g.event]++
		if guids[g.guid] {
			t.Errorf("%s %s came twice", g.event, g.guid)
		}
		guids[g.guid] = true
		if g.header.Get("X-GitHub-Hook-Installation-Target-ID") != setting(t, d, "GITHUB_APP_ID") {
			t.Errorf("%s names another App", g.event)
		}
	}
	for _, event := range []string{"ping", "installation", "package", "registry_package", "workflow_run", "push", "code_scanning_alert", "dependabot_alert", "secret_scanning_alert"} {
		if count[event] == 0 {
			t.Errorf("no %s was played", event)
		}
	}
	before := len(r.list())
	if err := d.Play(ctx); err != nil {
		t.Fatal(err)
	}
	if after := len(r.list()); after != before {
		t.Errorf("playing again delivered %d more", after-before)
	}
}
