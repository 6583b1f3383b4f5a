package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"throughline/infra/local/demo"
)

// TestE2EKillEveryTwoSeconds opens the issues of 1,000 findings in 50 repositories while the handler is killed every two
// seconds and GitHub fails a tenth of all calls before and a tenth after their effect; then a part of it is mended. No
// issue is lost, none is doubled, and none is closed while something of it is open or runs. THROUGHLINE_LONG=1 does it
// with five seeds; SEED=n with that one.
func TestE2EKillEveryTwoSeconds(t *testing.T) {
	endToEnd(t)
	seeds := []int64{1}
	if os.Getenv("THROUGHLINE_LONG") != "" {
		seeds = []int64{1, 2, 3, 4, 5}
	}
	if one, err := strconv.ParseInt(os.Getenv("SEED"), 10, 64); err == nil {
		seeds = []int64{one}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { crash(t, seed) })
	}
}

// unsteady lets GitHub fail a tenth of the calls before their effect, and a tenth of all after it.
const unsteady = `[{"kind":"status","status":502,"when":"before","percent":10},{"kind":"status","status":502,"when":"after","percent":11.1}]`

func crash(t *testing.T, seed int64) {
	t.Setenv("GITHUB_CONTENT_LIMITS", "10000/100000") // as Enterprise Server has none: an hour of waiting would show nothing more
	estate := []string{"-estate", "medium", "-seed", fmt.Sprint(seed)}
	want := undisturbed(t, estate...)
	data := t.TempDir()
	c := start(t, freePorts(t), append(estate, "-data", data)...)
	d := &drill{command: c, data: data}
	c.eventually(2*time.Minute, func() error { return c.listens("github") })
	d.post("github", "/_faults", unsteady)
	c.ready(2 * time.Minute)
	stop := c.killing(2*time.Second, seed)
	c.settled(8 * time.Minute)
	var got summary
	c.eventually(time.Minute, func() error { return d.read("/api/summary", &got) })
	if got.Tiers != want.Tiers || got.Issues != want.Issues || got.Alerts != want.Alerts {
		t.Errorf("with kills:\n%+v\nundisturbed:\n%+v", got, want)
	}
	revoked := d.mend(15)
	c.eventually(4*time.Minute, func() error { return d.closed(got.Issues.Closed + revoked) })
	kills := stop()
	var findings []listed
	c.eventually(time.Minute, func() (err error) { findings, err = d.all(); return err })
	t.Logf("%d kills; %d issues opened, %d closed since", kills, want.Issues.Open, revoked)
	c.kill()
	<-c.done
	truth(t, data, "medium", seed, func(d *demo.Demo) {
		oneIssueForEachFix(t, d)
		closedWithCause(t, d, findings)
	})
}

// killing kills the handler about every so often, from a seed; calling the answer ends it and tells how often it did.
func (c *command) killing(every time.Duration, seed int64) (stop func() int) {
	moments := rand.New(rand.NewPCG(uint64(seed), 2))
	kills, end, ended := 0, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(every*3/4 + time.Duration(moments.Int64N(int64(every/2)))):
				c.killHandler()
				kills++
			}
		}
	}()
	stop = sync.OnceValue(func() int { close(end); <-ended; return kills })
	c.t.Cleanup(func() { stop() })
	return stop
}

// listens tells whether a part answers at all.
func (c *command) listens(part string) error {
	resp, err := http.Get(c.url(part, "/_faults"))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// listed is a line of the API's list.
type listed struct {
	ID, Kind, State, FullName string
	Issue                     int
}

func (l listed) number() string { return l.ID[strings.LastIndexByte(l.ID, '-')+1:] }

// all lists every finding, closed ones too.
func (d *drill) all() ([]listed, error) {
	var all []listed
	for cursor := ""; ; {
		var page struct {
			Items []listed
			Next  string
		}
		if err := d.read("/api/findings?state=all&limit=200&cursor="+url.QueryEscape(cursor), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			return all, nil
		}
	}
}

func (d *drill) read(path string, into any) error {
	body, err := d.get("functions", path)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// mend revokes secrets and mends dependencies, up to so many of each. It answers how many issues are to be closed for it:
// those of the secrets, because nothing that runs has the other mends yet.
func (d *drill) mend(most int) int {
	d.t.Helper()
	var all []listed
	d.eventually(time.Minute, func() (err error) { all, err = d.all(); return err })
	done := map[string]int{}
	for _, f := range all {
		if f.State != "open" || f.Issue == 0 || f.Kind != "secret_scanning" && f.Kind != "dependabot" || done[f.Kind] == most {
			continue
		}
		done[f.Kind]++
		_, name, _ := strings.Cut(f.FullName, "/")
		d.post("github", fmt.Sprintf("/_demo/alerts/%s/%s/%s/fix", f.Kind, name, f.number()), "{}")
	}
	if len(done) < 2 {
		d.t.Fatalf("not both kinds to mend: %v", done)
	}
	return done["secret_scanning"]
}

// closed wants so many issues to be closed.
func (d *drill) closed(want int) error {
	var s summary
	if err := d.read("/api/summary", &s); err != nil {
		return err
	}
	if s.Issues.Closed < want {
		return fmt.Errorf("%d of %d issues are closed", s.Issues.Closed, want)
	}
	return nil
}

// closedWithCause looks for closed issues with something that is open, or that was mended but is not deployed.
func closedWithCause(t *testing.T, d *demo.Demo, findings []listed) {
	t.Helper()
	state := map[string]string{}
	for _, a := range d.Expected().AlertList {
		state[fmt.Sprintf("github-%d-%s-%d", a.Repository, a.Kind, a.Number)] = a.State
	}
	closed := map[string]bool{}
	for _, i := range d.Issues() {
		closed[fmt.Sprint(i.Repository, "#", i.Number)] = i.Marker != "" && i.State == "closed"
	}
	seen := 0
	for _, f := range findings {
		if !closed[fmt.Sprint(f.FullName, "#", f.Issue)] {
			continue
		}
		seen++
		if now := state[f.ID]; now == "open" || now == "fixed" || now == "" && f.State == "open" {
			t.Errorf("%s #%d is closed, and %s is %q", f.FullName, f.Issue, f.ID, now)
		}
	}
	if seen == 0 {
		t.Error("no closed issue was looked at")
	}
}
