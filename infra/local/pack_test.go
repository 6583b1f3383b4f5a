package main

import (
	"archive/zip"
	"bytes"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"throughline/infra/local/cosmosdb"
	"throughline/infra/local/demo"
	"throughline/infra/local/servicebus"
)

// largest is what a package of one architecture may weigh.
const largest = 25 << 20

// packed makes a package and gives its bytes.
func packed(t *testing.T, root, arch string) []byte {
	t.Helper()
	dist := filepath.Join(t.TempDir(), "dist")
	if err := pack(t.Context(), root, dist, arch); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(dist + ".zip")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestE2EPackage looks into what ships. With THROUGHLINE_LONG it also builds for arm64, and builds both again from another
// folder with an empty cache.
func TestE2EPackage(t *testing.T) {
	endToEnd(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	archs := map[string]elf.Machine{"amd64": elf.EM_X86_64}
	long := os.Getenv("THROUGHLINE_LONG") != ""
	if long {
		archs["arm64"] = elf.EM_AARCH64
	}
	for arch, machine := range archs {
		raw := packed(t, root, arch)
		checkPackage(t, raw, machine)
		t.Logf("%s: %.1f MB", arch, float64(len(raw))/(1<<20))
		if !bytes.Equal(raw, packed(t, root, arch)) {
			t.Errorf("%s: two builds differ", arch)
		}
		if long {
			t.Setenv("GOCACHE", t.TempDir())
			if !bytes.Equal(raw, packed(t, copied(t, root), arch)) {
				t.Errorf("%s: a build elsewhere with an empty cache differs", arch)
			}
		}
	}
}

// copied copies the sources into another folder.
func copied(t *testing.T, root string) string {
	t.Helper()
	to := t.TempDir()
	cmd := exec.Command("sh", "-c", `git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$0"`, to)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return to
}

func checkPackage(t *testing.T, raw []byte, machine elf.Machine) {
	t.Helper()
	if len(raw) > largest {
		t.Errorf("the package has %d bytes, more than %d", len(raw), largest)
	}
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := filepath.Glob("../../functions/*/function.json")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"handler", "host.json", "policy.yaml"}
	for _, f := range drawn {
		want = append(want, filepath.Base(filepath.Dir(f))+"/function.json")
	}
	var got []string
	for _, f := range z.File {
		got = append(got, f.Name)
		bits := os.FileMode(0o644)
		if f.Name == "handler" {
			bits = 0o755
			checkHandler(t, f, machine)
		}
		if f.Mode() != bits {
			t.Errorf("%s has the bits %v, want %v", f.Name, f.Mode(), bits)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the package holds %q, want %q", got, want)
	}
}

// checkHandler wants a static program without cgo.
func checkHandler(t *testing.T, f *zip.File, machine elf.Machine) {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	program, err := elf.NewFile(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if program.Machine != machine {
		t.Errorf("the handler is for %v, want %v", program.Machine, machine)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the handler is not static: it has %v", p.Type)
		}
	}
	info, err := buildinfo.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range info.Settings {
		if s.Key == "CGO_ENABLED" && s.Value != "0" || strings.HasPrefix(s.Key, "vcs") {
			t.Errorf("the handler was built with %s=%s", s.Key, s.Value)
		}
	}
}

// soon is how long a cold start may take until the first webhook is answered.
const soon = 300 * time.Millisecond

// TestE2EColdStart starts the handler five times and posts a webhook as soon as it takes one. The median counts, because
// other tests share the machine.
func TestE2EColdStart(t *testing.T) {
	endToEnd(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dist := filepath.Join(t.TempDir(), "dist")
	if err := layOut(t.Context(), root, dist); err != nil {
		t.Fatal(err)
	}
	env := standIns(t)
	var took []time.Duration
	for range 5 {
		took = append(took, coldStart(t, dist, env))
	}
	slices.Sort(took)
	t.Logf("from start to the first answered webhook: %v", took)
	if took[2] > soon {
		t.Errorf("the median is %s, more than %s", took[2], soon)
	}
}

// standIns starts what the handler stands on, and gives its settings.
func standIns(t *testing.T) []string {
	t.Helper()
	ctx := context.Background()
	queues, err := os.ReadFile("../queues.json")
	if err != nil {
		t.Fatal(err)
	}
	bus, err := servicebus.Start(ctx, servicebus.Options{Addr: "127.0.0.1:0", Queues: queues})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	documents, err := cosmosdb.Start(ctx, cosmosdb.Options{Addr: "127.0.0.1:0", Log: logger(nil)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { documents.Close() })
	d, err := demo.Start(ctx, demo.Options{GitHubAddr: "127.0.0.1:0", AzureAddr: "127.0.0.1:0", Seed: 1, Estate: "small", WebhookSecret: webhookSecret, Log: logger(nil)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return append(append(os.Environ(), d.Env()...), "ServiceBusConnection="+bus.ConnectionString(), "CosmosConnection="+documents.ConnectionString(),
		"MARKER_KEY=0123456789abcdef0123456789abcdef", "THROUGHLINE_LOCAL=true", "MODE=observe")
}

func coldStart(t *testing.T, dist string, env []string) time.Duration {
	t.Helper()
	ports := freePorts(t)
	port := strconv.Itoa(ports["functions"])
	cmd := exec.Command(filepath.Join(dist, "handler"))
	cmd.Dir = dist
	cmd.Env = append(slices.Clone(env), "FUNCTIONS_CUSTOMHANDLER_PORT="+port)
	body := fmt.Sprintf(newAlert, "o/a", "4711", "a", "o", "1")
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}()
	for time.Since(begun) < 10*time.Second {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			time.Sleep(2 * time.Millisecond)
			continue
		}
		conn.Close()
		if status := (&command{t: t, ports: ports}).deliver("dependabot_alert", uuid.NewString(), []byte(body)); status != http.StatusAccepted {
			t.Fatalf("the webhook got %d", status)
		}
		return time.Since(begun)
	}
	t.Fatal("the handler does not listen")
	return 0
}
