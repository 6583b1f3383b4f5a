package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Every example of GitHub's own gets a 2xx, and nothing is parked, dead-lettered or left behind.
func TestE2EFixtures(t *testing.T) {
	endToEnd(t)
	dir := os.Getenv("FIXTURES")
	if dir == "" {
		dir = "../../../shared/fixtures"
	}
	files, err := filepath.Glob(filepath.Join(dir, "github", "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("FIXTURES: no examples")
		}
		t.Skip("FIXTURES: no examples here")
	}
	c := start(t, freePorts(t), "-data", "")
	c.settled(4 * time.Minute)
	sent := 0
	for i, f := range files {
		name := filepath.Base(filepath.Dir(f))
		if name == "rest" || name == "attestations" || name == "codeowners" {
			continue
		}
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sent++
		if status := c.deliver(name, fmt.Sprintf("22222222-2222-2222-2222-%012d", i), body); status < 200 || status > 299 {
			t.Errorf("%s got %d", f, status)
		}
	}
	if sent < 100 {
		t.Errorf("only %d examples were sent", sent)
	}
	c.eventually(2*time.Minute, c.resting)
	parked, err := c.get("functions", "/api/parked")
	if err != nil {
		t.Fatal(err)
	}
	var page struct{ Items []json.RawMessage }
	if err := json.Unmarshal(parked, &page); err != nil || len(page.Items) > 0 {
		t.Errorf("parked: %s", parked)
	}
}

// resting tells whether no function runs and the counts stand still.
func (c *command) resting() error {
	before, err := c.executed()
	if err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	after, err := c.executed()
	if err == nil && before != after {
		err = fmt.Errorf("%d invocations in two seconds", after-before)
	}
	return err
}

func (c *command) executed() (int64, error) {
	body, err := c.get("functions", "/admin/host/status")
	if err != nil {
		return 0, err
	}
	var status struct {
		Functions []struct {
			Trigger                   string
			Running, Executed, Failed int64
		}
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return 0, err
	}
	var n int64
	for _, f := range status.Functions {
		if f.Trigger != "httpTrigger" {
			n += f.Executed + f.Running
		}
		if f.Failed > 0 {
			return n, fmt.Errorf("%d invocations failed", f.Failed)
		}
	}
	return n, nil
}
