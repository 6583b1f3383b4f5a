package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestE2EClock lets the handler's clock be ten minutes wrong, in both directions, while GitHub, Service Bus and Cosmos DB
// go right. All ends as ever, and health says what is wrong.
func TestE2EClock(t *testing.T) {
	endToEnd(t)
	want := undisturbed(t)
	for offset, says := range map[string]string{"10m": "ahead of those of GitHub and Azure", "-10m": "behind those of GitHub and Azure"} {
		t.Run(offset, func(t *testing.T) {
			t.Setenv("THROUGHLINE_CLOCK", offset)
			c := start(t, freePorts(t), "-json", "-data", "")
			c.settled(6 * time.Minute)
			if got := c.printed(); got != want {
				t.Errorf("with the clock off by %s:\n%+v\nwith a right one:\n%+v", offset, got, want)
			}
			body, err := c.get("functions", "/api/health")
			var health struct{ Clock string }
			if err == nil {
				err = json.Unmarshal(body, &health)
			}
			if err != nil || !strings.HasPrefix(health.Clock, "10m0s ") && !strings.HasPrefix(health.Clock, "9m59s ") && !strings.HasPrefix(health.Clock, "10m1s ") || !strings.Contains(health.Clock, says) {
				t.Errorf("health says %q, %v", health.Clock, err)
			}
			t.Logf("clock: %s", health.Clock)
		})
	}
}

// printed is the summary that a run which goes on has printed.
func (c *command) printed() summary {
	c.t.Helper()
	var s summary
	err := fmt.Errorf("no line begins with {")
	for line := range strings.SplitSeq(c.out.String(), "\n") {
		if strings.HasPrefix(line, "{") {
			err = json.Unmarshal([]byte(line), &s)
		}
	}
	if err != nil {
		c.t.Fatalf("no summary was printed: %v\n%s", err, c.out.String())
	}
	s.Seconds = 0
	return s
}
