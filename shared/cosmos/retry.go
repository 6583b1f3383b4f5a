package cosmos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/shared/graph"
)

// How long the store waits for Cosmos DB, when the context does not end before.
const (
	firstWait   = 20 * time.Millisecond
	longestWait = 2 * time.Second
	patience    = 30 * time.Second
)

// effect tells what a request may have done when its answer is lost.
type effect int

const (
	reading effect = iota
	writing
)

// refusal is the status of one change of a batch.
type refusal struct {
	status int
	key    graph.Key
}

// Error names the change and its status.
func (r *refusal) Error() string {
	return fmt.Sprintf("write %s: %d %s", r.key, r.status, http.StatusText(r.status))
}

// retryWith is Cosmos DB's own status for "try this write again".
const retryWith = 449

// try does something with a container. What Cosmos DB asks to be done again (429 after the SDK's own tries, 449, 503,
// and for reads 408 and 410) is done again until the context or the patience ends; then its error comes back. The answers
// of the contract come back as graph.ErrNotFound and graph.ErrStale.
func (s *Store) try(ctx context.Context, c graph.Container, e effect, do func(*azcosmos.ContainerClient) error) error {
	err := s.tries(ctx, c, e, do)
	s.trouble[e].note(err)
	return err
}

// trouble is the last failure of one effect, until it works again.
type trouble struct {
	mu  sync.Mutex
	err error
	at  time.Time
}

func (t *trouble) note(err error) {
	if errors.Is(err, context.Canceled) {
		return // the caller left, which says nothing of the store
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(err, graph.ErrNotFound) || errors.Is(err, graph.ErrStale) {
		err = nil
	}
	t.err, t.at = err, time.Now()
}

// Trouble is when a write last failed, and why; nil once a write has worked again, or when none was tried.
func (s *Store) Trouble() (time.Time, error) {
	t := &s.trouble[writing]
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at.UTC(), t.err
}

func (s *Store) tries(ctx context.Context, c graph.Container, e effect, do func(*azcosmos.ContainerClient) error) error {
	end := time.Now().Add(patience)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := s.once(ctx, c, do)
		if !again(err, e) {
			return contract(err)
		}
		pause := max(retryAfter(err), wait/2+rand.N(wait/2))
		if time.Now().Add(pause).After(end) {
			return err
		}
		s.log.DebugContext(ctx, "Cosmos DB is asked again", "container", string(c), "status", status(err), "pause", pause)
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

// once does it with the client in use, and learns whether that client reaches the account.
func (s *Store) once(ctx context.Context, c graph.Container, do func(*azcosmos.ContainerClient) error) error {
	l := s.linked()
	container, err := s.container(ctx, l, c)
	if err == nil {
		err = do(container)
	}
	switch {
	case err == nil || answered(err):
		l.proven.Store(true)
	default:
		s.renew(l)
	}
	return err
}

// answered tells whether the error is an answer about a document or container, and not a failure to reach the account.
func answered(err error) bool {
	var r *azcore.ResponseError
	if !errors.As(err, &r) {
		var refused *refusal
		return errors.As(err, &refused) || errors.Is(err, graph.ErrStale)
	}
	return r.RawResponse != nil && r.RawResponse.Request != nil && strings.HasPrefix(r.RawResponse.Request.URL.Path, "/dbs")
}

func again(err error, e effect) bool {
	switch status(err) {
	case http.StatusTooManyRequests, retryWith, http.StatusServiceUnavailable:
		return true
	case http.StatusRequestTimeout, http.StatusGone:
		return e == reading
	}
	return false
}

// contract turns what the store's contract names into its errors.
func contract(err error) error {
	switch {
	case err == nil:
		return nil
	case isMissing(err):
		return graph.ErrNotFound
	case !answered(err):
		return err
	}
	switch status(err) {
	case http.StatusConflict, http.StatusPreconditionFailed:
		return graph.ErrStale
	case http.StatusNotFound: // of a change in a batch
		var r *refusal
		if errors.As(err, &r) {
			return graph.ErrStale
		}
	}
	return err
}

// isMissing tells that a document is not there. A 404 with a sub-status is about something else: a container that is
// missing, or a replica that lags.
func isMissing(err error) bool {
	var r *azcore.ResponseError
	if !errors.As(err, &r) || r.StatusCode != http.StatusNotFound || !answered(err) {
		return false
	}
	sub := r.RawResponse.Header.Get("x-ms-substatus")
	return sub == "" || sub == "0"
}

// status is the HTTP status of an answer, 0 for every other error.
func status(err error) int {
	var r *azcore.ResponseError
	if errors.As(err, &r) {
		return r.StatusCode
	}
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.status
	}
	return 0
}

// retryAfter is how long Cosmos DB asks to wait, 0 when it does not say.
func retryAfter(err error) time.Duration {
	var r *azcore.ResponseError
	if !errors.As(err, &r) || r.RawResponse == nil {
		return 0
	}
	ms, err := strconv.ParseFloat(r.RawResponse.Header.Get("x-ms-retry-after-ms"), 64)
	if err != nil || ms < 0 || ms > float64(patience.Milliseconds()) {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}
