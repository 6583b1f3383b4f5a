package functionapp

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// retryPolicy repeats a failed invocation; only timer triggers support it here.
// Service Bus does not: there the delivery count rules.
type retryPolicy struct {
	Strategy        string   `json:"strategy"`
	MaxRetryCount   int      `json:"maxRetryCount"`
	DelayInterval   timeSpan `json:"delayInterval"`
	MinimumInterval timeSpan `json:"minimumInterval"`
	MaximumInterval timeSpan `json:"maximumInterval"`
}

func (p *retryPolicy) check() error {
	if p == nil {
		return nil
	}
	switch strings.ToLower(p.Strategy) {
	case "fixeddelay":
		if p.DelayInterval < 0 {
			return fmt.Errorf("retry.delayInterval must not be negative")
		}
	case "exponentialbackoff":
		if p.MinimumInterval <= 0 || p.MaximumInterval < p.MinimumInterval {
			return fmt.Errorf("retry needs 0 < minimumInterval <= maximumInterval")
		}
	default:
		return fmt.Errorf("retry.strategy %q is neither fixedDelay nor exponentialBackoff", p.Strategy)
	}
	return nil
}

// delay is the wait before retry n (the first is 1), and false when there is none.
// A maxRetryCount of -1 retries for ever.
func (p *retryPolicy) delay(n int) (time.Duration, bool) {
	if p == nil || p.MaxRetryCount >= 0 && n > p.MaxRetryCount {
		return 0, false
	}
	if strings.EqualFold(p.Strategy, "fixedDelay") {
		return p.DelayInterval.duration(), true
	}
	wait := float64(p.MinimumInterval) * float64(uint64(1)<<min(n-1, 30)) * (0.8 + 0.4*rand.Float64())
	return time.Duration(min(max(wait, float64(p.MinimumInterval)), float64(p.MaximumInterval))), true
}
