package telemetry

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"throughline/shared/event"
)

// Handle is a stage behind its queue.
type Handle = func(context.Context, event.Event) ([]event.Event, error)

// Stage watches a stage: one span for each event, as a part of the trace that the event carries; what the stage says
// carries it on.
func (t *Telemetry) Stage(name string, handle Handle) Handle {
	stage := attribute.String("stage", name)
	return func(ctx context.Context, e event.Event) ([]event.Event, error) {
		begun := time.Now()
		age := begun.Sub(e.Time)
		ctx, span := t.tracer.Start(from(ctx, e.Trace), name, trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(attribute.String("event", e.ID), attribute.String("subject", e.Subject), attribute.Float64("lag", age.Seconds())))
		defer span.End()
		said, err := handle(ctx, e)
		span.SetAttributes(attribute.Int("said", len(said)))
		blame(span, err)
		t.lag.Record(ctx, max(age.Seconds(), 0), metric.WithAttributes(stage))
		t.seconds.Record(ctx, time.Since(begun).Seconds(), metric.WithAttributes(stage))
		t.handled.Add(ctx, 1, metric.WithAttributes(stage, attribute.String("outcome", outcome(err))))
		return carry(ctx, e, said), err
	}
}

// Tick watches what a timer starts. What it says begins traces of its own.
func (t *Telemetry) Tick(ctx context.Context, name string, run func(context.Context) ([]event.Event, error)) ([]event.Event, error) {
	ctx, span := t.tracer.Start(ctx, name)
	defer span.End()
	said, err := run(ctx)
	span.SetAttributes(attribute.Int("said", len(said)))
	blame(span, err)
	return said, err
}

// carry gives events the trace of ctx: what is said because of a span belongs to its trace. A page that follows a page is
// the exception and begins a trace: a full reading is no one's single story.
func carry(ctx context.Context, heard event.Event, said []event.Event) []event.Event {
	name := traceparent(ctx)
	for i := range said {
		switch {
		case heard.Type == event.Collect && said[i].Type == event.Collect:
			said[i].Trace = ""
		case name != "":
			said[i].Trace = name
		}
	}
	return said
}

// Publish watches sending: it counts, and says in the trace how long the broker took.
func (t *Telemetry) Publish(publish func(context.Context, []event.Event) error) func(context.Context, []event.Event) error {
	return func(ctx context.Context, events []event.Event) error {
		if len(events) == 0 {
			return publish(ctx, events)
		}
		within := traceparent(ctx)
		if within == "" {
			ctx = from(ctx, events[0].Trace)
		}
		ctx, span := t.tracer.Start(ctx, "publish", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attribute.Int("events", len(events))))
		defer span.End()
		for i := range events {
			if events[i].Trace == "" {
				events[i].Trace = within
			}
		}
		err := publish(ctx, events)
		blame(span, err)
		if err != nil {
			return err
		}
		for _, e := range events {
			t.published.Add(ctx, 1, metric.WithAttributes(attribute.String("type", string(e.Type))))
		}
		return nil
	}
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, event.ErrPermanent):
		return "parked"
	}
	return "failed"
}

func blame(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
}

// Serve watches a function that callers call: its span continues the caller's trace, and stands in the request's
// traceparent for what the function says.
func (t *Telemetry) Serve(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := t.tracer.Start(from(r.Context(), r.Header.Get("traceparent")), name, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("method", r.Method), attribute.String("path", r.URL.Path)))
		defer span.End()
		r = r.Clone(ctx)
		if parent := traceparent(ctx); parent != "" {
			r.Header.Set("traceparent", parent)
		}
		noted := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(noted, r)
		span.SetAttributes(attribute.Int("status", noted.status))
		if noted.status >= 500 {
			span.SetStatus(codes.Error, http.StatusText(noted.status))
		}
		t.answers.Add(ctx, 1, metric.WithAttributes(attribute.String("function", name), attribute.String("status", strconv.Itoa(noted.status))))
	})
}

// statusWriter knows the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the real writer.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
