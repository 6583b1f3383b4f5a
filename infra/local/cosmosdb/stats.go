package cosmosdb

import (
	"maps"
	"sync"
)

// Stats counts what the server has done since it started.
type Stats struct {
	Requests     int64                // all requests, faults included
	Writes       int64                // documents written: created, replaced, patched or deleted
	Written      map[string]int64     // the same by name of the container
	RequestUnits float64              // charged in sum
	Operations   map[string]Operation // by name: read, create, upsert, replace, patch, delete, batch, query, …
}

// Operation counts one kind of request.
type Operation struct {
	Requests     int64
	Failures     int64 // answered with 400 or above
	RequestUnits float64
}

type meter struct {
	mu    sync.Mutex
	stats Stats
}

func newMeter() *meter {
	return &meter{stats: Stats{Operations: map[string]Operation{}, Written: map[string]int64{}}}
}

func (m *meter) count(operation, container string, status, written int, charge float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Requests++
	m.stats.Writes += int64(written)
	if written > 0 {
		m.stats.Written[container] += int64(written)
	}
	m.stats.RequestUnits += charge
	o := m.stats.Operations[operation]
	o.Requests++
	o.RequestUnits += charge
	if status >= 400 {
		o.Failures++
	}
	m.stats.Operations[operation] = o
}

// Charge is the sum of all request units so far.
func (s *Server) Charge() float64 { return s.Stats().RequestUnits }

// Stats is a copy of the counters.
func (s *Server) Stats() Stats {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	c := s.stats.stats
	c.Operations, c.Written = maps.Clone(c.Operations), maps.Clone(c.Written)
	return c
}
