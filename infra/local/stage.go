package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"throughline/infra/local/cosmosdb"
	"throughline/infra/local/demo"
	"throughline/infra/local/functionapp"
	"throughline/infra/local/servicebus"
)

// The secrets of the local demo. They protect nothing: everything listens on loopback, and README shows how to sign a
// webhook with the first.
const (
	webhookSecret = "throughline-demo-webhook-secret"
	eventsKey     = "throughline-demo-events-key"
)

// stage is everything that runs.
type stage struct {
	options
	root    string
	dist    string
	logFile *os.File
	log     *slog.Logger
	begun   time.Time

	bus    *servicebus.Server
	cosmos *cosmosdb.Server
	demo   *demo.Demo
	host   *functionapp.Host
	temp   string

	readings *[2]reading // nil for a small estate
}

func newStage(o options, root string) (*stage, error) {
	s := &stage{options: o, root: root, begun: time.Now()}
	if o.data == "" {
		temp, err := os.MkdirTemp("", "throughline-")
		if err != nil {
			return nil, fmt.Errorf("make a temporary folder: %w", err)
		}
		s.temp, s.dist = temp, filepath.Join(temp, "dist")
		s.log = logger(nil)
		return s, s.logTo(os.Getenv("THROUGHLINE_LOG"))
	}
	if !filepath.IsAbs(o.data) {
		s.data = filepath.Join(root, o.data)
	}
	if err := writable(s.data); err != nil {
		return nil, fmt.Errorf("-data %s: %w; choose a folder that you may write to, or -data \"\" for memory", o.data, err)
	}
	s.dist = filepath.Join(root, "dist")
	return s, s.logTo(filepath.Join(s.data, "log.jsonl"))
}

func (s *stage) logTo(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	s.logFile, s.log = f, logger(f)
	return nil
}

// writable makes the folder and tries to write in it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	if err := probe.Close(); err != nil {
		return err
	}
	return os.Remove(probe.Name())
}

// dir is the folder of one part; empty keeps it in memory.
func (s *stage) dir(part string) string {
	if s.data == "" {
		return ""
	}
	return filepath.Join(s.data, part)
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// start starts the chosen parts, in the order in which they need each other.
func (s *stage) start(ctx context.Context) error {
	for _, part := range parts {
		if !s.starts(part) {
			continue
		}
		if err := s.startPart(ctx, part); err != nil {
			return s.withFlag(part, err)
		}
	}
	return nil
}

// withFlag names the flag that mends a port in use.
func (s *stage) withFlag(part string, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) && !strings.Contains(err.Error(), "in use") || strings.Contains(err.Error(), "-port-") {
		return err
	}
	flags := map[string]string{"servicebus": "-port-servicebus or -port-servicebus-admin", "cosmosdb": "-port-cosmos", "demo": "-port-github or -port-azure", "functionapp": "-port-functions"}
	return fmt.Errorf("%w (%s)", err, flags[part])
}

func (s *stage) startPart(ctx context.Context, part string) (err error) {
	log := s.log.With("part", part)
	switch part {
	case "servicebus":
		queues, err := os.ReadFile(filepath.Join(s.root, "infra", "queues.json"))
		if err != nil {
			return err
		}
		s.bus, err = servicebus.Start(ctx, servicebus.Options{Addr: address(s.servicebus), AdminAddr: address(s.admin), Dir: s.dir(part), Queues: queues, Log: log})
		return err
	case "cosmosdb":
		s.cosmos, err = cosmosdb.Start(ctx, cosmosdb.Options{Addr: address(s.options.cosmos), Dir: s.dir(part), Log: log})
		return err
	case "demo":
		if !s.options.demo {
			return nil
		}
		s.demo, err = demo.Start(ctx, demo.Options{GitHubAddr: address(s.github), AzureAddr: address(s.azure), Seed: s.seed, Estate: s.estate, Dir: s.dir(part),
			WebhookURL: "http://" + address(s.functions) + "/ingest/github", WebhookSecret: webhookSecret, Log: log})
		return err
	case "functionapp":
		return s.startHost(ctx, log)
	}
	return fmt.Errorf("no part %q", part)
}

func (s *stage) startHost(ctx context.Context, log *slog.Logger) error {
	if err := layOut(ctx, s.root, s.dist); err != nil {
		return err
	}
	env, err := s.settings()
	if err != nil {
		return err
	}
	s.host, err = functionapp.Start(ctx, functionapp.Options{Root: s.dist, Addr: address(s.functions), Env: env, Dir: s.dir("functionapp"), Restart: true, Graceful: true, Log: log})
	return err
}

// settings are the app settings of the handler. What the user has set in the environment wins, except where it is the
// stand-ins that are to be used.
func (s *stage) settings() ([]string, error) {
	env := []string{"THROUGHLINE_LOCAL=true", "RESYNC_SCHEDULE=0 */5 * * * *"}
	if s.large() && os.Getenv("TRACE_SHARE") == "" { // a whole estate in spans would drown the log
		env = append(env, "TRACE_SHARE=0.05")
	}
	if s.bus != nil {
		env = append(env, "ServiceBusConnection="+s.bus.ConnectionString())
	}
	if s.cosmos != nil {
		env = append(env, "CosmosConnection="+s.cosmos.ConnectionString())
	}
	marker, err := s.markerKey()
	if err != nil {
		return nil, err
	}
	if os.Getenv("MARKER_KEY") == "" {
		env = append(env, "MARKER_KEY="+marker)
	}
	if s.demo != nil {
		if os.Getenv("FEEDS_DIR") == "" { // the demo asks nothing of the Internet
			env = append(env, "FEEDS_DIR="+filepath.Join(s.root, "shared", "feeds", "testdata", "sample"))
		}
		mode := "auto"
		if s.large() { // at 500 an hour its issues would take days
			mode = "observe"
		}
		return append(append(env, s.demo.Env()...), "MODE="+mode, "GITHUB_HOST_KEY=github", "EVENTS_SHARED_KEY="+eventsKey), nil
	}
	return append(env, "MODE=observe"), nil
}

// markerKey is made once and kept, so that the issues of an earlier run are recognised.
func (s *stage) markerKey() (string, error) {
	fresh := make([]byte, 32)
	if _, err := io.ReadFull(rand.Reader, fresh); err != nil {
		return "", err
	}
	if s.data == "" {
		return hex.EncodeToString(fresh), nil
	}
	path := filepath.Join(s.data, "marker.key")
	kept, err := os.ReadFile(path)
	if err == nil && len(kept) >= 32 {
		return strings.TrimSpace(string(kept)), nil
	}
	if err := os.WriteFile(path+".new", []byte(hex.EncodeToString(fresh)), 0o600); err != nil {
		return "", err
	}
	return hex.EncodeToString(fresh), os.Rename(path+".new", path)
}

// close stops what was started, last first.
func (s *stage) close() {
	var closers []interface{ Close() error }
	if s.bus != nil {
		closers = append(closers, s.bus)
	}
	if s.cosmos != nil {
		closers = append(closers, s.cosmos)
	}
	if s.demo != nil {
		closers = append(closers, s.demo)
	}
	if s.host != nil {
		closers = append(closers, s.host)
	}
	for _, c := range slices.Backward(closers) {
		if err := c.Close(); err != nil {
			s.log.Warn("a part did not stop cleanly", "reason", err)
		}
	}
	if s.logFile != nil {
		s.logFile.Close()
	}
	if s.temp != "" {
		os.RemoveAll(s.temp)
	}
}

// begin asks for a full reading, as the timer does. The handler may just be starting again.
func (s *stage) begin(ctx context.Context) error {
	const tries, pause = 20, 500 * time.Millisecond
	for n := 1; ; n++ {
		err := s.tick(ctx)
		if err == nil || n == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// tick starts the timer's function once.
func (s *stage) tick(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address(s.functions)+"/admin/functions/resync", strings.NewReader(`{"input":""}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("start the first reading: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("start the first reading: the host answered %s", resp.Status)
	}
	return nil
}
