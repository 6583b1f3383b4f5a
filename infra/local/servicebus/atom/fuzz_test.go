package atom

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"throughline/infra/local/servicebus/broker"
	"throughline/infra/local/servicebus/wire"
)

// handler serves a broker in memory with a queue "q", a topic "t" and its subscription "s".
func handler(t testing.TB) *Handler {
	t.Helper()
	b, err := broker.Open(broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	for _, d := range []broker.Description{{Name: "q"}, {Name: "t", Kind: broker.KindTopic}, {Name: "s", Topic: "t", Kind: broker.KindSubscription}} {
		if err := b.Create(d); err != nil {
			t.Fatal(err)
		}
	}
	return &Handler{Broker: b, Keys: wire.Keys{}}
}

func ask(t testing.TB, h *Handler, method, path, ifMatch, body string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1/", strings.NewReader(body))
	path, query, _ := strings.Cut(path, "?")
	r.URL.Path, r.URL.RawQuery = path, query
	r.Header.Set("Authorization", "Bearer x")
	if ifMatch != "" {
		r.Header.Set("If-Match", ifMatch)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

const entryOf = `<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">%</content></entry>`

func wrapped(content string) string { return strings.Replace(entryOf, "%", content, 1) }

// FuzzHandler asks anything: the answer is XML, or empty after a deletion, and no server error.
func FuzzHandler(f *testing.F) {
	f.Add("PUT", "/new", "", wrapped(`<QueueDescription><LockDuration>PT1M</LockDuration><AuthorizationRules><AuthorizationRule/></AuthorizationRules></QueueDescription>`))
	f.Add("PUT", "/q", "*", wrapped(`<QueueDescription><MaxDeliveryCount>5</MaxDeliveryCount></QueueDescription>`))
	f.Add("PUT", "/t/Subscriptions/n", "", wrapped(`<SubscriptionDescription><DefaultRuleDescription><Filter i:type="SqlFilter" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><SqlExpression>a = 1</SqlExpression></Filter><Name>r</Name></DefaultRuleDescription></SubscriptionDescription>`))
	f.Add("PUT", "/t/Subscriptions/s/Rules/r", "", wrapped(`<RuleDescription xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><Filter i:type="CorrelationFilter"><Label>x</Label><Properties><KeyValueOfstringanyType><Key>k</Key><Value i:type="d:int" xmlns:d="http://www.w3.org/2001/XMLSchema">5</Value></KeyValueOfstringanyType></Properties></Filter><Action i:type="SqlRuleAction"><SqlExpression>SET a = 1</SqlExpression></Action></RuleDescription>`))
	f.Add("PUT", "/t/Subscriptions/s/Rules/u", "", wrapped(`<RuleDescription xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><Filter i:type="Odd&quot;" a="b"><x/></Filter></RuleDescription>`))
	f.Add("GET", "/$Resources/Queues?&$top=1&$skip=1", "", "")
	f.Add("GET", "/t/Subscriptions/s/Rules/", "", "")
	f.Add("GET", "/$namespaceinfo", "", "")
	f.Add("DELETE", "/t/Subscriptions/s/Rules/$Default", "", "")
	f.Fuzz(func(t *testing.T, method, path, ifMatch, body string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(method, " \r\n\t") || method == "" || strings.ContainsAny(ifMatch, "\r\n\x00") {
			t.Skip()
		}
		switch method {
		case "GET", "PUT", "DELETE", "POST":
		default:
			t.Skip()
		}
		h := handler(t)
		for _, again := range []string{path, "/q", "/t/Subscriptions/s", "/t/Subscriptions/s/Rules", "/$Resources/Queues", "/$Resources/Topics"} {
			answer := ask(t, h, method, again, ifMatch, body)
			if answer.StatusCode >= 500 {
				t.Fatalf("%s %s: %s", method, again, answer.Status)
			}
			wellFormed(t, answer.Body)
			wellFormed(t, ask(t, h, "GET", again, "", "").Body)
		}
	})
}

func wellFormed(t *testing.T, body io.Reader) {
	t.Helper()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(string(b)))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, b)
		}
	}
}

func TestUnknownFilterComesBackAsItCame(t *testing.T) {
	h := handler(t)
	filter := `<Filter i:type="NewFilter" xmlns:n="urn:new" depth="2"><n:Inner>a &amp; b</n:Inner></Filter>`
	body := wrapped(`<RuleDescription xmlns:i="http://www.w3.org/2001/XMLSchema-instance">` + filter + `</RuleDescription>`)
	if answer := ask(t, h, "PUT", "/t/Subscriptions/s/Rules/r", "", body); answer.StatusCode != http.StatusCreated {
		t.Fatal(answer.Status)
	}
	b, err := io.ReadAll(ask(t, h, "GET", "/t/Subscriptions/s/Rules/r", "", "").Body)
	if err != nil || !strings.Contains(string(b), filter) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestListsArePaged(t *testing.T) {
	h := handler(t)
	for _, name := range []string{"a", "b", "c"} {
		if err := h.Broker.Create(broker.Description{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	var page struct {
		Entries []struct {
			Title string `xml:"title"`
		} `xml:"entry"`
	}
	b, err := io.ReadAll(ask(t, h, "GET", "/$Resources/Queues/??&$top=2&$skip=1", "", "").Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(b, &page); err != nil || len(page.Entries) != 2 || page.Entries[0].Title != "b" || page.Entries[1].Title != "c" {
		t.Errorf("%+v, %v", page, err)
	}
}
