package provenance

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"throughline/shared/graph"
)

// maxWait bounds how long a registry may ask us to wait.
const maxWait = time.Hour

// bounded is a transport whose answers end after maxAnswer bytes and which turns a refused rate into a *graph.Limited.
type bounded struct {
	inner http.RoundTripper
	now   func() time.Time
}

// RoundTrip sends one request.
func (b *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	inner := b.inner
	if inner == nil {
		inner = http.DefaultTransport
	}
	resp, err := inner.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		if err := resp.Body.Close(); err != nil {
			return nil, err
		}
		return nil, &graph.Limited{Until: b.now().Add(wait(resp.Header)), Why: "registry " + req.URL.Host + " limits the rate of reads"}
	}
	resp.Body = &boundedBody{resp.Body, maxAnswer}
	return resp, nil
}

// wait is what the registry asks for, else a minute.
func wait(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 1 {
		return time.Minute
	}
	return time.Duration(min(seconds, int(maxWait/time.Second))) * time.Second
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read fails once the answer is longer than the bound.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("answer is larger than %d bytes", maxAnswer)
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
