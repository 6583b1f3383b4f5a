package telemetry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// instruments are the measurements that are taken.
type instruments struct {
	handled   metric.Int64Counter     // events, by stage and outcome
	seconds   metric.Float64Histogram // of a stage
	lag       metric.Float64Histogram // seconds from saying to hearing, by stage
	published metric.Int64Counter     // events, by queue
	requests  metric.Int64Counter     // to an outside system, by status
	answers   metric.Int64Counter     // to callers, by function and status
	quotas    quotas
	outside   outside
}

// buckets reach from a point read to an outage of a day.
var buckets = metric.WithExplicitBucketBoundaries(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600, 3600, 86400)

func (t *Telemetry) make() error {
	var faults []error
	counter := func(name, about string) metric.Int64Counter {
		c, err := t.meter.Int64Counter(name, metric.WithDescription(about))
		faults = append(faults, err)
		return c
	}
	histogram := func(name, about string) metric.Float64Histogram {
		h, err := t.meter.Float64Histogram(name, metric.WithDescription(about), metric.WithUnit("s"), buckets)
		faults = append(faults, err)
		return h
	}
	t.handled = counter("events.handled", "events that a stage handled, by outcome")
	t.published = counter("events.published", "events that were sent, by type")
	t.requests = counter("requests.sent", "requests to an outside system, by status")
	t.answers = counter("requests.answered", "requests of callers, by status")
	t.seconds = histogram("stage.seconds", "how long a stage works on an event")
	t.lag = histogram("stage.lag", "how old an event is when its stage begins")
	_, err := t.meter.Int64ObservableGauge("quota.left", metric.WithDescription("what an outside system said is left of its rate limit"),
		metric.WithInt64Callback(t.quotas.observe))
	return errors.Join(append(faults, err)...)
}

// Observe adds a running total that is read when it is asked for, such as request units.
func (t *Telemetry) Observe(name, about string, total func() float64) error {
	_, err := t.meter.Float64ObservableCounter(name, metric.WithDescription(about), metric.WithFloat64Callback(
		func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(total())
			return nil
		}))
	return err
}

// Gauge adds a value that goes up and down. An error leaves it out of that round.
func (t *Telemetry) Gauge(name, about string, value func(context.Context) (float64, error)) error {
	_, err := t.meter.Float64ObservableGauge(name, metric.WithDescription(about), metric.WithFloat64Callback(
		func(ctx context.Context, o metric.Float64Observer) error {
			v, err := value(ctx)
			if err == nil {
				o.Observe(v)
			}
			return err
		}))
	return err
}

// quotas are the last that was heard of rate limits.
type quotas struct {
	mu   sync.Mutex
	left map[string]int64
}

func (q *quotas) note(name string, left int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.left == nil {
		q.left = map[string]int64{}
	}
	q.left[name] = left
}

func (q *quotas) observe(_ context.Context, o metric.Int64Observer) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for name, left := range q.left {
		o.Observe(left, metric.WithAttributes(attribute.String("of", name)))
	}
	return nil
}

// Measurements gives every value by its name, since the handler started. A histogram gives its count and its mean.
func (t *Telemetry) Measurements(ctx context.Context) (map[string]float64, error) {
	var all metricdata.ResourceMetrics
	if err := t.now.Collect(ctx, &all); err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	return flat(&all), nil
}

// flat writes measurements as name and value: events.handled.correlate.done.
func flat(all *metricdata.ResourceMetrics) map[string]float64 {
	out := map[string]float64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				points(out, m.Name, data.DataPoints)
			case metricdata.Sum[float64]:
				points(out, m.Name, data.DataPoints)
			case metricdata.Gauge[int64]:
				points(out, m.Name, data.DataPoints)
			case metricdata.Gauge[float64]:
				points(out, m.Name, data.DataPoints)
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					name := named(m.Name, p.Attributes)
					out[name+".count"], out[name+".mean"] = float64(p.Count), p.Sum/float64(max(p.Count, 1))
					if most, known := p.Max.Value(); known {
						out[name+".max"] = most
					}
				}
			}
		}
	}
	return out
}

func points[N int64 | float64](out map[string]float64, name string, points []metricdata.DataPoint[N]) {
	for _, p := range points {
		out[named(name, p.Attributes)] = float64(p.Value)
	}
}

func named(name string, attributes attribute.Set) string {
	parts := []string{name}
	for _, a := range attributes.ToSlice() {
		parts = append(parts, a.Value.String())
	}
	return strings.Join(parts, ".")
}
