package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestE2EWalkthrough follows one finding from a critical bare pod to the issue that is closed as verified; every step
// checks the product's own view, the issue and the ticket in Defender for Cloud.
func TestE2EWalkthrough(t *testing.T) {
	endToEnd(t)
	c := start(t, freePorts(t), "-once", "-walkthrough", "-data", "")
	if code := c.wait(10 * time.Minute); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, c.out.String())
	}
	for n := 1; n <= 8; n++ {
		if !strings.Contains(c.out.String(), fmt.Sprintf("\n%d. ", n)) {
			t.Errorf("step %d was not played:\n%s", n, c.out.String())
		}
	}
}
