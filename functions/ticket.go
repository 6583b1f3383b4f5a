package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"throughline/functions/assign"
	"throughline/shared/defender"
)

// quiet is how long nothing without the fix must have been seen before an issue counts as verified. On one machine the
// inventory is as fresh as its events.
func (h *house) quiet() time.Duration {
	if h.cfg.Local {
		return 0
	}
	return 15 * time.Minute
}

// tickets writes issues to Defender for Cloud.
type tickets struct{ azure *defender.Client }

// PutTicket writes the ticket onto an assessment.
func (t tickets) PutTicket(ctx context.Context, assessment string, k assign.Ticket) error {
	if k.Number > math.MaxInt32 {
		return fmt.Errorf("issue number %d: Defender for Cloud takes at most %d", k.Number, math.MaxInt32)
	}
	err := t.azure.PutGovernance(ctx, assessment, defender.Governance{Owner: k.Owner, Due: k.Due, TicketNumber: int32(k.Number), TicketLink: k.URL, TicketStatus: k.Status})
	if errors.Is(err, defender.ErrTicketTaken) {
		return fmt.Errorf("%w: %w", assign.ErrTicketTaken, err)
	}
	return err
}
