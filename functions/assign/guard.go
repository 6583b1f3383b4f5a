package assign

import (
	"context"
	"errors"
	"fmt"

	"throughline/shared/graph"
)

// pass asks the guard whether an issue may be opened for its cause; until it is known how many the cause would open, the
// answer is to ask again. What has begun goes on, and what a person asked for is never held back.
func (c *work) pass(ctx context.Context, p plan) (bool, error) {
	cause := c.cause(p)
	if cause == "" || c.remediation.Approved || c.remediation.Intent != nil {
		return true, nil
	}
	w := graph.Waiting{Repository: c.repository.ID, Remediation: c.remediation.ID}
	passed, err := graph.Graph{Store: c.Store}.Pass(ctx, cause, w, c.policy.Guard, c.now)
	if errors.As(err, new(*graph.Limited)) {
		return false, err
	}
	if err != nil {
		return false, fmt.Errorf("guard of %q: %w", cause, err)
	}
	return passed, nil
}

// cause is what made every counting finding ask for the issue; empty when one of them has news of its own.
func (c *work) cause(p plan) string {
	cause := ""
	for _, f := range c.shown(p) {
		if f.Decision == nil || f.Decision.Cause == "" {
			return ""
		}
		if cause == "" {
			cause = f.Decision.Cause
		}
	}
	return cause
}

func (c *work) waitsForApproval(p plan) string {
	return fmt.Sprintf("waits for approval: %s would open more than %d issues", c.cause(p), c.policy.Guard)
}
