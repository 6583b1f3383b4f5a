// Package telemetry tells what the handler does: a trace from the webhook to the issue, through every queue, and
// measurements of rates, lags and quotas, by OpenTelemetry.
//
// The one idea: a trace travels in the event itself, as the W3C traceparent of its CloudEvents extension, so that neither
// the broker nor the host has to know of it. Spans and measurements are written as lines of the log, which every
// deployment has, and are sent over OTLP where an address is given. No payload and no secret is in either.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

const service = "throughline"

// Options say how much is told, and where.
type Options struct {
	// Endpoint is an OTLP/HTTP address, such as http://127.0.0.1:4318; empty: only the log is written.
	Endpoint string
	// Share of the traces that begin here and are kept, 0 to 1. One that began elsewhere is kept when it is kept there.
	Share float64
	// Every is the time between two lines of measurements; 0: a minute.
	Every time.Duration
	Log   *slog.Logger
}

// Telemetry makes spans and measurements. It is safe for concurrent use.
type Telemetry struct {
	tracer trace.Tracer
	meter  metric.Meter
	spans  *sdktrace.TracerProvider
	meters *sdkmetric.MeterProvider
	now    *sdkmetric.ManualReader
	log    *slog.Logger
	instruments
}

// Open checks the options. Nothing is dialled: the first batch is.
func Open(o Options) (*Telemetry, error) {
	if o.Every == 0 {
		o.Every = time.Minute
	}
	about := resource.NewSchemaless(semconv.ServiceName(service))
	t := &Telemetry{now: sdkmetric.NewManualReader(), log: o.Log}
	spans := []sdktrace.TracerProviderOption{sdktrace.WithResource(about), sdktrace.WithBatcher(spanLines{o.Log}),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Share)))}
	meters := []sdkmetric.Option{sdkmetric.WithResource(about), sdkmetric.WithReader(t.now),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(meterLines{o.Log}, sdkmetric.WithInterval(o.Every)))}
	if o.Endpoint != "" {
		toSpans, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(o.Endpoint+"/v1/traces"))
		if err != nil {
			return nil, fmt.Errorf("OTLP: %w", err)
		}
		toMeters, err := otlpmetrichttp.New(context.Background(), otlpmetrichttp.WithEndpointURL(o.Endpoint+"/v1/metrics"))
		if err != nil {
			return nil, fmt.Errorf("OTLP: %w", err)
		}
		spans = append(spans, sdktrace.WithBatcher(toSpans))
		meters = append(meters, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(toMeters, sdkmetric.WithInterval(o.Every))))
	}
	t.spans, t.meters = sdktrace.NewTracerProvider(spans...), sdkmetric.NewMeterProvider(meters...)
	t.tracer, t.meter = t.spans.Tracer(service), t.meters.Meter(service)
	return t, t.make()
}

// Close writes what has not been written yet.
func (t *Telemetry) Close(ctx context.Context) error {
	return errors.Join(t.spans.Shutdown(ctx), t.meters.Shutdown(ctx))
}

// w3c is the traceparent; what a caller puts into tracestate is not carried on.
var w3c = propagation.TraceContext{}

// from gives ctx the trace that a traceparent names; one that cannot be read changes nothing.
func from(ctx context.Context, traceparent string) context.Context {
	return w3c.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// traceparent names the span of ctx; empty without one.
func traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier["traceparent"]
}
