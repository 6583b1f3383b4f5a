package defender

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"pgregory.net/rapid"

	"throughline/shared/graph"
)

// recorder is a transport that answers every call itself and notes the hosts.
type recorder struct {
	mu    sync.Mutex
	hosts []string
	auth  []string
}

func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hosts, r.auth = append(r.hosts, req.URL.Scheme+"://"+req.URL.Host), append(r.auth, req.Header.Get("Authorization"))
	body := `{"data":[],"value":[]}`
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

// credential gives a token that names the audience.
type credential struct{}

func (credential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "for " + o.Scopes[0], ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestOpen_every_call_stays_in_its_cloud(t *testing.T) {
	for cloud, want := range map[string][2]string{
		"":             {"https://management.azure.com", "https://management.core.windows.net//.default"},
		"public":       {"https://management.azure.com", "https://management.core.windows.net//.default"},
		"usgovernment": {"https://management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net//.default"},
		"china":        {"https://management.chinacloudapi.cn", "https://management.core.chinacloudapi.cn//.default"},
	} {
		r := &recorder{}
		c, err := Open(Options{Cloud: cloud, Credential: credential{}, Transport: r})
		if err != nil {
			t.Fatal(err)
		}
		for _, scope := range []string{"workloads", "findings", "attackpaths", "resource:/subscriptions/1/x"} {
			read(t, c, scope)
		}
		if err := c.PutGovernance(context.Background(), assessmentID, Governance{Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		for i, host := range r.hosts {
			if host != want[0] || r.auth[i] != "Bearer for "+want[1] {
				t.Errorf("%q: call to %s with %s", cloud, host, r.auth[i])
			}
		}
		if len(r.hosts) < 6 {
			t.Errorf("%q: %d calls", cloud, len(r.hosts))
		}
	}
}

func TestOpen_sends_no_token_over_http(t *testing.T) {
	r := &recorder{}
	c, err := Open(Options{ARM: "http://127.0.0.1:7090/base", Credential: credential{}, Transport: r})
	if err != nil {
		t.Fatal(err)
	}
	read(t, c, "attackpaths")
	if len(r.auth) != 1 || r.auth[0] != "" || r.hosts[0] != "http://127.0.0.1:7090" {
		t.Errorf("%v %v", r.hosts, r.auth)
	}
}

func TestOpen_refuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no credential": {},
		"http outside":  {ARM: "http://arm.example", Credential: credential{}},
		"no host":       {ARM: "127.0.0.1", Credential: credential{}},
		"cloud":         {Cloud: "germany", Credential: credential{}},
		"scope":         {Scopes: []string{"mg:a/b"}, Credential: credential{}},
		"empty scope":   {Scopes: []string{""}, Credential: credential{}},
	} {
		if _, err := Open(o); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRead_scopes_never_mix_and_follow_each_other(t *testing.T) {
	s, _ := newStand(t, rule{words: "attackpaths", pages: [][]json.RawMessage{{}, {}}})
	c, err := Open(Options{ARM: s.URL, Scopes: []string{"sub-1", "mg:root", "sub-2"}})
	if err != nil {
		t.Fatal(err)
	}
	var cursors []string
	q := graph.Collection{Source: Source, Scope: "attackpaths"}
	for {
		got, err := c.Read(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		if got.Seen == nil {
			t.Error("a page without rows has no memory")
		}
		if q.Cursor = got.Next; q.Cursor == "" {
			break
		}
		cursors = append(cursors, q.Cursor)
	}
	if strings.Join(cursors, " ") != "0.x 1. 1.x" {
		t.Errorf("cursors %q", cursors)
	}
	for i, r := range s.requests {
		groups, subscriptions := strings.Join(r.ManagementGroups, ","), strings.Join(r.Subscriptions, ",")
		if i < 2 && (groups != "root" || subscriptions != "") || i >= 2 && (groups != "" || subscriptions != "sub-1,sub-2") {
			t.Errorf("request %d in %q and %q", i, groups, subscriptions)
		}
		if r.Options.ResultFormat != "objectArray" || r.Options.Top != 1000 || r.Query != s.requests[0].Query {
			t.Errorf("request %d: %+v", i, r)
		}
	}
	for _, bad := range []string{"7.x", "x", "-1.", "."} {
		if _, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: "attackpaths", Cursor: bad}); err == nil {
			t.Errorf("cursor %q is taken", bad)
		}
	}
}

func TestRead_refusals_are_errors_without_a_page(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 500, 503} {
		_, c := newStand(t, rule{words: "attackpaths", status: status})
		got, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: "attackpaths"})
		var refused *StatusError
		if !errors.As(err, &refused) || refused.Status != status || refused.Code != "Refused" || got.Seen != nil || got.Next != "" {
			t.Errorf("%d: %+v, %v", status, got, err)
		}
	}
}

func TestRead_waits_when_limited(t *testing.T) {
	at := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		status int
		header http.Header
		wait   time.Duration
	}{
		"429 with seconds": {429, http.Header{"Retry-After": {"17"}}, 17 * time.Second},
		"429 with a clock": {429, http.Header{"X-Ms-User-Quota-Resets-After": {"00:02:05"}}, 125 * time.Second},
		"429 bare":         {429, nil, time.Second},
		"503 with seconds": {503, http.Header{"Retry-After": {"30"}}, 30 * time.Second},
		"429 for a day":    {429, http.Header{"Retry-After": {"86400"}}, time.Hour},
	} {
		s, client := newStand(t, rule{words: "attackpaths", status: c.status, header: c.header})
		client.arm.now = func() time.Time { return at }
		for range 2 {
			_, err := client.Read(context.Background(), graph.Collection{Source: Source, Scope: "attackpaths"})
			var limited *graph.Limited
			if !errors.As(err, &limited) || !limited.Until.Equal(at.Add(c.wait)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(s.requests) != 1 {
			t.Errorf("%s: asked %d times while limited", name, len(s.requests))
		}
	}
}

func TestRead_rests_when_the_quota_is_used_up(t *testing.T) {
	header := http.Header{"X-Ms-User-Quota-Remaining": {"0"}, "X-Ms-User-Quota-Resets-After": {"00:00:05"}}
	_, c := newStand(t, rule{words: "attackpaths", header: header, pages: [][]json.RawMessage{{}}})
	at := time.Now()
	c.arm.now = func() time.Time { return at }
	read(t, c, "attackpaths")
	var limited *graph.Limited
	if _, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: "attackpaths"}); !errors.As(err, &limited) {
		t.Errorf("asked again: %v", err)
	}
	at = at.Add(5 * time.Second)
	read(t, c, "attackpaths")
}

// TestRead_a_cut_answer_is_an_error holds that no part of an answer passes for the whole.
func TestRead_a_cut_answer_is_an_error(t *testing.T) {
	whole := `{"count":1,"data":[{"id":"/a","name":"b","properties":{"displayName":"c"}}],"$skipToken":"x"}`
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, len(whole)-1).Draw(t, "bytes")
		c, err := Open(Options{ARM: "http://127.0.0.1:1", Transport: cut(whole[:n])})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: "attackpaths"}); err == nil {
			t.Fatalf("%d bytes pass for an answer: %+v", n, got)
		}
	})
	for _, odd := range []string{`{}`, `{"data":null}`, `{"data":[],"$skipToken":7}`, `[]`} {
		c, err := Open(Options{ARM: "http://127.0.0.1:1", Transport: cut(odd)})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: "attackpaths"}); err == nil {
			t.Errorf("%s passes for an answer: %+v", odd, got)
		}
	}
}

func TestRead_a_page_that_names_itself_is_an_error(t *testing.T) {
	c, err := Open(Options{ARM: "http://127.0.0.1:1", Transport: cut(`{"data":[],"$skipToken":"x"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: "attackpaths", Cursor: "0.x"}); err == nil {
		t.Errorf("a run without an end: %+v", got)
	}
}

type cut string

func (c cut) Do(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(c))), Request: req}, nil
}
