package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"throughline/shared/graph"
)

// health reports the parts; it is false when one is down.
func (h *house) health(ctx context.Context) (any, bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	report := map[string]any{"mode": h.cfg.Mode, "policy": h.policyInForce().Hash(), "ingest": h.intake.Counts.Tally(), "requestUnits": h.store.Charge(),
		"serviceBusOperations": h.bus.Operations(), "outside": h.telemetry.Outside(), "clock": h.clock.Report(), "measured": h.measured(ctx)}
	ok := true
	for name, ping := range map[string]func(context.Context) error{"store": h.pingStore, "bus": h.bus.Ping} {
		report[name] = "ok"
		err := ping(ctx)
		if err != nil {
			report[name] = err.Error()
		}
		ok = ok && (err == nil || errors.Is(err, errThrottled))
	}
	if ready, err := h.readiness(ctx); err != nil {
		ok = false
	} else {
		report["readiness"] = map[string]any{"state": graph.Worst(ready), "items": ready}
	}
	feeds, err := h.feedStates(ctx)
	if err != nil {
		feeds, ok = nil, false
	}
	report["feeds"] = feeds
	waiting, err := h.waiting(ctx)
	report["parked"] = waiting
	return report, ok && err == nil
}

// errThrottled says that the store serves, but slowly.
var errThrottled = errors.New("throttled")

// recent is how long a refusal is worth telling.
const recent = time.Minute

func (h *house) pingStore(ctx context.Context) error {
	if err := h.store.Ping(ctx); err != nil {
		return err
	}
	if at, err := h.store.Trouble(); err != nil && time.Since(at) < recent {
		return fmt.Errorf("writing failed at %s: %w", at.Format(time.RFC3339), err)
	}
	if n, last := h.store.Throttled(); n > 0 && time.Since(last) < recent {
		return fmt.Errorf("%w: %d requests were refused (429), the last at %s", errThrottled, n, last.Format(time.RFC3339))
	}
	return nil
}

// waiting counts the parked messages of the first page.
func (h *house) waiting(ctx context.Context) (int, error) {
	parked, _, err := h.bus.Parked(ctx, "")
	return len(parked), err
}
