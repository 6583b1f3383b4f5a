package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"throughline/infra/local/demo"
)

// reading is what one full reading of the estate cost.
type reading struct {
	Seconds    float64        `json:"seconds"`
	Requests   int            `json:"requests"`   // to GitHub
	Floor      int            `json:"floor"`      // the fewest that can tell the same
	ByRoute    map[string]int `json:"byRoute"`    // requests to GitHub
	Queries    int            `json:"queries"`    // to Resource Graph
	HandlerMB  int            `json:"handlerMB"`  // the most that the handler ever held
	Operations int64          `json:"operations"` // of Service Bus
	Units      float64        `json:"requestUnits"`
	// Written are the documents written, by container. Cursors and marks of the reading itself are in state.
	Written map[string]int64 `json:"written"`
	// Downstream are the messages that correlate, prioritize and assign handled.
	Downstream map[string]int64 `json:"downstream"`
}

// readTwice reads the estate, and once more unchanged.
func (s *stage) readTwice(ctx context.Context) error {
	s.readings = &[2]reading{}
	for i, name := range []string{"first", "second"} {
		r, err := s.measure(ctx)
		if err != nil {
			return fmt.Errorf("%s reading: %w", name, err)
		}
		r.tell(name)
		s.readings[i] = r
	}
	return nil
}

// measure reads the whole estate once more and says what that cost. It begins and ends with empty queues.
func (s *stage) measure(ctx context.Context) (reading, error) {
	before, err := s.counts(ctx)
	if err != nil {
		return reading{}, err
	}
	begun := time.Now()
	if err := s.resync(ctx); err != nil {
		return reading{}, err
	}
	if err := s.idle(ctx); err != nil {
		return reading{}, err
	}
	took := time.Since(begun) - quiet
	after, err := s.counts(ctx)
	if err != nil {
		return reading{}, err
	}
	r := after.since(before)
	r.Seconds = took.Round(100 * time.Millisecond).Seconds()
	r.Floor = floor(s.demo.Expected())
	r.HandlerMB = peak(s.host.Status().HandlerPID)
	return r, nil
}

// floor is the fewest requests to GitHub that a full reading needs: 100 of everything a page, 1,024 digests or 100
// attestations a bulk call, the CODEOWNERS of 100 repositories a query, a token and the failed deliveries.
func floor(x demo.Expected) int {
	pages := func(n, size int) int { return (n + size - 1) / size }
	n := 3*pages(x.Repositories, 100) + pages(x.Attested, 100) + 2
	for _, open := range x.Open {
		n += pages(open, 100)
	}
	return n
}

// counts is what all parts have counted since they started.
type counts struct {
	routes     map[string]int
	queries    int
	operations int64
	units      float64
	written    map[string]int64
	handled    map[string]int64
}

func (s *stage) counts(ctx context.Context) (counts, error) {
	c := counts{operations: s.bus.Operations(), handled: map[string]int64{}}
	stats := s.cosmos.Stats()
	c.units, c.written = stats.RequestUnits, stats.Written
	for _, f := range s.host.Status().Functions {
		c.handled[f.Name] = f.Executed
	}
	var github struct {
		Report struct {
			Requests map[string]int `json:"requests"`
		} `json:"report"`
	}
	var azure struct {
		Asked int `json:"asked"`
	}
	if err := get(ctx, s.demo.GitHubURL()+"/_limits", &github); err != nil {
		return c, err
	}
	err := get(ctx, s.demo.AzureURL()+"/_limits", &azure)
	c.routes, c.queries = github.Report.Requests, azure.Asked
	return c, err
}

// since is what was counted between two moments.
func (c counts) since(before counts) reading {
	r := reading{ByRoute: map[string]int{}, Queries: c.queries - before.queries, Operations: c.operations - before.operations, Units: c.units - before.units,
		Written: map[string]int64{}, Downstream: map[string]int64{}}
	for route, n := range c.routes {
		if n -= before.routes[route]; n > 0 {
			r.ByRoute[route], r.Requests = n, r.Requests+n
		}
	}
	for _, container := range []string{"graph", "worklist", "state"} {
		r.Written[container] = c.written[container] - before.written[container]
	}
	for _, f := range []string{"correlate", "prioritize", "assign"} {
		r.Downstream[f] = c.handled[f] - before.handled[f]
	}
	return r
}

func get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// resync asks for a full reading now, as an operator does.
func (s *stage) resync(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address(s.functions)+"/api/resync", bytes.NewReader(nil))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask for a full reading: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		detail, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // only to say more in the error
		return fmt.Errorf("ask for a full reading: %s: %s", resp.Status, detail)
	}
	return nil
}

// peak is the most memory that a process ever held, in MB; 0 where the system does not tell.
func peak(pid int) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0]) // the kernel writes a number there
			return kb >> 10
		}
	}
	return 0
}

// tell prints what a reading cost in one line.
func (r reading) tell(name string) {
	fmt.Printf("%s reading: %.1f s; %d requests to GitHub, floor %d (%.2f x); %d queries to Resource Graph; handler at most %d MB; %d Service Bus operations; %.0f RU; documents written: graph %d, worklist %d, state %d; handled by correlate %d, prioritize %d, assign %d\n",
		name, r.Seconds, r.Requests, r.Floor, float64(r.Requests)/float64(max(r.Floor, 1)), r.Queries, r.HandlerMB, r.Operations, r.Units,
		r.Written["graph"], r.Written["worklist"], r.Written["state"], r.Downstream["correlate"], r.Downstream["prioritize"], r.Downstream["assign"])
}
