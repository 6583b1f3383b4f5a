package demo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-github/v66/github"

	"throughline/infra/local/demo"
)

func fault(t *testing.T, base string, rules ...object) {
	t.Helper()
	if status := post(t, base+"/_faults", rules, nil); status != 200 {
		t.Fatalf("faults: %d", status)
	}
}

func clearFaults(t *testing.T, base string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodDelete, base+"/_faults", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
}

// get gives status, headers and body, and the error of reading the body.
func get(c *http.Client, url string) (int, http.Header, []byte, error) {
	r, err := c.Get(url)
	if err != nil {
		return 0, nil, nil, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return r.StatusCode, r.Header, body, err
}

func TestFaultsHitWhatTheyMatch(t *testing.T) {
	d := start(t)
	c := newUnchecked(t, d)
	repos := d.GitHubURL() + "/orgs/throughline-demo/repos"
	rule := object{"match": "GET /orgs/*/repos", "kind": "status", "status": 403, "retryAfter": 2, "skip": 1, "times": 2}
	fault(t, d.GitHubURL(), rule)
	var got []int
	for range 4 {
		status, header, _, err := get(c, repos)
		if err != nil {
			t.Fatal(err)
		}
		if status == 403 && header.Get("Retry-After") != "2" {
			t.Errorf("Retry-After %q", header.Get("Retry-After"))
		}
		got = append(got, status)
	}
	if !slices.Equal(got, []int{200, 403, 403, 200}) {
		t.Errorf("answers %v", got)
	}
	clearFaults(t, d.GitHubURL())
	fault(t, d.GitHubURL(), object{"match": "GET /orgs/*/repos", "kind": "status", "status": 429})
	if status, header, body, _ := get(c, repos); status != 429 || header.Get("Retry-After") != "" || !strings.Contains(string(body), "secondary") {
		t.Errorf("%d %v %s", status, header, body)
	}
	clearFaults(t, d.GitHubURL())
	fault(t, d.GitHubURL(), object{"match": "GET /orgs/*/repos", "kind": "status", "status": 403, "primary": true})
	if _, header, _, _ := get(c, repos); header.Get("X-Ratelimit-Remaining") != "0" || header.Get("X-Ratelimit-Reset") == "" {
		t.Errorf("headers of a primary limit: %v", header)
	}
	for _, bad := range []object{{"kind": "explode"}, {"kind": "status", "status": 200}} {
		if status := post(t, d.GitHubURL()+"/_faults", bad, nil); status != 400 {
			t.Errorf("%v: %d", bad, status)
		}
	}
}

func TestFaultsOfTheBody(t *testing.T) {
	d := start(t)
	c := newUnchecked(t, d)
	repos := d.GitHubURL() + "/orgs/throughline-demo/repos"
	fault(t, d.GitHubURL(), object{"match": "GET /orgs/*/repos", "kind": "truncate", "times": 1}, object{"match": "GET /orgs/*/repos", "kind": "abort", "times": 1},
		object{"match": "GET /orgs/*/repos", "kind": "timeout", "times": 1}, object{"match": "GET /orgs/*/repos", "kind": "delay", "delayMs": 30, "times": 1})
	if _, _, body, err := get(c, repos); err != nil || json.Valid(body) || len(body) < 1000 {
		t.Errorf("truncated: %d bytes, %v", len(body), err)
	}
	if _, _, body, err := get(c, repos); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("aborted: %d bytes, %v", len(body), err)
	}
	hasty := &http.Client{Transport: c.Transport, Timeout: 50 * time.Millisecond}
	if _, _, _, err := get(hasty, repos); err == nil {
		t.Error("timeout answered")
	}
	begun := time.Now()
	if status, _, _, err := get(c, repos); status != 200 || err != nil || time.Since(begun) < 30*time.Millisecond {
		t.Errorf("delayed: %d %v after %v", status, err, time.Since(begun))
	}
}

// TestFaultBeforeAndAfterTheEffect is what makes a client look before it creates again.
func TestFaultBeforeAndAfterTheEffect(t *testing.T) {
	d := start(t)
	c := client(t, d)
	owner, repo, _ := strings.Cut(firstRepository(d, func(r demo.ExpectedRepository) bool { return !r.Archived }).FullName, "/")
	fault(t, d.GitHubURL(), object{"match": "POST /repos/*/*/issues", "kind": "status", "status": 502, "when": "before", "times": 1},
		object{"match": "POST /repos/*/*/issues", "kind": "status", "status": 502, "when": "after", "times": 1})
	for n, want := range []int{0, 1, 2} {
		_, r, err := c.Issues.Create(context.Background(), owner, repo, &github.IssueRequest{Title: github.String(fmt.Sprint(n))})
		if (r.StatusCode == 502) != (n < 2) || (err != nil) != (n < 2) {
			t.Errorf("create %d: %d %v", n, r.StatusCode, err)
		}
		if got := len(d.Issues()); got != want {
			t.Errorf("after create %d there are %d issues, want %d", n, got, want)
		}
	}
}

func TestFaultsByPercent(t *testing.T) {
	d := start(t)
	c := newUnchecked(t, d)
	fault(t, d.GitHubURL(), object{"match": "GET /rate_limit", "kind": "status", "status": 500, "percent": 30})
	failed := 0
	for range 200 {
		if status, _, _, err := get(c, d.GitHubURL()+"/rate_limit"); err != nil || status == 500 {
			failed++
		}
	}
	if failed < 30 || failed > 95 {
		t.Errorf("%d of 200 failed, want about 60", failed)
	}
}

func TestFaultsOfAzure(t *testing.T) {
	d := start(t)
	fault(t, d.AzureURL(), object{"match": "POST /providers/Microsoft.ResourceGraph/resources", "kind": "status", "status": 429, "times": 1},
		object{"match": "GET /v2/**", "kind": "status", "status": 503})
	if got, status := query(t, d, "resources | project id"); status != 429 || got.Error.Code != "RateLimiting" {
		t.Errorf("%d %v", status, got.Error)
	}
	if _, status := query(t, d, "resources | project id"); status != 200 {
		t.Errorf("the second query: %d", status)
	}
	if status, _, _, err := get(http.DefaultClient, d.AzureURL()+"/v2/docker.io/library/redis/manifests/7.2.4"); status != 503 || err != nil {
		t.Errorf("registry: %d %v", status, err)
	}
}

type limitReport struct {
	Report struct{ Creations, MaxMinute, MaxHour, Refused int }
	Now    time.Time
}

// TestSecondaryLimitsOnAFastClock creates as fast as it can for two hours of the stand-in's time, first waiting as it is
// told, then trying every minute: either way no window holds more than the limits allow.
func TestSecondaryLimitsOnAFastClock(t *testing.T) {
	d := start(t)
	c := newUnchecked(t, d)
	url := d.GitHubURL() + "/repos/" + firstRepository(d, func(r demo.ExpectedRepository) bool { return !r.Archived }).FullName + "/issues"
	var r limitReport
	post(t, d.GitHubURL()+"/_limits", object{"perMinute": 80, "perHour": 500, "retryAfter": true}, &r)
	var created []time.Time
	for _, patient := range []bool{true, false} {
		refusedInARow := 0
		for begun := r.Now; r.Now.Sub(begun) < 2*time.Hour; {
			answer, err := c.Post(url, "application/json", strings.NewReader(`{"title":"x"}`))
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode == http.StatusCreated {
				created, refusedInARow = append(created, r.Now), 0
				continue
			}
			wait := answer.Header.Get("Retry-After") + "s"
			if refusedInARow++; answer.StatusCode != http.StatusForbidden || wait == "s" || patient && refusedInARow > 1 {
				t.Fatalf("%s, wait %s, refused %d times in a row", answer.Status, wait, refusedInARow)
			}
			if !patient {
				wait = "1m"
			}
			post(t, d.GitHubURL()+"/_limits", object{"forward": wait}, &r)
		}
	}
	for i, at := range created {
		for window, most := range map[time.Duration]int{time.Minute: 80, time.Hour: 500} {
			// The times were read after each wait, so a second of either side is left out.
			if first := i - most; first >= 0 && at.Sub(created[first]) < window-2*time.Second {
				t.Fatalf("%d issues within %v", most+1, at.Sub(created[first]))
			}
		}
	}
	if x := r.Report; x.MaxMinute != 80 || x.MaxHour != 500 || x.Creations != len(created) || len(created) != len(d.Issues()) || len(created) < 2000 {
		t.Errorf("%+v, %d confirmed, %d issues", x, len(created), len(d.Issues()))
	}
}

func TestPrimaryLimitAndHeaders(t *testing.T) {
	d := start(t)
	c := newUnchecked(t, d)
	post(t, d.GitHubURL()+"/_limits", object{"primary": 10}, nil)
	path := d.GitHubURL() + "/orgs/throughline-demo/repos"
	status, last := 200, ""
	for n := 0; status == 200 && n < 20; n++ {
		var header http.Header
		var err error
		if status, header, _, err = get(c, path); err != nil {
			t.Fatal(err)
		}
		last = header.Get("X-Ratelimit-Remaining")
		if header.Get("X-Ratelimit-Limit") != "10" || header.Get("X-Github-Request-Id") == "" && status == 200 {
			t.Fatalf("headers %v", header)
		}
	}
	if status != 403 || last != "0" {
		t.Errorf("ends with %d and %s left", status, last)
	}
	post(t, d.GitHubURL()+"/_limits", object{"forward": "1h"}, nil)
	if status, _, _, _ := get(c, path); status != 200 {
		t.Errorf("an hour later: %d", status)
	}
}

func TestWebhooksAreSentOnceAndRedeliveredOnRequest(t *testing.T) {
	r := receive(t, secret)
	d := start(t, func(o *demo.Options) { o.WebhookURL, o.WebhookSecret = r.URL, secret })
	c := newCaller(t, d)
	home := "/repos/" + firstRepository(d, func(r demo.ExpectedRepository) bool { return !r.Archived }).FullName
	r.answer(http.StatusServiceUnavailable)
	c.ask("POST", home+"/issues", object{"title": "x"}, 201)
	wait(t, "the failed attempt", func() bool { return d.Pending() == 0 })
	failed := c.with(c.app, "GET", "/app/hook/deliveries?status=failure", nil, 200).([]any)
	if len(failed) != 1 || failed[0].(object)["status_code"] != 503.0 || failed[0].(object)["action"] != "opened" {
		t.Fatalf("failed deliveries: %v", failed)
	}
	time.Sleep(50 * time.Millisecond)
	if again := c.with(c.app, "GET", "/app/hook/deliveries", nil, 200).([]any); len(again) != 1 || len(r.list()) != 0 {
		t.Fatal("it was sent again without being asked")
	}
	r.answer(http.StatusAccepted)
	id := number(int64(failed[0].(object)["id"].(float64)))
	c.with(c.app, "POST", "/app/hook/deliveries/"+id+"/attempts", nil, 202)
	wait(t, "the redelivery", func() bool { return len(r.list()) == 1 })
	wait(t, "its record", func() bool { return d.Pending() == 0 })
	both := c.with(c.app, "GET", "/app/hook/deliveries", nil, 200).([]any)
	newest := both[0].(object)
	if len(both) != 2 || newest["guid"] != failed[0].(object)["guid"] || newest["redelivery"] != true || newest["status"] != "OK" || r.list()[0].guid != newest["guid"] {
		t.Errorf("after redelivery: %v", both)
	}
	full := c.with(c.app, "GET", "/app/hook/deliveries/"+id, nil, 200).(object)
	var sent any
	if err := json.Unmarshal(r.list()[0].body, &sent); err != nil || fmt.Sprint(full["request"].(object)["payload"]) != fmt.Sprint(sent) {
		t.Error("the recorded payload is not what was sent")
	}
}

func TestDroppedAndMissedDeliveries(t *testing.T) {
	r := receive(t, secret)
	d := start(t, func(o *demo.Options) { o.WebhookURL, o.WebhookSecret = r.URL, secret })
	c := newCaller(t, d)
	post(t, d.GitHubURL()+"/_demo/drop-webhooks", object{"count": 1}, nil)
	home := "/repos/" + firstRepository(d, func(r demo.ExpectedRepository) bool { return !r.Archived }).FullName
	c.ask("POST", home+"/issues", object{"title": "lost"}, 201)
	c.ask("POST", home+"/issues", object{"title": "arrives"}, 201)
	wait(t, "both", func() bool { return d.Pending() == 0 && len(r.list()) == 1 })
	if status := post(t, d.GitHubURL()+"/_demo/missed", object{"total": 700, "wanted": 27}, nil); status != 200 {
		t.Fatal(status)
	}
	events := map[string]int{}
	path, guids := "/app/hook/deliveries?status=failure&per_page=100", map[string]bool{}
	for path != "" {
		v, header := c.full(c.app, "GET", path, nil, 200)
		for _, x := range v.([]any) {
			events[x.(object)["event"].(string)]++
			guids[x.(object)["guid"].(string)] = true
		}
		path = ""
		if m := nextLink.FindStringSubmatch(header.Get("Link")); m != nil {
			path = m[1]
		}
	}
	if len(guids) != 701 || events["dependabot_alert"] != 27 || events["issues"] != 1 {
		t.Errorf("%d failed deliveries: %v", len(guids), events)
	}
}

func TestAppTokensAreChecked(t *testing.T) {
	d := shared(t)
	for what, header := range map[string]string{"none": "", "nonsense": "Bearer a.b.c", "an installation's": "Bearer ghs_1_a.b.c", "unsigned": "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOjF9."} {
		req, err := http.NewRequest("GET", d.GitHubURL()+"/app", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", header)
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != 401 {
			t.Errorf("%s: %d", what, r.StatusCode)
		}
	}
}
