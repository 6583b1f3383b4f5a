package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"throughline/shared/graph"
)

func TestCampaignsAreMadeOfAFilter(t *testing.T) {
	a := newAPI(t)
	populate(t, a.Store)
	a.Access = Access{Local: true}
	h := a.Handler()
	post := func(body string) (int, graph.Campaign) {
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/api/campaigns", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var k graph.Campaign
		if w.Code == http.StatusOK {
			if err := json.Unmarshal(w.Body.Bytes(), &k); err != nil {
				t.Fatal(err)
			}
		}
		return w.Code, k
	}
	for body, want := range map[string]int{
		`{"name":"","description":"d","ends":"2099-01-01"}`:                            http.StatusUnprocessableEntity,
		`{"name":"n","description":"d","ends":"yesterday"}`:                            http.StatusUnprocessableEntity,
		`{"name":"n","description":"d","ends":"2000-01-01"}`:                           http.StatusUnprocessableEntity,
		`{"name":"n","description":"d","ends":"2099-01-01","query":"tier=P7"}`:         http.StatusBadRequest,
		`{"name":"n","description":"d","ends":"2099-01-01","query":"q=no+such+thing"}`: http.StatusUnprocessableEntity,
	} {
		if got, _ := post(body); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
	const good = `{"name":"n","description":"d","ends":"2099-01-01"}`
	for n := range graph.MaxCampaigns {
		status, k := post(good)
		if status != http.StatusOK || k.State != graph.CampaignOpen || len(k.Fixes) == 0 || k.By == "" {
			t.Fatalf("campaign %d: %d %+v", n, status, k)
		}
	}
	if status, _ := post(good); status != http.StatusConflict {
		t.Errorf("one too many: %d", status)
	}
}
