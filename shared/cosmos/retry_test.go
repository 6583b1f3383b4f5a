package cosmos_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"throughline/shared/cosmos"
	"throughline/shared/graph"
)

// answer is what the scripted account says to one request.
type answer struct {
	status int
	sub    string
	body   string
}

const found = `{"id":"a","pk":"p","kind":"k","v":1,"data":{"n":1},"_etag":"\"e1\""}`

var (
	ok       = answer{status: 200, body: found}
	created  = answer{status: 201}
	deleted  = answer{status: 204}
	busy     = answer{status: 429}
	conflict = answer{status: 409}
	stale    = answer{status: 412}
	missing  = answer{status: 404}
)

// account is a Cosmos DB account that answers by a script; the last line repeats.
type account struct {
	*httptest.Server
	mu       sync.Mutex
	front    []answer // to GET /, before the account is described
	script   []answer // to everything under /dbs
	requests []string // method, path and body of those
}

func newAccount(t *testing.T, script ...answer) *account {
	a := &account{script: script}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// ServeHTTP says the next line of the script.
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.URL.Path == "/" && len(a.front) == 0 {
		place := fmt.Sprintf(`[{"name":"here","databaseAccountEndpoint":%q}]`, a.URL)
		fmt.Fprintf(w, `{"id":"fake","writableLocations":%s,"readableLocations":%s,"enableMultipleWriteLocations":false,"userConsistencyPolicy":{"defaultConsistencyLevel":"Strong"}}`, place, place)
		return
	}
	var next answer
	if r.URL.Path == "/" {
		next, a.front = a.front[0], a.front[1:]
	} else {
		a.requests = append(a.requests, r.Method+" "+r.URL.Path+" "+string(body))
		if next = a.script[0]; len(a.script) > 1 {
			a.script = a.script[1:]
		}
	}
	w.Header().Set("x-ms-request-charge", "1.5")
	w.Header().Set("x-ms-retry-after-ms", "1")
	if next.sub != "" {
		w.Header().Set("x-ms-substatus", next.sub)
	}
	w.WriteHeader(next.status)
	io.WriteString(w, next.body)
}

func (a *account) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.requests)
}

// token is a credential that always has one.
type token struct{}

// GetToken gives it.
func (token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (a *account) open(t *testing.T) *cosmos.Store {
	t.Helper()
	s, err := cosmos.Open(cosmos.Options{Endpoint: a.URL, Credential: token{}, Database: "db"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

var key = graph.Key{Container: graph.GraphContainer, Partition: "p", ID: "a"}

func put(etag string) graph.Write {
	return graph.Write{Key: key, Kind: "k", ETag: etag, Data: []byte(`{"n":1}`)}
}

func TestAnswers(t *testing.T) {
	read := func(ctx context.Context, s *cosmos.Store) error { _, err := s.Read(ctx, key); return err }
	query := func(ctx context.Context, s *cosmos.Store) error {
		_, err := s.Query(ctx, graph.Query{Container: key.Container, Partition: key.Partition})
		return err
	}
	write := func(changes ...graph.Write) func(context.Context, *cosmos.Store) error {
		return func(ctx context.Context, s *cosmos.Store) error { return s.Write(ctx, changes...) }
	}
	remove := func(etag string) graph.Write { return graph.Write{Key: key, ETag: etag} }
	page := answer{status: 200, body: `{"Documents":[` + found + `],"_count":1}`}
	newer := answer{status: 200, body: strings.Replace(found, `"v":1`, `"v":2`, 1)}
	batch := func(codes ...int) answer {
		a := answer{status: 200}
		var results []string
		for _, c := range codes {
			results = append(results, fmt.Sprintf(`{"statusCode":%d}`, c))
			if c >= 400 {
				a.status = 207
			}
		}
		a.body = "[" + strings.Join(results, ",") + "]"
		return a
	}
	anyError := errors.New("any other error")
	tests := []struct {
		name   string
		do     func(context.Context, *cosmos.Store) error
		script []answer
		want   error
		asked  int
	}{
		{"read", read, []answer{ok}, nil, 1},
		{"read what is missing", read, []answer{missing}, graph.ErrNotFound, 1},
		{"read from a missing container", read, []answer{{status: 404, sub: "1003"}}, anyError, 1},
		{"read a form of a newer version", read, []answer{newer}, anyError, 1},
		{"read no JSON", read, []answer{{status: 200, body: "<html>"}}, anyError, 1},
		{"read when throttled beyond the client's tries", read, []answer{busy, busy, busy, busy, busy, busy, ok}, nil, 7},
		{"read when unavailable", read, []answer{{status: 503}, {status: 503}, {status: 503}, ok}, nil, 4},
		{"read after a time-out", read, []answer{{status: 408}, {status: 408}, {status: 408}, ok}, nil, 4},
		{"read after a move", read, []answer{{status: 410}, ok}, nil, 2},
		{"read without rights", read, []answer{{status: 403}}, anyError, 1},
		{"query when throttled", query, []answer{busy, busy, busy, busy, page}, nil, 5},
		{"query refused", query, []answer{{status: 400}}, anyError, 1},
		{"create", write(put("")), []answer{created}, nil, 1},
		{"create what is there", write(put("")), []answer{conflict}, graph.ErrStale, 1},
		{"replace at an old ETag", write(put(`"e0"`)), []answer{stale}, graph.ErrStale, 1},
		{"replace what is gone", write(put(`"e0"`)), []answer{missing}, graph.ErrStale, 1},
		{"replace in a missing container", write(put(`"e0"`)), []answer{{status: 404, sub: "1003"}}, anyError, 1},
		{"delete at an ETag what is gone", write(remove(`"e0"`)), []answer{missing}, graph.ErrStale, 1},
		{"delete what is gone", write(remove(graph.Any)), []answer{missing}, nil, 1},
		{"delete", write(remove(graph.Any)), []answer{deleted}, nil, 1},
		{"write asked to retry", write(put(graph.Any)), []answer{{status: 449}, {status: 449}, {status: 503}, created}, nil, 4},
		{"write with a lost answer", write(put(graph.Any)), []answer{{status: 408}, created}, anyError, 1},
		{"write too large", write(put(graph.Any)), []answer{{status: 413}}, anyError, 1},
		{"batch", write(put(""), put("")), []answer{batch(201, 201)}, nil, 1},
		{"batch with a stale change", write(put(""), put("")), []answer{batch(424, 412)}, graph.ErrStale, 1},
		{"batch with a conflict", write(put(""), put("")), []answer{batch(409, 424)}, graph.ErrStale, 1},
		{"batch with a change of what is gone", write(put(""), put(`"e0"`)), []answer{batch(424, 404)}, graph.ErrStale, 1},
		{"batch that deletes what is gone", write(put(""), remove(graph.Any), put("")), []answer{batch(424, 404, 424), batch(201, 201)}, nil, 2},
		{"batch that only deletes what is gone", write(remove(graph.Any), remove(graph.Any)), []answer{batch(404, 424), batch(404)}, nil, 2},
		{"batch throttled inside", write(put(""), put("")), []answer{batch(424, 429), batch(201, 201)}, nil, 2},
		{"batch throttled as a whole", write(put(""), put("")), []answer{busy, busy, busy, busy, batch(201, 201)}, nil, 5},
		{"batch refused inside", write(put(""), put("")), []answer{batch(424, 400)}, anyError, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, test.script...)
			err := test.do(t.Context(), a.open(t))
			switch test.want {
			case anyError:
				if err == nil || errors.Is(err, graph.ErrNotFound) || errors.Is(err, graph.ErrStale) {
					t.Errorf("got %v, want an error that is not of the contract", err)
				}
			default:
				if !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
			}
			if a.asked() != test.asked {
				t.Errorf("asked %d times, want %d: %q", a.asked(), test.asked, a.requests)
			}
		})
	}
}

func TestThrottlingEndsWithTheContext(t *testing.T) {
	s := newAccount(t, busy).open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := s.Read(ctx, key)
	var r *azcore.ResponseError
	if !errors.As(err, &r) && !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
}

func TestAccountThatComesBack(t *testing.T) {
	a := newAccount(t, ok)
	a.front = []answer{{status: 403}, missing}
	s := a.open(t)
	for range 2 {
		if _, err := s.Read(t.Context(), key); err == nil || errors.Is(err, graph.ErrNotFound) {
			t.Fatalf("while the account is away: %v", err)
		}
	}
	if _, err := s.Read(t.Context(), key); err != nil {
		t.Fatalf("after it came back: %v", err)
	}
	if a.asked() != 1 {
		t.Errorf("asked %d times", a.asked())
	}
}

func TestChargeCountsEveryAnswer(t *testing.T) {
	s := newAccount(t, busy, busy, ok).open(t)
	if _, err := s.Read(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if got := s.Charge(); got != 4.5 {
		t.Errorf("charge %g, want 4.5: two refusals and one answer of 1.5 each", got)
	}
}

func TestPing(t *testing.T) {
	for name, test := range map[string]struct {
		answer answer
		well   bool
	}{"nothing there": {missing, true}, "something there": {ok, true}, "no container": {answer{status: 404, sub: "1003"}, false}, "no rights": {answer{status: 403}, false}} {
		if err := newAccount(t, test.answer).open(t).Ping(t.Context()); (err == nil) != test.well {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, o := range map[string]cosmos.Options{
		"no database":         {ConnectionString: "AccountEndpoint=http://127.0.0.1:1/;AccountKey=a2V5"},
		"nowhere":             {Database: "db"},
		"no credential":       {Database: "db", Endpoint: "https://example.documents.azure.com"},
		"no connection":       {Database: "db", ConnectionString: "nonsense"},
		"a key out of base64": {Database: "db", ConnectionString: "AccountEndpoint=http://127.0.0.1:1/;AccountKey=***"},
	} {
		if _, err := cosmos.Open(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
