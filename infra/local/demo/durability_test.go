package demo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"throughline/infra/local/demo"
)

func TestPortInUseIsOneLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, o := range []demo.Options{{GitHubAddr: l.Addr().String(), AzureAddr: "127.0.0.1:0"}, {GitHubAddr: "127.0.0.1:0", AzureAddr: l.Addr().String()}} {
		_, err := demo.Start(t.Context(), o)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "in use") || !strings.Contains(err.Error(), "-port-") {
			t.Errorf("error %q", err)
		}
	}
}

func TestDirectoryKeepsItsEstate(t *testing.T) {
	dir := t.TempDir()
	d := start(t, func(o *demo.Options) { o.Dir = dir })
	env := d.Env()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, o := range []demo.Options{{Seed: 2, Estate: "small"}, {Seed: 1, Estate: "large"}} {
		o.GitHubAddr, o.AzureAddr, o.Dir = "127.0.0.1:0", "127.0.0.1:0", dir
		if _, err := demo.Start(t.Context(), o); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "-seed 1") {
			t.Errorf("seed %d, %s: %v", o.Seed, o.Estate, err)
		}
	}
	again := start(t, func(o *demo.Options) { o.Dir = dir })
	for _, name := range []string{"GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY", "GITHUB_WEBHOOK_SECRET", "CATALOGUE_FILE"} {
		if i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") }); env[i] != name+"="+setting(t, again, name) {
			t.Errorf("%s is another one after a restart", name)
		}
	}
}

func TestStateSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	d := start(t, func(o *demo.Options) { o.Dir = dir })
	c := newCaller(t, d)
	home := "/repos/" + firstRepository(d, func(r demo.ExpectedRepository) bool { return !r.Archived }).FullName
	login := c.ask("GET", home+"/assignees", nil, 200).([]any)[0].(object)["login"].(string)
	c.ask("POST", home+"/issues", object{"title": "One", "body": "<!-- marker -->\nbody", "labels": []string{"x"}, "assignees": []string{login}}, 201)
	c.ask("POST", home+"/issues/1/comments", object{"body": "a comment"}, 201)
	c.ask("POST", home+"/issues", object{"title": "Two"}, 201)
	c.ask("PATCH", home+"/issues/2", object{"state": "closed"}, 200)
	alert := d.Expected().AlertList[slices.IndexFunc(d.Expected().AlertList, func(a demo.ExpectedAlert) bool { return a.State == "open" && a.Kind == "dependabot" })]
	var name string
	for _, r := range d.Expected().RepositoryList {
		if r.ID == alert.Repository {
			name = r.FullName
		}
	}
	if !strings.Contains(name, "legacy") {
		c.ask("PATCH", "/repos/"+name+"/dependabot/alerts/"+number(int64(alert.Number)), object{"state": "dismissed", "dismissed_reason": "not_used"}, 200)
	}
	issues, truth := d.Issues(), d.Expected()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = start(t, func(o *demo.Options) { o.Dir = dir })
	if got := d.Issues(); fmt.Sprint(got) != fmt.Sprint(issues) || len(got) != 2 || got[0].Marker != "<!-- marker -->" || len(got[0].Comments) != 1 {
		t.Errorf("issues\n%+v\nwere\n%+v", got, issues)
	}
	if got := d.Expected(); fmt.Sprint(got) != fmt.Sprint(truth) {
		t.Error("the truth is another one after a restart")
	}
	c = newCaller(t, d)
	if third := c.ask("POST", home+"/issues", object{"title": "Three"}, 201).(object); third["number"] != 3.0 {
		t.Errorf("the next issue has number %v", third["number"])
	}
}

// child serves until it is killed. Its parent reads the address on stdout.
func child() int {
	d, err := demo.Start(context.Background(), demo.Options{GitHubAddr: "127.0.0.1:0", AzureAddr: "127.0.0.1:0", Seed: 1, Dir: os.Getenv("DEMO_CHILD"),
		WebhookURL: os.Getenv("DEMO_HOOK"), WebhookSecret: secret})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("%s %s\n", d.GitHubURL(), d.AzureURL())
	if os.Getenv("DEMO_PLAY") != "" {
		if err := d.Play(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("played")
	}
	time.Sleep(time.Minute) // the parent kills us long before
	return 0
}

type process struct {
	*exec.Cmd
	github string
	lines  chan string
}

func spawn(t *testing.T, env ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0]), lines: make(chan string, 10)}
	p.Env = append(os.Environ(), env...)
	p.Stderr = os.Stderr
	pipe, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	go func() {
		defer close(p.lines)
		var text string
		buffer := make([]byte, 200)
		for {
			n, err := pipe.Read(buffer)
			text += string(buffer[:n])
			for {
				line, rest, found := strings.Cut(text, "\n")
				if !found {
					break
				}
				text = rest
				p.lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	line, open := <-p.lines
	if !open {
		t.Fatal("the child did not start")
	}
	p.github = strings.Fields(line)[0]
	return p
}

func (p *process) kill() {
	_ = p.Process.Kill() // it may be dead already
	_ = p.Wait()         // "signal: killed" is what we want
}

// TestConfirmedWritesSurviveKill creates issues until the process is killed, several times over: each that was confirmed
// is there afterwards, once, and none has the number of another.
func TestConfirmedWritesSurviveKill(t *testing.T) {
	dir := t.TempDir()
	rounds := 3
	if os.Getenv("THROUGHLINE_LONG") != "" {
		rounds = 20
	}
	confirmed := map[string]int{}
	var app int64
	fmt.Sscan(setting(t, shared(t), "GITHUB_APP_ID"), &app)
	repo := firstRepository(shared(t), func(r demo.ExpectedRepository) bool { return !r.Archived }).FullName
	for round := range rounds {
		p := spawn(t, "DEMO_CHILD="+dir)
		client := signIn(t, p.github, dir, app)
		var written atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := 0; ; n++ {
				title := fmt.Sprintf("issue %d of round %d", n, round)
				number, err := createIssue(client, p.github+"/repos/"+repo+"/issues", title)
				if err != nil {
					return
				}
				confirmed[title] = number
				written.Add(1)
			}
		}()
		wait(t, "some issues", func() bool { return written.Load() >= int64(5+round) })
		p.kill()
		<-done
	}
	d := start(t, func(o *demo.Options) { o.Dir = dir })
	have := map[string]int{}
	numbers := map[int]bool{}
	for _, i := range d.Issues() {
		if _, twice := have[i.Title]; twice || numbers[i.Number] {
			t.Errorf("%q or its number %d is there twice", i.Title, i.Number)
		}
		have[i.Title], numbers[i.Number] = i.Number, true
	}
	for title, number := range confirmed {
		if have[title] != number {
			t.Errorf("%q was confirmed as number %d and is %d", title, number, have[title])
		}
	}
	if extra := len(have) - len(confirmed); extra < 0 || extra > rounds {
		t.Errorf("%d issues were never confirmed, one for each kill is possible", extra)
	}
}

// TestPlayGoesOnAfterKill kills the demo while it plays: in the end every event was accepted, and what the script changes
// happened once.
func TestPlayGoesOnAfterKill(t *testing.T) {
	calm := start(t)
	r := receive(t, secret)
	calm.SetWebhook(r.URL, secret)
	if err := calm.Play(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := calm.Expected()
	guids := func(list []received) map[string]int {
		out := map[string]int{}
		for _, g := range list {
			out[g.event+" "+g.action]++
		}
		return out
	}
	undisturbed := guids(r.list())

	dir := t.TempDir()
	disturbed := receive(t, secret)
	for kill := range 3 {
		p := spawn(t, "DEMO_CHILD="+dir, "DEMO_PLAY=1", "DEMO_HOOK="+disturbed.URL)
		wait(t, "some events", func() bool { return len(disturbed.list()) > 15*(kill+1) })
		p.kill()
	}
	d := start(t, func(o *demo.Options) { o.Dir, o.WebhookURL, o.WebhookSecret = dir, disturbed.URL, secret })
	if err := d.Play(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := d.Expected(); fmt.Sprint(got.Open, got.Alerts) != fmt.Sprint(want.Open, want.Alerts) {
		t.Errorf("%v %d, undisturbed %v %d", got.Open, got.Alerts, want.Open, want.Alerts)
	}
	seen := map[string]bool{}
	once := slices.DeleteFunc(disturbed.list(), func(g received) bool {
		again := seen[g.guid]
		seen[g.guid] = true
		return again
	})
	if got := guids(once); fmt.Sprint(got) != fmt.Sprint(undisturbed) {
		t.Errorf("delivered %v, undisturbed %v", got, undisturbed)
	}
}

// signIn is an installation's client for a stand-in that another process runs, with the key that its directory holds.
func signIn(t *testing.T, base, dir string, app int64) *http.Client {
	t.Helper()
	key, err := os.ReadFile(dir + "/app.pem")
	if err != nil {
		t.Fatal(err)
	}
	_, tr, err := signer(http.DefaultTransport, base, app, key)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Transport: tr}
}

func createIssue(c *http.Client, url, title string) (int, error) {
	r, err := c.Post(url, "application/json", strings.NewReader(`{"title":`+strconv.Quote(title)+`}`))
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	var made struct{ Number int }
	if err := json.NewDecoder(r.Body).Decode(&made); err != nil {
		return 0, err
	}
	if r.StatusCode != http.StatusCreated {
		return 0, fmt.Errorf("%s", r.Status)
	}
	return made.Number, nil
}
