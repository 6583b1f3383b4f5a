package main

import (
	"context"
	"errors"
)

// measure adds what the parts count by themselves to the measurements.
func (h *house) measure() error {
	if h.store == nil || h.bus == nil {
		return nil // opening them has failed and says so
	}
	return errors.Join(
		h.telemetry.Observe("cosmos.requestunits", "request units that answers named", h.store.Charge),
		h.telemetry.Observe("cosmos.throttled", "requests refused with 429", func() float64 { n, _ := h.store.Throttled(); return float64(n) }),
		h.telemetry.Observe("servicebus.operations", "messages sent, as they are billed", func() float64 { return float64(h.bus.Operations()) }))
}

// measured is for the health report.
func (h *house) measured(ctx context.Context) any {
	values, err := h.telemetry.Measurements(ctx)
	if err != nil {
		return err.Error()
	}
	return values
}
