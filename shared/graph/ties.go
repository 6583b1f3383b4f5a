package graph

// Ties is what correlate notes on a stored noun, so that handling the same fact again after a crash finishes what was
// begun and otherwise costs one read. Sources leave it empty.
type Ties struct {
	// Loose is set with every change and cleared once all documents that follow from the noun are written.
	Loose bool `json:"loose,omitempty"`
	// Touches are the repositories whose exposure the noun went into.
	Touches []RepositoryID `json:"touches,omitempty"`
}
