package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"throughline/infra/local/demo"
)

// TestE2EKill kills the handler and the whole at random moments of the demo. In the end everything is as if nothing had
// happened, and no repository has two open issues for one fix. THROUGHLINE_LONG=1 kills more often.
func TestE2EKill(t *testing.T) {
	endToEnd(t)
	kills := 5
	if os.Getenv("THROUGHLINE_LONG") != "" {
		kills = 20
	}
	want := undisturbed(t)
	data, ports := t.TempDir(), freePorts(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("moments from seed %d", seed)
	moments := rand.New(rand.NewPCG(seed, 0))
	for i := range kills {
		c := start(t, ports, "-once", "-json", "-data", data)
		c.ready(2 * time.Minute)
		time.Sleep(time.Duration(moments.IntN(8000)) * time.Millisecond)
		if i%2 == 0 {
			c.killHandler()
			time.Sleep(time.Duration(moments.IntN(3000)) * time.Millisecond)
		}
		c.kill()
		<-c.done
	}
	c := start(t, ports, "-once", "-json", "-data", data)
	if code := c.wait(6 * time.Minute); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, c.out.String())
	}
	got := c.result()
	got.Seconds = 0
	if got != want {
		t.Errorf("after %d kills:\n%+v\nundisturbed:\n%+v", kills, got, want)
	}
	truth(t, data, "small", 1, func(d *demo.Demo) { oneIssueForEachFix(t, d) })
}

// killHandler ends the handler as the platform does, without a word; the host starts it again.
func (c *command) killHandler() {
	body, err := c.get("functions", "/admin/host/status")
	if err != nil {
		return // the whole is about to be killed anyway
	}
	var status struct {
		HandlerPID int `json:"handlerPid"`
	}
	if err := json.Unmarshal(body, &status); err == nil && status.HandlerPID > 1 {
		_ = syscall.Kill(status.HandlerPID, syscall.SIGKILL) // it may have ended by itself
	}
}

// truth reads what the organisation kept.
func truth(t *testing.T, data, size string, seed int64, look func(*demo.Demo)) {
	t.Helper()
	d, err := demo.Start(context.Background(), demo.Options{GitHubAddr: "127.0.0.1:0", AzureAddr: "127.0.0.1:0", Seed: seed, Estate: size, Dir: filepath.Join(data, "demo")})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	look(d)
}

// oneIssueForEachFix looks for two issues with one marker.
func oneIssueForEachFix(t *testing.T, d *demo.Demo) {
	t.Helper()
	known := map[string]int{}
	for _, i := range d.Issues() {
		if i.Marker == "" {
			continue
		}
		if first, twice := known[i.Marker]; twice {
			t.Errorf("%s: issues #%d and #%d are for one fix", i.Repository, first, i.Number)
		}
		known[i.Marker] = i.Number
	}
	if len(known) == 0 {
		t.Error("no issue with a marker was found at all")
	}
}
