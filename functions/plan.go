package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"throughline/functions/api"
	"throughline/shared/graph"
)

// planURL is where make run serves the API.
const planURL = "http://127.0.0.1:7071"

// plan asks a running app what a policy file would change and prints it:
// functions plan [-url https://app.example] [-token file] policy.yaml. The file holds the bearer token that the app wants.
func plan(args []string, out io.Writer) error {
	f := flag.NewFlagSet("plan", flag.ContinueOnError)
	ask, err := newAsker(f, args)
	if err != nil {
		return err
	}
	if f.NArg() != 1 {
		return fmt.Errorf("plan: name one policy file, like make plan POLICY=policy.yaml")
	}
	text, err := os.ReadFile(f.Arg(0))
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	p, err := askPlan(ask.base, ask.token, filepath.Base(f.Arg(0)), text)
	if err != nil {
		return err
	}
	return printPlan(out, p)
}

func askPlan(base, token, name string, policy []byte) (api.Plan, error) {
	var p api.Plan
	req, err := http.NewRequest(http.MethodPost, base+"/api/plan?name="+url.QueryEscape(name), bytes.NewReader(policy))
	if err != nil {
		return p, fmt.Errorf("plan: %w", err)
	}
	req.Header.Set("Content-Type", "application/yaml")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Client{Timeout: 5 * time.Minute}).Do(req)
	if err != nil {
		return p, fmt.Errorf("plan: %w; is the app running (make run)?", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return p, fmt.Errorf("%s", detail(resp))
	}
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		return p, fmt.Errorf("plan: the answer cannot be read: %w", err)
	}
	return p, nil
}

// planLines is how many findings and issues are printed; the counts are whole.
const planLines = 20

func printPlan(w io.Writer, p api.Plan) error {
	var b bytes.Buffer
	for _, warning := range p.Warnings {
		fmt.Fprintln(&b, warning)
	}
	fmt.Fprintf(&b, "policy %s\nin force %s\n\n%d of %d findings change tier\n\n", p.Policy, p.InForce, p.Changed, p.Findings)
	fmt.Fprintf(&b, "%-6s %10s %10s\n", "tier", "now", "then")
	for _, t := range graph.Tiers {
		fmt.Fprintf(&b, "%-6s %10d %10d\n", t, p.Before[t], p.After[t])
	}
	fmt.Fprintf(&b, "\nissues: %d would open, %d change, %d close\n", p.Open, p.Change, p.Close)
	if p.Waits {
		fmt.Fprintln(&b, "more would open than the guard lets through: they would wait for approval")
	}
	for _, f := range p.Tiers[:min(len(p.Tiers), planLines)] {
		fmt.Fprintf(&b, "%s -> %s  %-6s %s\n", f.From, f.To, f.Rule, f.Finding)
	}
	if more := p.Changed - planLines; more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	for _, i := range p.Issues[:min(len(p.Issues), planLines)] {
		fmt.Fprintf(&b, "%-6s %s %s\n", i.Action, i.Remediation, i.URL)
	}
	if more := p.Open + p.Change + p.Close - planLines; more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	_, err := w.Write(b.Bytes())
	return err
}
