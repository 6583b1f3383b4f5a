package graph_test

import (
	"testing"

	"throughline/shared/graph"
	"throughline/shared/graph/graphtest"
)

func TestMemory(t *testing.T) {
	graphtest.Run(t, func(*testing.T) graph.Store { return graph.NewMemory() })
}
