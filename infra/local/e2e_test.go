package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The end-to-end tests run the command as a user does. They take minutes, so they run only when they are asked for.
func endToEnd(t *testing.T) {
	t.Helper()
	if os.Getenv("THROUGHLINE_E2E") == "" {
		t.Skip("end to end: set THROUGHLINE_E2E=1 (make test does)")
	}
}

// command is one start of the whole.
type command struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   output
	ports map[string]int
	done  chan error
}

// output collects what the command prints, while it prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

var binary string

func TestMain(m *testing.M) {
	code := func() int {
		if os.Getenv("THROUGHLINE_E2E") == "" {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "throughline-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "local")
		build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
		return m.Run()
	}()
	os.Exit(code)
}

var portFlags = []string{"servicebus", "servicebus-admin", "cosmos", "functions", "github", "azure"}

// freePorts picks ports that nobody listens on.
func freePorts(t *testing.T) map[string]int {
	t.Helper()
	ports := map[string]int{}
	for _, f := range portFlags {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[f] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

func start(t *testing.T, ports map[string]int, args ...string) *command {
	t.Helper()
	c := &command{t: t, ports: ports, done: make(chan error, 1)}
	for _, f := range portFlags {
		args = append(args, "-port-"+f, strconv.Itoa(ports[f]))
	}
	c.cmd = exec.Command(binary, args...)
	c.cmd.Dir = "../.."
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.done <- c.cmd.Wait() }()
	t.Cleanup(c.kill)
	return c
}

// kill ends the command and its handler without a word, as a power cut does.
func (c *command) kill() {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // it may be gone already
}

// wait gives the exit code.
func (c *command) wait(limit time.Duration) int {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(limit):
		c.kill()
		c.t.Fatalf("still running after %s:\n%s", limit, c.out.String())
	}
	return c.cmd.ProcessState.ExitCode()
}

func (c *command) url(part, path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", c.ports[part], path)
}

// result is the last line of a run.
func (c *command) result() summary {
	c.t.Helper()
	lines := strings.Split(strings.TrimSpace(c.out.String()), "\n")
	var s summary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
		c.t.Fatalf("the last line is no summary: %v\n%s", err, c.out.String())
	}
	return s
}

func undisturbed(t *testing.T, args ...string) summary {
	t.Helper()
	c := start(t, freePorts(t), append([]string{"-once", "-json", "-data", ""}, args...)...)
	if code := c.wait(6 * time.Minute); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, c.out.String())
	}
	s := c.result()
	s.Seconds = 0
	return s
}

func TestE2EOnceGivesTheSameTwice(t *testing.T) {
	endToEnd(t)
	first, second := undisturbed(t), undisturbed(t)
	if first != second {
		t.Errorf("two runs with one seed:\n%+v\n%+v", first, second)
	}
	if first.Alerts == 0 || first.MappedArtifacts == 0 || first.Issues.Open == 0 || first.Tiers.P0 == 0 || first.Tiers.P4 == 0 {
		t.Errorf("a run that shows nothing: %+v", first)
	}
	if first.Parked+int(first.DeadLettered)+int(first.Pending) != 0 {
		t.Errorf("a run that left something behind: %+v", first)
	}
}

// ready waits until the pages answer.
func (c *command) ready(limit time.Duration) {
	c.t.Helper()
	c.eventually(limit, func() error {
		_, err := c.get("functions", "/api/summary")
		return err
	})
}

func (c *command) eventually(limit time.Duration, try func() error) {
	c.t.Helper()
	var last error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if last = try(); last == nil {
			return
		}
	}
	c.t.Fatalf("not within %s: %v\n%s", limit, last, c.out.String())
}

func (c *command) get(part, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url(part, path), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}

// deliver posts a webhook with a right signature.
func (c *command) deliver(eventName, guid string, body []byte) int {
	c.t.Helper()
	req, err := http.NewRequest(http.MethodPost, c.url("functions", "/ingest/github"), bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", eventName)
	req.Header.Set("X-GitHub-Delivery", guid)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// settled waits until the demo was played and its table printed.
func (c *command) settled(limit time.Duration) {
	c.t.Helper()
	c.eventually(limit, func() error {
		if !strings.Contains(c.out.String(), "started again it goes on") {
			return fmt.Errorf("the demo is still playing")
		}
		return nil
	})
}

const newAlert = `{"action":"created","alert":{"number":9001,"state":"open","dependency":{"package":{"ecosystem":"npm","name":"left-pad"},"manifest_path":"package.json","scope":"runtime"},
"security_advisory":{"ghsa_id":"GHSA-aaaa-bbbb-cccc","cve_id":"CVE-2026-99999","summary":"Padding goes wrong","severity":"critical","identifiers":[{"type":"CVE","value":"CVE-2026-99999"}],"cvss":{"vector_string":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H","score":9.8}},
"security_vulnerability":{"package":{"ecosystem":"npm","name":"left-pad"},"severity":"critical","vulnerable_version_range":"< 2","first_patched_version":{"identifier":"2.0.0"}},
"url":"https://api.github.com/repos/%[1]s/dependabot/alerts/9001","html_url":"https://github.com/%[1]s/security/dependabot/9001","created_at":"2026-11-20T10:00:00Z","updated_at":"2026-11-20T10:00:00Z"},
"repository":{"id":%[2]s,"name":"%[3]s","full_name":"%[1]s","private":true,"owner":{"login":"%[4]s","id":%[5]s,"type":"Organization"},"visibility":"private","default_branch":"main","html_url":"https://github.com/%[1]s","updated_at":"2020-01-01T00:00:00Z"}}`

func TestE2EWebhookStopAndGoOn(t *testing.T) {
	endToEnd(t)
	data := t.TempDir()
	ports := freePorts(t)
	c := start(t, ports, "-data", data)
	c.settled(4 * time.Minute)
	name, id, org := c.someRepository()
	owner, short, _ := strings.Cut(name, "/")
	body := fmt.Sprintf(newAlert, name, id, short, owner, org)
	if status := c.deliver("dependabot_alert", "11111111-2222-3333-4444-555555555555", []byte(body)); status != http.StatusAccepted {
		t.Fatalf("the webhook got %d", status)
	}
	finding := "/api/findings/github-" + id + "-dependabot-9001"
	c.eventually(2*time.Second, func() error { return c.listed("Padding goes wrong") })
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := c.wait(20 * time.Second); code != 0 {
		t.Errorf("Ctrl-C: exit code %d:\n%s", code, c.out.String())
	}
	again := start(t, ports, "-data", data)
	again.ready(2 * time.Minute)
	if _, err := again.get("functions", finding); err != nil {
		t.Errorf("after a stop and a start: %v", err)
	}
}

// listed looks for a title in the list.
func (c *command) listed(title string) error {
	body, err := c.get("functions", "/api/findings?limit=200&q="+strings.ReplaceAll(title, " ", "+"))
	if err == nil && !bytes.Contains(body, []byte(title)) {
		err = fmt.Errorf("%q is not listed", title)
	}
	return err
}

// someRepository picks a repository that the graph knows.
func (c *command) someRepository() (name, id, org string) {
	c.t.Helper()
	body, err := c.get("functions", "/api/repositories")
	if err != nil {
		c.t.Fatal(err)
	}
	var page struct {
		Items []struct{ Repository, FullName, Org string }
	}
	if err := json.Unmarshal(body, &page); err != nil || len(page.Items) == 0 {
		c.t.Fatalf("no repositories: %v %s", err, body)
	}
	r := page.Items[0]
	return r.FullName, strings.TrimPrefix(r.Repository, "github-"), strings.TrimPrefix(r.Org, "github-org-")
}
