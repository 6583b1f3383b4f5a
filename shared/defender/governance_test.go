package defender

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"throughline/shared/graph"
)

const assessmentID = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/RG/providers/Microsoft.ContainerService/managedClusters/aks/securityEntityData/c-1/providers/Microsoft.Security/assessments/0f4c8b8e-1111-4222-8333-444455556666"

// desk keeps governance assignments as Azure Resource Manager does, those of other resources among them.
type desk struct {
	*httptest.Server
	t     *testing.T
	there []assignment
	puts  []map[string]any
}

func newDesk(t *testing.T, there ...assignment) (*desk, *Client) {
	t.Helper()
	d := &desk{t: t, there: there}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	c, err := Open(Options{ARM: d.URL})
	if err != nil {
		t.Fatal(err)
	}
	return d, c
}

func (d *desk) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Query().Get("api-version") != governanceVersion {
		http.Error(w, "version", http.StatusBadRequest)
		return
	}
	if req.Method == http.MethodGet {
		page := map[string]any{"value": d.there}
		if len(d.there) > 1 && req.URL.Query().Get("page") == "" {
			page = map[string]any{"value": d.there[:1], "nextLink": d.URL + req.URL.Path + "?page=2&api-version=" + governanceVersion}
		} else if req.URL.Query().Get("page") == "2" {
			page["value"] = d.there[1:]
		}
		_ = json.NewEncoder(w).Encode(page)
		return
	}
	var a assignment
	var raw map[string]any
	body := json.NewDecoder(req.Body)
	var message json.RawMessage
	if body.Decode(&message) != nil || json.Unmarshal(message, &a) != nil || json.Unmarshal(message, &raw) != nil {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	a.ID, a.Name = req.URL.Path, req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]
	d.puts, d.there = append(d.puts, raw["properties"].(map[string]any)), append(d.there, a)
	_ = json.NewEncoder(w).Encode(a)
}

func made(id, name, owner, link string) assignment {
	return assignment{ID: id + "/governanceAssignments/" + name, Name: name, Properties: assignmentProperties{Owner: owner, Due: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		IsGracePeriod: true, ETA: json.RawMessage(`{"eta":"2026-02-01T00:00:00Z","justification":"soon"}`), Ticket: &ticket{Number: 1, Link: link}}}
}

var wanted = Governance{Owner: "ada@shop.example", Due: time.Date(2026, 10, 1, 9, 0, 0, 0, time.UTC), TicketNumber: 17, TicketLink: "https://github.com/shop/api/issues/17", TicketStatus: "open"}

func TestPutGovernance_writes_once_without_mail(t *testing.T) {
	d, c := newDesk(t)
	for range 3 {
		if err := c.PutGovernance(context.Background(), assessmentID, wanted); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.puts) != 1 {
		t.Fatalf("written %d times", len(d.puts))
	}
	raw, err := json.Marshal(d.puts[0])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"additionalData":{"ticketLink":"https://github.com/shop/api/issues/17","ticketNumber":17,"ticketStatus":"open"},"governanceEmailNotification":{"disableManagerEmailNotification":true,"disableOwnerEmailNotification":true},"isGracePeriod":false,"owner":"ada@shop.example","remediationDueDate":"2026-10-01T09:00:00Z"}`
	if string(raw) != want {
		t.Errorf("%s", raw)
	}
	closed := wanted
	closed.TicketStatus = "closed"
	if err := c.PutGovernance(context.Background(), strings.ToUpper(assessmentID[:20])+assessmentID[20:], closed); err != nil || len(d.puts) != 2 {
		t.Fatalf("%d writes, %v", len(d.puts), err)
	}
	if d.there[0].Name != d.there[1].Name {
		t.Errorf("two assignments: %s and %s", d.there[0].Name, d.there[1].Name)
	}
}

func TestPutGovernance_keeps_what_is_there(t *testing.T) {
	d, c := newDesk(t, made("/subscriptions/other/providers/Microsoft.Security/assessments/x", "aaa", "eve", ""), made(assessmentID, "bbb", "bob@shop.example", "https://github.com/shop/old/issues/3"))
	anonymous := wanted
	anonymous.Owner = ""
	if err := c.PutGovernance(context.Background(), assessmentID, anonymous); err != nil {
		t.Fatal(err)
	}
	got := d.there[len(d.there)-1]
	if got.Name != "bbb" || got.Properties.Owner != "bob@shop.example" || !got.Properties.IsGracePeriod || !strings.Contains(string(got.Properties.ETA), "soon") || got.Properties.Ticket.Number != 17 {
		t.Errorf("%+v", got)
	}
}

func TestPutGovernance_leaves_a_foreign_ticket(t *testing.T) {
	d, c := newDesk(t, made(assessmentID, "bbb", "bob", "https://snow.example/INC-4"))
	if err := c.PutGovernance(context.Background(), assessmentID, wanted); !errors.Is(err, ErrTicketTaken) || len(d.puts) != 0 {
		t.Errorf("%v, %d writes", err, len(d.puts))
	}
}

func TestPutGovernance_refuses(t *testing.T) {
	d, c := newDesk(t)
	for name, id := range map[string]string{"no assessment": "/subscriptions/1/resourceGroups/x", "a query": assessmentID + "?x=y", "a way out": "/subscriptions/1/../2/providers/Microsoft.Security/assessments/a", "empty": ""} {
		if err := c.PutGovernance(context.Background(), id, wanted); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := c.PutGovernance(context.Background(), assessmentID, Governance{}); err == nil || len(d.puts) != 0 {
		t.Error("no due date is taken")
	}
	_, gone := newStand(t)
	if err := gone.PutGovernance(context.Background(), assessmentID, wanted); !errors.Is(err, graph.ErrNotFound) {
		t.Errorf("gone: %v", err)
	}
}

func TestPutGovernance_follows_no_page_elsewhere(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"value": []any{}, "nextLink": "https://evil.example/next"})
	}))
	defer server.Close()
	c, err := Open(Options{ARM: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.PutGovernance(context.Background(), assessmentID, wanted); err == nil || !strings.Contains(err.Error(), "lies elsewhere") {
		t.Errorf("%v", err)
	}
}
