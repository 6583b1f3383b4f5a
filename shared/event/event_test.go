package event_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"throughline/shared/event"
	"throughline/shared/graph"
)

func TestEventsSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-zA-Z0-9é"\\<&:./ -]{0,20}[a-z0-9]`)
		data := map[string]any{"text": rapid.String().Draw(t, "text"), "number": rapid.IntRange(-1<<40, 1<<40).Draw(t, "number"), "null": nil}
		e, err := event.New(rapid.SampledFrom(types()).Draw(t, "type"), "/functions/"+rapid.StringMatching(`[a-z]{1,9}`).Draw(t, "source"), "s"+word.Draw(t, "subject"), data)
		if err != nil {
			t.Fatal(err)
		}
		e.Session = rapid.SampledFrom([]string{"", "github-1", "github org:größe", strings.Repeat("s", 128)}).Draw(t, "session")
		e.Trace = rapid.SampledFrom([]string{"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}).Draw(t, "trace")
		raw, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := event.Decode(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if diff := cmp.Diff(plain(t, e.Data), plain(t, got.Data)); diff != "" {
			t.Fatalf("data (-sent +got):\n%s", diff)
		}
		e.Data, got.Data = nil, nil
		if diff := cmp.Diff(e, got); diff != "" {
			t.Fatalf("event (-sent +got):\n%s", diff)
		}
	})
}

func types() []event.Type {
	var all []event.Type
	for _, r := range event.Routes {
		all = append(all, r.Type)
	}
	return all
}

func plain(t rapid.TB, raw []byte) any {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

func TestEncodeIsStructuredCloudEvents(t *testing.T) {
	e, err := event.NewDue("/functions/prioritize", event.Due{Repository: "github-1", Remediation: "github-1-fix-0", Version: "v"})
	if err != nil {
		t.Fatal(err)
	}
	e.ID, e.Time, e.NotBefore = "id-1", time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), time.Now()
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"specversion": "1.0", "id": "id-1", "type": "io.throughline.prioritized.v1", "source": "/functions/prioritize", "subject": "github-1-fix-0",
		"time": "2026-11-24T12:00:00Z", "datacontenttype": "application/json", "session": "github-1",
		"data": map[string]any{"repository": "github-1", "remediation": "github-1-fix-0", "version": "v"}}
	if diff := cmp.Diff(want, plain(t, raw)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEncodeRefuses(t *testing.T) {
	good, err := event.New(event.Collect, "/functions/resync", "s", 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*event.Event){
		"no id":     func(e *event.Event) { e.ID = "" },
		"no type":   func(e *event.Event) { e.Type = "" },
		"no source": func(e *event.Event) { e.Source = "" },
		"no JSON":   func(e *event.Event) { e.Data = json.RawMessage(`{"a":`) },
	} {
		bad := good
		spoil(&bad)
		if raw, err := bad.Encode(); err == nil {
			t.Errorf("%s: encoded as %s", name, raw)
		}
	}
	if _, err := event.New(event.Collect, "/functions/resync", "s", func() {}); err == nil {
		t.Error("data that is no JSON: no error")
	}
}

// foreign are messages that no queue of ours should hold.
var foreign = []string{
	``, `null`, `{}`, `[]`, `"text"`, `garbage`, `{"specversion":"1.0"}`,
	`{"specversion":"1.0","id":"1","type":"io.throughline.collect.v1","data":{}}`,
	`{"specversion":"1.0","id":"1","source":"/x","type":"com.example.other","data":{}}`,
	`{"specversion":"1.0","id":"1","source":"/x","type":"io.throughline.collect.v2","data":{}}`,
	`{"specversion":"0.9","id":"1","source":"/x","type":"io.throughline.collect.v1","data":{}}`,
	`{"specversion":"1.0","id":"1","source":"/x","type":"io.throughline.collect.v1"}`,
	`{"specversion":"1.0","id":"1","source":"/x","type":"io.throughline.collect.v1","datacontenttype":"text/plain","data":"plain text"}`,
	`{"specversion":"1.0","id":"1","source":"/x","type":"io.throughline.collect.v1","data_base64":"Z2FyYmFnZQ=="}`,
	`{"specversion":"1.0","id":"","source":"/x","type":"io.throughline.collect.v1","data":{}}`,
	`{"specversion":"1.0","id":"1","source":"/x","time":"yesterday","type":"io.throughline.collect.v1","data":{}}`,
}

func TestDecodeRefusesForeignMessages(t *testing.T) {
	for _, raw := range foreign {
		if e, err := event.Decode([]byte(raw)); !errors.Is(err, event.ErrPermanent) || err.Error() == "" {
			t.Errorf("%s: got %+v and %v, want ErrPermanent", raw, e, err)
		}
	}
}

// FuzzDecode holds that what Decode takes can be sent again.
func FuzzDecode(f *testing.F) {
	for _, raw := range foreign {
		f.Add([]byte(raw))
	}
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/x","type":"io.throughline.collect.v1","subject":"s","time":"2026-11-24T12:00:00.5+01:00","session":"a b","traceparent":"t","data":{"source":"github"}}`))
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/x","type":"io.throughline.prioritized.v1","session":7,"other":true,"data":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := event.Decode(raw)
		if err != nil {
			if !errors.Is(err, event.ErrPermanent) {
				t.Fatalf("%q: %v is not permanent", raw, err)
			}
			return
		}
		again := e.Again(time.Time{})
		sent, err := again.Encode()
		if err != nil {
			t.Fatalf("%q cannot be sent again: %v", raw, err)
		}
		got, err := event.Decode(sent)
		if err != nil || got.ID != again.ID || got.Type != e.Type || got.Session != e.Session || got.Trace != e.Trace {
			t.Fatalf("%q came back as %+v, %v", raw, got, err)
		}
	})
}

func TestAgainIsANewMessageAboutTheSame(t *testing.T) {
	e, err := event.NewLag("/functions/correlate", event.Lag{Repository: "github-1"})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(time.Hour)
	again := e.Again(at)
	if again.ID == e.ID || again.ID == "" || !again.NotBefore.Equal(at) || !e.NotBefore.IsZero() || string(again.Data) != string(e.Data) || again.Type != e.Type {
		t.Errorf("%+v again is %+v", e, again)
	}
}

func TestPermanentKeepsTheCause(t *testing.T) {
	cause := fmt.Errorf("read: %w", graph.ErrNotFound)
	err := fmt.Errorf("stage: %w", event.Permanent(cause))
	if !errors.Is(err, event.ErrPermanent) || !errors.Is(err, graph.ErrNotFound) || err.Error() != "stage: read: not found" {
		t.Errorf("%v: permanent %t", err, errors.Is(err, event.ErrPermanent))
	}
	if errors.Is(cause, event.ErrPermanent) {
		t.Error("an ordinary error is permanent")
	}
}

func TestIntoRefusesWhatDoesNotFit(t *testing.T) {
	e, err := event.New(event.Correlated, "/functions/correlate", "s", []int{1})
	if err != nil {
		t.Fatal(err)
	}
	var l event.Lag
	if err := e.Into(&l); !errors.Is(err, event.ErrPermanent) || !strings.Contains(err.Error(), e.ID) {
		t.Errorf("got %v", err)
	}
	var numbers []int
	if err := e.Into(&numbers); err != nil || len(numbers) != 1 {
		t.Errorf("got %v, %v", numbers, err)
	}
}

func TestRoutes(t *testing.T) {
	heard := map[string]bool{}
	for _, r := range event.Routes {
		if heard[r.HeardBy] {
			t.Errorf("%s hears two types", r.HeardBy)
		}
		heard[r.HeardBy] = true
		if found, ok := event.RouteOf(r.Type); !ok || found.HeardBy != r.HeardBy || len(r.SaidBy) == 0 {
			t.Errorf("route of %s: %+v", r.Type, found)
		}
	}
	if _, ok := event.RouteOf("io.throughline.nothing.v1"); ok {
		t.Error("an unknown type has a route")
	}
}

func TestSessions(t *testing.T) {
	session := func(source, scope string) string {
		e, err := event.NewCollect("/functions/resync", graph.Collection{Source: source, Scope: scope})
		if err != nil {
			t.Fatal(err)
		}
		return e.Session
	}
	if got := session("github", "org:acme"); got != "github org:acme" {
		t.Errorf("a short scope: %q", got)
	}
	fitting, long := strings.Repeat("o", 128-len("github ")), strings.Repeat("o", 129-len("github "))
	if got := session("github", fitting); got != "github "+fitting {
		t.Errorf("128 characters: %q", got)
	}
	hashed := session("github", long)
	if len(hashed) > 128 || hashed == "" || hashed != session("github", long) || hashed == session("github", long+"o") || hashed == session("azure", long) {
		t.Errorf("a long scope: %q", hashed)
	}
	for range 2 {
		if e, err := event.NewDue("/functions/prioritize", event.Due{Repository: "github-1", Remediation: "a"}); err != nil || e.Session != "github-1" {
			t.Errorf("due: session %q, %v", e.Session, err)
		}
	}
	if e, err := event.NewLag("/functions/correlate", event.Lag{Repository: "github-1"}); err != nil || e.Session != "" || e.Subject != "github-1" {
		t.Errorf("lag: %+v, %v", e, err)
	}
}
