package telemetry

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Transport watches requests to an outside system: a span where there is a trace, a count by status, and what the system
// says is left of its rate limit. The traceparent is not sent along: it is nobody's business outside.
func (t *Telemetry) Transport(system string, next http.RoundTripper) http.RoundTripper {
	return transport{t, system, next}
}

type transport struct {
	*Telemetry
	system string
	next   http.RoundTripper
}

// RoundTrip passes the request on and notes its answer.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var span trace.Span = noop.Span{}
	if trace.SpanFromContext(r.Context()).IsRecording() {
		_, span = t.tracer.Start(r.Context(), t.system+" "+r.Method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.String("path", r.URL.Path)))
	}
	defer span.End()
	answer, err := t.next.RoundTrip(r)
	if err == nil {
		span.SetAttributes(attribute.Int("status", answer.StatusCode))
	}
	blame(span, err)
	t.note(r, answer, err)
	return answer, err
}

// left are the headers in which systems say what is left: GitHub's, and Azure's.
var left = map[string]string{"X-RateLimit-Remaining": "X-RateLimit-Resource", "x-ms-user-quota-remaining": ""}

func (t transport) note(r *http.Request, answer *http.Response, err error) {
	status := "broken"
	t.outside.note(t.system, answer, err)
	if err == nil {
		status = strconv.Itoa(answer.StatusCode)
		for header, resource := range left {
			if n, err := strconv.ParseInt(answer.Header.Get(header), 10, 64); err == nil {
				t.quotas.note(t.system+" "+answer.Header.Get(resource), n)
			}
		}
	}
	t.requests.Add(r.Context(), 1, metric.WithAttributes(attribute.String("system", t.system), attribute.String("status", status)))
}

// outside is how outside systems answered last.
type outside struct {
	mu      sync.Mutex
	systems map[string]standing
}

// standing is one system: when it last served, and since when it has not.
type standing struct {
	served, since time.Time
	trouble       string
}

func (o *outside) note(system string, answer *http.Response, err error) {
	if errors.Is(err, context.Canceled) {
		return // the caller left; that says nothing of the system
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.systems == nil {
		o.systems = map[string]standing{}
	}
	s, now := o.systems[system], time.Now().UTC()
	switch {
	case err != nil:
		s.trouble = "does not answer"
	case answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusUnauthorized:
		s.trouble = "answers " + answer.Status
	default:
		o.systems[system] = standing{served: now}
		return
	}
	if s.since.IsZero() {
		s.since = now
	}
	o.systems[system] = s
}

// Outside says of each outside system that was asked whether it serves, and if not, what is wrong and since when.
func (t *Telemetry) Outside() map[string]string {
	t.outside.mu.Lock()
	defer t.outside.mu.Unlock()
	said := map[string]string{}
	for name, s := range t.outside.systems {
		said[name] = "ok"
		if s.trouble != "" {
			said[name] = s.trouble + " since " + s.since.Format(time.RFC3339)
		}
	}
	return said
}
