package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
	"time"
)

// summary is what a run ends with; its shape is part of the project's contract.
type summary struct {
	Alerts          int     `json:"alerts"`
	Repositories    int     `json:"repositories"`
	Artifacts       int     `json:"artifacts"`
	Workloads       int     `json:"workloads"`
	MappedArtifacts int     `json:"mappedArtifacts"`
	Tiers           tiers   `json:"tiers"`
	Issues          issues  `json:"issues"`
	Parked          int     `json:"parked"`
	DeadLettered    int64   `json:"deadLettered"`
	Pending         int64   `json:"pending"`
	Seconds         float64 `json:"seconds"`
	// Readings are the first full reading of a large estate and a second one that finds it unchanged.
	Readings *[2]reading `json:"readings,omitempty"`
}

type tiers struct {
	P0, P1, P2, P3, P4 int
}

type issues struct {
	Open   int `json:"open"`
	Closed int `json:"closed"`
}

// limit is how long a demo may take before it counts as stuck; a large one is given three times as long.
const limit = 15 * time.Minute

// once plays the demo, waits until nothing is left to do, and prints the summary.
func (s *stage) once(ctx context.Context) error {
	most := limit
	if s.large() {
		most *= 3
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if err := s.play(ctx); err != nil {
		return err
	}
	sum, err := s.summary(ctx)
	if err != nil {
		return err
	}
	if err := s.table(ctx, os.Stdout); err != nil {
		return err
	}
	if err := s.walk(ctx); err != nil {
		return err
	}
	if err := s.print(sum); err != nil {
		return err
	}
	return s.judge(ctx, sum)
}

// play lets the organisation report first and reads it after that, so that every run ends the same.
func (s *stage) play(ctx context.Context) error {
	if err := s.demo.Play(ctx); err != nil {
		return fmt.Errorf("play the demo: %w", err)
	}
	if err := s.idle(ctx); err != nil {
		return err
	}
	if s.large() {
		return s.readTwice(ctx)
	}
	for {
		if err := s.begin(ctx); err != nil {
			return err
		}
		if err := s.idle(ctx); err != nil {
			return err
		}
		read, err := s.read(ctx)
		if err != nil || read {
			return err
		}
	}
}

// read tells whether a reading of everything has begun, and none that began was lost with the handler on its way: such a
// one is sent again by a later tick.
func (s *stage) read(ctx context.Context) (bool, error) {
	var runs struct {
		Items []struct {
			Scope    string
			Complete bool
		}
	}
	if err := s.ask(ctx, "/api/runs", &runs); err != nil {
		return false, err
	}
	for _, r := range runs.Items {
		if r.Scope == fullRun && !r.Complete {
			return false, nil
		}
	}
	return len(runs.Items) > 0, nil
}

// fullRun is how the API calls a run whose first scope nobody has read to its end.
const fullRun = "full run"

// quiet is how long nothing must move before the pipeline counts as idle.
const quiet = 1500 * time.Millisecond

// idle waits until no message is left and no function runs.
func (s *stage) idle(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	since := time.Now()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d messages are still waiting: %w", s.pending(), ctx.Err())
		case <-tick.C:
		}
		if s.pending() > 0 || s.running() > 0 || s.demo.Pending() > 0 {
			since = time.Now()
			continue
		}
		if time.Since(since) >= quiet {
			return nil
		}
	}
}

// pending counts the messages that are not yet handled, scheduled ones too.
func (s *stage) pending() int64 {
	var n int64
	for _, c := range s.bus.Counts() {
		n += c.Active + c.Scheduled + c.Deferred
	}
	return n
}

func (s *stage) deadLettered() int64 {
	var n int64
	for _, c := range s.bus.Counts() {
		n += c.DeadLetter
	}
	return n
}

func (s *stage) running() int64 {
	var n int64
	for _, f := range s.host.Status().Functions {
		n += f.Running
	}
	return n
}

// summary asks the product's own API.
func (s *stage) summary(ctx context.Context) (summary, error) {
	var sum summary
	if err := s.ask(ctx, "/api/summary", &sum); err != nil {
		return sum, err
	}
	var parked struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := s.ask(ctx, "/api/parked", &parked); err != nil {
		return sum, err
	}
	sum.Parked, sum.DeadLettered, sum.Pending = len(parked.Items), s.deadLettered(), s.pending()
	sum.Seconds, sum.Readings = time.Since(s.begun).Round(time.Millisecond).Seconds(), s.readings
	return sum, nil
}

// ask asks the handler, which may have just been started again.
func (s *stage) ask(ctx context.Context, path string, into any) error {
	const tries = 20
	for n := 1; ; n++ {
		err := s.askOnce(ctx, path, into)
		if err == nil || n == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (s *stage) askOnce(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(s.functions)+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		detail, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // only to say more in the error
		return fmt.Errorf("ask %s: %s: %s", path, resp.Status, detail)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// shownRows is how many decisions the table shows.
const shownRows = 20

// table prints the most urgent decisions.
func (s *stage) table(ctx context.Context, out io.Writer) error {
	var page struct {
		Items []struct {
			Tier, Rule, FullName, Kind, Title, Due string
			Score, Issue, WorkloadsAll             int
			Workloads, Risks                       []string
		} `json:"items"`
	}
	if err := s.ask(ctx, fmt.Sprintf("/api/findings?limit=%d", shownRows), &page); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TIER\tSCORE\tRULE\tDUE\tREPOSITORY\tFINDING\tRUNS IN\tISSUE")
	for _, i := range page.Items {
		where := "—"
		if len(i.Workloads) > 0 {
			where = i.Workloads[0]
		}
		if i.WorkloadsAll > 1 {
			where += fmt.Sprintf(" +%d", i.WorkloadsAll-1)
		}
		issue := "—"
		if i.Issue > 0 {
			issue = fmt.Sprintf("#%d", i.Issue)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", i.Tier, i.Score, i.Rule, i.Due, i.FullName, clip(i.Title, 48), where, issue)
	}
	return w.Flush()
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func (s *stage) print(sum summary) error {
	if s.json {
		raw, err := json.Marshal(sum)
		if err != nil {
			return err
		}
		fmt.Println(string(raw))
		return nil
	}
	fmt.Printf("\n%d alerts in %d repositories; %d images, %d mapped; %d workloads.\n", sum.Alerts, sum.Repositories, sum.Artifacts, sum.MappedArtifacts, sum.Workloads)
	fmt.Printf("P0 %d  P1 %d  P2 %d  P3 %d  P4 %d; %d issues open, %d closed. %.1f s.\n", sum.Tiers.P0, sum.Tiers.P1, sum.Tiers.P2, sum.Tiers.P3, sum.Tiers.P4, sum.Issues.Open, sum.Issues.Closed, sum.Seconds)
	return nil
}

// judge fails a run that left something behind.
func (s *stage) judge(ctx context.Context, sum summary) error {
	switch {
	case sum.Parked > 0 || sum.DeadLettered > 0 || sum.Pending > 0:
		return fmt.Errorf("%d messages parked, %d dead-lettered, %d pending", sum.Parked, sum.DeadLettered, sum.Pending)
	}
	return s.missing(ctx)
}

// missing compares the open alerts of the organisation with those that arrived.
func (s *stage) missing(ctx context.Context) error {
	open, err := s.openAlerts(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for _, a := range s.demo.Expected().AlertList {
		id := fmt.Sprintf("github-%d-%s-%d", a.Repository, a.Kind, a.Number)
		if a.State == "open" && !open[id] {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d open alerts of the organisation did not arrive, %s among them", len(missing), missing[0])
	}
	return nil
}

// openAlerts reads the worklist to its end.
func (s *stage) openAlerts(ctx context.Context) (map[string]bool, error) {
	open := map[string]bool{}
	for cursor := ""; ; {
		var page struct {
			Items []struct {
				ID string `json:"id"`
			} `json:"items"`
			Next string `json:"next"`
		}
		if err := s.ask(ctx, "/api/findings?limit=200&cursor="+url.QueryEscape(cursor), &page); err != nil {
			return nil, err
		}
		for _, i := range page.Items {
			open[i.ID] = true
		}
		if cursor = page.Next; cursor == "" {
			return open, nil
		}
	}
}

// keep plays the demo and goes on until it is told to stop.
func (s *stage) keep(ctx context.Context) error {
	if s.host == nil {
		return s.serve(ctx)
	}
	fmt.Printf("Dashboard  http://%s/\nAPI        http://%s/api/findings\n", address(s.functions), address(s.functions))
	if s.demo == nil {
		return s.serve(ctx)
	}
	if err := s.play(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	sum, err := s.summary(ctx)
	if err != nil {
		return err
	}
	if err := s.table(ctx, os.Stdout); err != nil {
		return err
	}
	if err := s.print(sum); err != nil {
		return err
	}
	if err := s.walk(ctx); err != nil {
		return err
	}
	fmt.Printf("\nDashboard  http://%s/   Ctrl-C stops; started again it goes on.\n", address(s.functions))
	return s.serve(ctx)
}

// serve tells what listens where and waits.
func (s *stage) serve(ctx context.Context) error {
	if s.bus != nil && s.host == nil {
		fmt.Printf("Service Bus  %s\n             administration and fault switches http://%s/\n", s.bus.ConnectionString(), s.bus.AdminAddr())
	}
	if s.cosmos != nil && s.host == nil {
		fmt.Printf("Cosmos DB    %s\n", s.cosmos.ConnectionString())
	}
	if s.demo != nil && s.host == nil {
		fmt.Printf("GitHub       %s\nAzure        %s\n", s.demo.GitHubURL(), s.demo.AzureURL())
	}
	<-ctx.Done()
	return nil
}
