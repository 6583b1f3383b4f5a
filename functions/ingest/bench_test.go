package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"throughline/shared/event"
	"throughline/shared/github/webhook"
)

// five are the events of the public comparison, in equal weight.
var five = []string{"code_scanning_alert/created.json", "dependabot_alert/created.json", "secret_scanning_alert/reopened.json", "workflow_run/completed.json", "push/default.json"}

type sample struct {
	event string
	body  []byte
}

func samples(b *testing.B) []sample {
	var all []sample
	for _, name := range five {
		body, err := os.ReadFile(filepath.Join(fixtures(b, "github"), name))
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, sample{filepath.Dir(name), body})
	}
	return all
}

// floor does what every receiver must, and as cheaply: read the body into a buffer that is there, and verify it.
func floor(s *Stage) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, release, err := s.bodies.read(w, r)
		if err != nil || s.Verifier.Verify(r.Header, body) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		defer release()
		w.WriteHeader(http.StatusAccepted)
	})
}

// nowhere is a writer that keeps nothing.
type nowhere struct {
	header http.Header
	status int
}

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(status int)      { n.status = status }

// BenchmarkHandler compares the handlers alone, without the network.
func BenchmarkHandler(b *testing.B) {
	s, _ := newStage()
	s.Publish = func(context.Context, []event.Event) error { return nil }
	all := samples(b)
	for name, h := range map[string]http.Handler{"floor": floor(s), "ingest": s} {
		b.Run(name, func(b *testing.B) {
			var requests []*http.Request
			for _, x := range all {
				requests = append(requests, post(x.event, x.body, nil))
			}
			b.ReportAllocs()
			before := spent()
			for i := 0; b.Loop(); i++ {
				r := requests[i%len(requests)]
				r.Body = io.NopCloser(bytes.NewReader(all[i%len(all)].body))
				w := &nowhere{header: http.Header{}}
				if h.ServeHTTP(w, r); w.status != http.StatusAccepted {
					b.Fatal(w.status)
				}
			}
			b.ReportMetric(float64((spent()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// bigPush is a push of 1 MB: many commits that touch many files.
func bigPush() []byte {
	var b bytes.Buffer
	b.WriteString(`{"ref":"refs/heads/main","repository":{"id":4711,"full_name":"acme/shop","default_branch":"main"},"installation":{"id":5},"commits":[`)
	for i := 0; b.Len() < 1<<20; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"%040x","tree_id":"%040x","distinct":true,"message":"Change number %d\n\nBecause it was wrong before, and the reader should know why.","timestamp":"2026-11-24T10:00:00+01:00",`+
			`"url":"https://github.com/acme/shop/commit/%040x","author":{"name":"Ada","email":"ada@example.com","username":"ada"},"committer":{"name":"GitHub","email":"noreply@github.com","username":"web-flow"},"added":[`, i, i, i, i)
		for j := range 10 {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `"services/checkout/internal/handlers/%d/handler_%d.go"`, i, j)
		}
		b.WriteString(`],"removed":[],"modified":["go.mod"]}`)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// BenchmarkBigPush measures the large delivery of goal G2 against the floor, handlers alone.
func BenchmarkBigPush(b *testing.B) {
	s, _ := newStage()
	s.Publish = func(context.Context, []event.Event) error { return nil }
	body := bigPush()
	r := post("push", body, nil)
	for name, h := range map[string]http.Handler{"floor": floor(s), "ingest": s} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			before := spent()
			for b.Loop() {
				r.Body = io.NopCloser(bytes.NewReader(body))
				w := &nowhere{header: http.Header{}}
				if h.ServeHTTP(w, r); w.status != http.StatusAccepted {
					b.Fatal(w.status)
				}
			}
			b.ReportMetric(float64((spent()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkDecode shows where the time goes.
func BenchmarkDecode(b *testing.B) {
	s, _ := newStage()
	for _, x := range samples(b) {
		d, err := webhook.Headers(post(x.event, x.body, nil).Header)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(x.event, func(b *testing.B) {
			b.SetBytes(int64(len(x.body)))
			b.ReportAllocs()
			before := spent()
			for b.Loop() {
				if _, err := s.Decoder.Decode(d, x.body, now); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((spent()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// benchServer makes the test binary a server: "floor" or "ingest". It tells its CPU time at /cpu.
const benchServer = "THROUGHLINE_BENCH_SERVER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(benchServer); kind != "" {
		if err := serveBench(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// spent is the CPU time of this process: on a busy machine the clock on the wall tells little.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func serveBench(kind string) error {
	s, _ := newStage()
	s.Publish = func(context.Context, []event.Event) error { return nil }
	mux := http.NewServeMux()
	mux.Handle("/ingest/", s)
	if kind == "floor" {
		mux = http.NewServeMux()
		mux.Handle("/ingest/", floor(s))
	}
	mux.HandleFunc("/cpu", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, spent().Nanoseconds())
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // the parent is gone
		os.Exit(0)
	}()
	return http.Serve(l, mux)
}

// receiver is a server in a process of its own, so that its CPU time is its own.
type receiver struct {
	address string
	client  *http.Client
}

func startReceiver(b *testing.B, kind string) *receiver {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), benchServer+"="+kind)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	r := &receiver{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, MaxConnsPerHost: 16}}}
	if _, err := fmt.Fscan(stdout, &r.address); err != nil {
		b.Fatal(err)
	}
	return r
}

func (r *receiver) cpu(b *testing.B) time.Duration {
	answer, err := r.client.Get("http://" + r.address + "/cpu")
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	var spent time.Duration
	if _, err := fmt.Fscan(answer.Body, &spent); err != nil {
		b.Fatal(err)
	}
	return spent
}

// send posts n deliveries over 16 connections and gives the CPU time of the server for each.
func (r *receiver) send(b *testing.B, all []sample, n int) time.Duration {
	before := r.cpu(b)
	var group sync.WaitGroup
	for worker := range 16 {
		group.Go(func() {
			for i := worker; i < n; i += 16 {
				x := all[i%len(all)]
				q := post(x.event, x.body, nil)
				q.RequestURI, q.URL.Scheme, q.URL.Host = "", "http", r.address
				q.Body = io.NopCloser(bytes.NewReader(x.body))
				answer, err := r.client.Do(q)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if answer.StatusCode != http.StatusAccepted {
					b.Errorf("answer %d", answer.StatusCode)
					return
				}
			}
		})
	}
	group.Wait()
	return (r.cpu(b) - before) / time.Duration(n)
}

// BenchmarkDelivery measures goal G1: CPU for each delivery, verified and decoded, against the floor, in interleaved
// rounds. It reports the medians.
func BenchmarkDelivery(b *testing.B) {
	all := samples(b)
	bottom, full := startReceiver(b, "floor"), startReceiver(b, "ingest")
	const round = 4000
	bottom.send(b, all, round)
	full.send(b, all, round)
	var low, high []float64
	for b.Loop() {
		low = append(low, float64(bottom.send(b, all, round).Nanoseconds()))
		high = append(high, float64(full.send(b, all, round).Nanoseconds()))
	}
	slices.Sort(low)
	slices.Sort(high)
	l, h := low[len(low)/2], high[len(high)/2]
	b.ReportMetric(l, "floor-ns/delivery")
	b.ReportMetric(h, "ingest-ns/delivery")
	b.ReportMetric(h/l, "x-floor")
}
