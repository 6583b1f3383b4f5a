package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

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
	if len(follow) != 0 {
		t.Errorf("follow %v", follow)
	}
	wantSkipped := map[string]int{"risk that is not understood": 1, "container with an unusable digest": 1, "container without a name": 1, "workload without a path or containers": 1}
	if diff := cmp.Diff(wantSkipped, s.Counts.Tally().Skipped); diff != "" {
		t.Error(diff)
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

// TestDocumentedEventsAreTaken sends every event that the operator's page shows.
func TestDocumentedEventsAreTaken(t *testing.T) {
	page, err := os.ReadFile("../../infra/README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```json\n(\\{\"specversion\".*?)```").FindAllStringSubmatch(string(page), -1)
	if len(examples) < 2 {
		t.Fatalf("%d events are documented", len(examples))
	}
	for _, e := range examples {
		s, q := newHearer()
		if w := serve(s, send(e[1], nil)); w.Code != 202 {
			t.Errorf("answer %d %s to %s", w.Code, w.Body, e[1])
			continue
		}
		o, _ := heard(t, q)
		if o.Len() == 0 || len(s.Counts.Tally().Skipped) > 0 {
			t.Errorf("%d nouns, skipped %v, of %s", o.Len(), s.Counts.Tally().Skipped, e[1])
		}
	}
}
