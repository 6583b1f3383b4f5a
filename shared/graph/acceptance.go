package graph

import "time"

// Acceptance is a person's word that a finding may wait: who, why, until when, and the tier at that time.
type Acceptance struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // zero for an exemption of Defender: then the policy's limit holds
	Tier   Tier      `json:"tier"`
	// Voided is set once the computed tier became more urgent than the one accepted; it never comes back by itself.
	Voided time.Time `json:"voided,omitzero"`
	// Why tells what voided it.
	Why string `json:"why,omitempty"`
}

// Stands tells whether the acceptance was not voided; whether its time has come is for the policy to say.
func (a *Acceptance) Stands() bool { return a != nil && a.Voided.IsZero() }
