package telemetry

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// spanLines writes each span as one line of the log, with the message "span".
type spanLines struct{ log *slog.Logger }

// ExportSpans writes the spans.
func (l spanLines) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		args := []slog.Attr{slog.String("trace", s.SpanContext().TraceID().String()), slog.String("span", s.SpanContext().SpanID().String()),
			slog.String("name", s.Name()), slog.Time("begun", s.StartTime()), slog.Float64("ms", float64(s.EndTime().Sub(s.StartTime()).Microseconds())/1000)}
		if s.Parent().SpanID().IsValid() {
			args = append(args, slog.String("parent", s.Parent().SpanID().String()))
		}
		for _, a := range s.Attributes() {
			args = append(args, slog.Any(string(a.Key), a.Value.AsInterface()))
		}
		if s.Status().Code == codes.Error {
			args = append(args, slog.String("error", s.Status().Description))
		}
		l.log.LogAttrs(ctx, slog.LevelInfo, "span", args...)
	}
	return nil
}

// Shutdown has nothing left to write.
func (spanLines) Shutdown(context.Context) error { return nil }

// meterLines writes all measurements as one line of the log, with the message "measured". Counts are those since the
// line before, so that the lines of many instances can be added up.
type meterLines struct{ log *slog.Logger }

// Temporality asks for what was new since the last line.
func (meterLines) Temporality(k sdkmetric.InstrumentKind) metricdata.Temporality {
	if k == sdkmetric.InstrumentKindObservableGauge {
		return metricdata.CumulativeTemporality
	}
	return metricdata.DeltaTemporality
}

// Aggregation is the usual one.
func (meterLines) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

// Export writes the line; nothing is written when nothing was measured.
func (l meterLines) Export(ctx context.Context, all *metricdata.ResourceMetrics) error {
	values := flat(all)
	if len(values) == 0 {
		return nil
	}
	args := make([]slog.Attr, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		args = append(args, slog.Float64(name, values[name]))
	}
	l.log.LogAttrs(ctx, slog.LevelInfo, "measured", args...)
	return nil
}

// ForceFlush has nothing left to write.
func (meterLines) ForceFlush(context.Context) error { return nil }

// Shutdown has nothing left to write.
func (meterLines) Shutdown(context.Context) error { return nil }
