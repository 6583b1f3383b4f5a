package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

func TestOwnersOf(t *testing.T) {
	s := newStand(t)
	answers := []string{}
	s.mux.HandleFunc("POST /graphql", func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Query     string
			Variables map[string]string
		}
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			t.Error(err)
		}
		answers = append(answers, fmt.Sprintf("%s/%s of %d", ask.Variables["o0"], ask.Variables["n0"], len(ask.Variables)/2))
		if strings.Contains(ask.Query, "evil") {
			t.Error("a name stands in the query itself")
		}
		_, _ = io.WriteString(w, `{"data":{"r0":{"p0":null,"p1":{"text":"* @a\n","isTruncated":false},"p2":{"text":"* @b\n"}},
			"r1":{"p0":{"text":"cut","isTruncated":true},"p1":null,"p2":{"text":"* @c\n"}},"r2":null,"r3":{"p0":{"text":""}},"r999":{"p0":{"text":"x"}},"zz":1},
			"errors":[{"type":"NOT_FOUND","path":["r2"],"message":"Could not resolve"}]}`)
	})
	var all []graph.Repository
	for i := range 101 {
		all = append(all, graph.Repository{ID: graph.NewRepositoryID("github", int64(i+1)), Owner: "acme", Name: fmt.Sprintf("evil\"){x}%d", i)})
	}
	got, err := s.client(nil).OwnersOf(context.Background(), "acme", all)
	want := map[graph.RepositoryID]Owners{"github-1": {"CODEOWNERS", "* @a\n"}, "github-2": {"docs/CODEOWNERS", "* @c\n"}, "github-4": {".github/CODEOWNERS", ""}, "github-101": {"CODEOWNERS", "* @a\n"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if diff := cmp.Diff([]string{`acme/evil"){x}0 of 100`, `acme/evil"){x}100 of 1`}, answers); diff != "" {
		t.Error(diff)
	}
}

func TestGraphQLErrorsInsideOK(t *testing.T) {
	s := newStand(t)
	body := ""
	s.mux.HandleFunc("POST /graphql", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", s.now.Format(http.TimeFormat))
		rate(w.Header(), 5000, 0, s.now.Add(20*time.Minute))
		_, _ = io.WriteString(w, body)
	})
	ask := func() error {
		_, err := s.client(nil).OwnersOf(context.Background(), "acme", []graph.Repository{shop})
		return err
	}
	body = `{"data":null,"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}`
	if got := until(t, ask()).Sub(s.now); got != 20*time.Minute {
		t.Errorf("waits %v", got)
	}
	for _, body = range []string{`{"errors":[{"message":"You have exceeded a secondary rate limit"}]}`} {
		until(t, ask())
	}
	for _, body = range []string{`{"data":null,"errors":[{"type":"INTERNAL","message":"something"}]}`, `{"errors":[{"message":"parse error"}]}`, `{"data":`} {
		if err := ask(); err == nil {
			t.Errorf("%s is no error", body)
		}
	}
}

func TestGraphQLAddressOfEnterpriseServer(t *testing.T) {
	s := newStand(t)
	asked := ""
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v3/app/installations":
			_, _ = io.WriteString(w, installations)
		case "/api/v3/app/installations/5/access_tokens":
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"token":"t","expires_at":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339))
		default:
			asked = r.URL.Path
			_, _ = io.WriteString(w, `{"data":{}}`)
		}
	})
	s.server.Config.Handler = mux
	c := s.client(func(o *Options) { o.URL += "/api/v3" })
	if _, err := c.OwnersOf(context.Background(), "acme", []graph.Repository{shop}); err != nil || asked != "/api/graphql" {
		t.Errorf("asked %s: %v", asked, err)
	}
}
