package functionapp

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeCaller calls functions that serve plays, without a handler process.
func fakeCaller(t *testing.T, now func() time.Time, serve http.HandlerFunc) *caller {
	t.Helper()
	server := httptest.NewServer(serve)
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); server.Close() })
	e := &endpoint{url: server.URL, calls: transport}
	return &caller{ready: func(context.Context) (*endpoint, error) { return e, nil }, timeout: time.Minute, now: now,
		log: slog.New(slog.DiscardHandler), outputs: &outputs{senders: map[string]sender{}}}
}

func TestEncoding(t *testing.T) {
	at := time.Date(2023, 10, 12, 20, 13, 49, 987, time.FixedZone("", 7200))
	p := payload{Data: map[string]any{"s": `a"<b`}, Metadata: map[string]any{
		"text": "abc", "number": 5, "long": int64(1) << 40, "yes": true, "object": map[string]any{"a": []int{1}}, "list": []any{"a", 1},
		"when": dateTime(at), "zoned": dateTimeOffset(at.UTC()), "bytes": []byte{0xff}, "none": nil, "raw": json.RawMessage(`{"b":2}`), "httpTrigger": "hidden"}}
	body, err := p.marshal()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Data":{"s":"\"a\\\"<b\""},"Metadata":{"bytes":"/w==","list":"[\"a\",1]","long":"1099511627776","number":"5","object":{"a":[1]},` +
		`"raw":{"b":2},"text":"\"abc\"","when":"2023-10-12T18:13:49","yes":"true","zoned":"2023-10-12T18:13:49+00:00"}}` + "\n"
	if diff := cmp.Diff(want, string(body)); diff != "" {
		t.Error(diff)
	}
}

func TestMergeBody(t *testing.T) {
	tests := map[string]map[string]any{
		`{"a":1,"B":"x","date":"2026-01-02T03:04:05+01:00"}`: {"A": "1", "B": "x", "date": "01/02/2026 02:04:05"},
		`[{"a":1}]`:         {"A": "old"},
		`{"a":1`:            {"A": "old"},
		`{"a":[1],"b":1.5}`: {"A": "old", "b": "1.5"},
		` {"a":false} `:     {"A": "False"},
		`plain`:             {"A": "old"},
	}
	for body, want := range tests {
		got := map[string]any{"A": "old"}
		mergeBody(body, got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

func TestOutputBodies(t *testing.T) {
	tests := []struct {
		raw    string
		binary bool
		want   []string
	}{
		{`null`, false, nil},
		{``, false, nil},
		{`"hello world"`, false, []string{"hello world"}},
		{`"test"`, false, []string{"System.Byte[]"}},
		{`"dGVzdA=="`, true, []string{"test"}},
		{`"{\"a\":1}"`, false, []string{"{\n  \"a\": 1\n}"}},
		{`{"a":1}`, false, []string{"{\n  \"a\": 1\n}"}},
		{`"[\"a b\",{\"c\":2}]"`, false, []string{"a b", "{\n  \"c\": 2\n}"}},
		{`["x y",3]`, false, []string{"x y", "3"}},
	}
	for _, test := range tests {
		var got []string
		for _, b := range outputBodies(json.RawMessage(test.raw), test.binary) {
			got = append(got, string(b))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.raw, diff)
		}
	}
}

func TestConnections(t *testing.T) {
	const text = "Endpoint=sb://127.0.0.1:5672/;SharedAccessKeyName=k;SharedAccessKey=v;UseDevelopmentEmulator=true"
	tests := []struct {
		env  []string
		name string
		want connection
		host string
	}{
		{[]string{"ServiceBusConnection=" + text}, "ServiceBusConnection", connection{text: text}, "127.0.0.1:5672"},
		{[]string{"AzureWebJobsX=" + text, "X=other"}, "X", connection{text: text}, "127.0.0.1:5672"},
		{[]string{"AzureWebJobsServiceBus=" + text}, "", connection{text: text}, "127.0.0.1:5672"},
		{[]string{"Bus__fullyQualifiedNamespace=ns.servicebus.windows.net", "BUS__CLIENTID=id", "Bus__credential=managedidentity"}, "Bus",
			connection{fqdn: "ns.servicebus.windows.net", clientID: "id", credential: "managedidentity"}, "ns.servicebus.windows.net"},
	}
	for _, test := range tests {
		got, err := newConnection(newSettings(test.env), test.name)
		if err != nil || got != test.want || got.host() != test.host {
			t.Errorf("%v: %+v, host %s, %v", test.env, got, got.host(), err)
		}
		client, err := got.client(defaultConfig().Extensions.ServiceBus)
		if err != nil {
			t.Errorf("%v: %v", test.env, err)
			continue
		}
		if err := client.Close(context.Background()); err != nil {
			t.Errorf("%v: %v", test.env, err)
		}
	}
	if _, err := newConnection(settings{}, "Bus"); err == nil || !strings.Contains(err.Error(), "Bus__fullyQualifiedNamespace") {
		t.Errorf("missing connection: %v", err)
	}
}

func FuzzMergeBody(f *testing.F) {
	f.Add([]byte(`{"a":1,"A":"x","b":{"c":[]},"d":null,"e":true,"f":"2026-01-02T03:04:05Z"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		metadata := map[string]any{"MessageId": "m"}
		mergeBody(string(body), metadata)
		if _, ok := metadata["MessageId"]; !ok {
			t.Error("a key was lost")
		}
		wire, err := payload{Data: map[string]any{"m": body}, Metadata: metadata}.marshal()
		if err != nil || !json.Valid(wire) {
			t.Errorf("payload %s, %v", wire, err)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add(200, "application/json", int64(-1), []byte(succeed))
	f.Add(200, "application/json; charset=utf-8", int64(4), []byte("null"))
	f.Add(200, "", int64(0), []byte{})
	f.Fuzz(func(t *testing.T, status int, media string, length int64, content []byte) {
		r, err := parseReply(status, media, length, content)
		if (r == nil) == (err == nil) {
			t.Fatalf("reply %v and error %v", r, err)
		}
		if err == nil {
			f := &function{bindings: []binding{{Type: "http", Direction: "out", Name: "$return"}}}
			writeOutput(httptest.NewRecorder(), f, r)
			_ = outputBodies(r.ReturnValue, false)
		}
	})
}

func FuzzFunction(f *testing.F) {
	f.Add("work", []byte(queueFunction("q", isBinary)))
	f.Add("tick", []byte(timerFunction))
	f.Add("web", []byte(httpFunction("a/{b}", "get")))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		fn, err := parseFunction(name, data, settings{})
		if err != nil || fn == nil {
			return
		}
		if fn.trigger.Name == "" || bytes.ContainsAny([]byte(fn.name), "/. ") {
			t.Errorf("took %q with %s", name, data)
		}
	})
}
