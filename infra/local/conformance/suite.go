package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	busPackage    = "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	cosmosPackage = "github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
	// perTest is how long one test may take.
	perTest = 150 * time.Second
)

// suite is a package of tests.
type suite struct {
	name     string
	pkg      string
	live     []string // must be there and pass
	parallel int      // live tests at a time
	serial   []string // live tests that name their queues after the second and so must not meet
	env      []string
	replace  map[string]string                       // texts to replace in the emulator tests, for other ports
	around   map[string]func() (func() error, error) // what must be set up for a test that runs alone
}

// suites are the suites in lanes.
func suites(s *standins) [][]suite {
	injector, err := os.Executable()
	if err != nil {
		injector = ""
	}
	bus := s.busEnvironment(injector)
	slow := func() (func() error, error) { return s.fault(`{"operation":"receive","action":"delay","delayUs":50}`) }
	return [][]suite{{
		{name: "servicebus", pkg: busPackage, live: busLive(), parallel: 6, env: bus,
			serial: []string{"TestReceiveWithDelay", "TestRenewLocks", "TestRenewLocksEarlyCancel"},
			around: map[string]func() (func() error, error){"TestReceiveWithDifferentWaitTime": slow}},
		{name: "internal", pkg: busPackage + "/internal", live: internalLive(), parallel: 1, env: bus},
	}, {
		{name: "admin", pkg: busPackage + "/admin", live: adminLive(), parallel: 2, env: bus},
		{name: "cosmos", pkg: cosmosPackage, live: cosmosLive(), parallel: 1, env: s.cosmosEnvironment(), replace: otherPorts(s)},
	}}
}

func otherPorts(s *standins) map[string]string {
	if s.cosmos == cosmosPort && s.compute == computePort {
		return nil
	}
	return map[string]string{":" + strconv.Itoa(cosmosPort): ":" + strconv.Itoa(s.cosmos), ":" + strconv.Itoa(computePort): ":" + strconv.Itoa(s.compute)}
}

// result of one test.
type result struct {
	name    string
	verdict string // PASS, FAIL, SKIP
	reason  string
	live    bool
	took    time.Duration
}

type report struct {
	suite   suite
	results []result
}

func (s suite) run(ctx context.Context, dir string, only *regexp.Regexp, verbose bool) (report, error) {
	program := filepath.Join(dir, s.name+".test")
	folder, err := s.compile(ctx, dir, program)
	if err != nil {
		return report{}, err
	}
	all, err := s.list(ctx, program, folder)
	if err != nil {
		return report{}, err
	}
	t := &tester{suite: s, program: program, folder: folder, verbose: verbose}
	k := s.sort(all, only)
	rep := report{suite: s, results: k.missing}
	rep.results = append(rep.results, t.units(ctx, k.units)...)
	following := make(chan []result)
	go func() { following <- t.each(ctx, k.serial, 1) }()
	rep.results = append(rep.results, t.each(ctx, k.live, s.parallel)...)
	rep.results = append(rep.results, <-following...)
	for _, n := range k.alone {
		rep.results = append(rep.results, t.alone(ctx, n))
	}
	return rep, ctx.Err()
}

// kinds are the tests of a suite by how they must be run.
type kinds struct {
	units, live, serial, alone []string
	missing                    []result // live tests that the package does not have
}

func (s suite) sort(all []string, only *regexp.Regexp) kinds {
	var k kinds
	for _, n := range all {
		switch {
		case !only.MatchString(n):
		case s.around[n] != nil:
			k.alone = append(k.alone, n)
		case slices.Contains(s.serial, n):
			k.serial = append(k.serial, n)
		case slices.Contains(s.live, n):
			k.live = append(k.live, n)
		default:
			k.units = append(k.units, n)
		}
	}
	for _, n := range s.live {
		if only.MatchString(n) && !slices.Contains(all, n) {
			k.missing = append(k.missing, result{name: n, verdict: "FAIL", reason: "the package has no such test", live: true})
		}
	}
	return k
}

// compile builds the tests from the module cache, and returns the folder in which they must run.
func (s suite) compile(ctx context.Context, dir, program string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", s.pkg).Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", s.pkg, err)
	}
	folder := strings.TrimSpace(string(out))
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, s.pkg)
	if len(s.replace) > 0 {
		copied := filepath.Join(dir, s.name)
		if err := s.copy(folder, copied); err != nil {
			return "", err
		}
		build, folder = exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "."), copied
		build.Dir = copied
	}
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile: %w\n%s", err, out)
	}
	return folder, nil
}

// copy copies a module, whose own go.mod pins what its tests need, and replaces the ports in the emulator tests.
func (s suite) copy(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), "emulator") && strings.HasSuffix(d.Name(), "_test.go") {
			for port, other := range s.replace {
				b = bytes.ReplaceAll(b, []byte(port), []byte(other))
			}
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
}

func (s suite) list(ctx context.Context, program, folder string) ([]string, error) {
	c := exec.CommandContext(ctx, program, "-test.list", "^Test")
	c.Dir = folder
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests: %w", err)
	}
	var names []string
	for _, line := range strings.Fields(string(out)) {
		if strings.HasPrefix(line, "Test") {
			names = append(names, line)
		}
	}
	return names, nil
}

// tester runs the tests of a compiled suite.
type tester struct {
	suite   suite
	program string
	folder  string
	verbose bool
	print   sync.Mutex
}

var verdictLine = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+) \(`)

// invoke runs the tests that match a pattern in one process.
func (t *tester) invoke(ctx context.Context, names []string, env []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, perTest)
	defer cancel()
	c := exec.CommandContext(ctx, t.program, "-test.count=1", "-test.v", "-test.run", "^("+strings.Join(names, "|")+")$")
	c.Dir = t.folder
	c.Env = append(clean(os.Environ()), env...)
	c.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("took more than %s", perTest)
	}
	if t.verbose {
		t.print.Lock()
		fmt.Print(out.String())
		t.print.Unlock()
	}
	return out.String(), err
}

// clean leaves out what would lead the tests elsewhere.
func clean(env []string) []string {
	return slices.DeleteFunc(env, func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return strings.HasPrefix(name, "AZURE_") || strings.HasPrefix(name, "SERVICEBUS_") || strings.HasPrefix(name, "SYSTEM_") ||
			slices.Contains([]string{"SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "EMULATOR"}, name)
	})
}

// units runs the tests that need no server, in one process and without the environment of live tests.
func (t *tester) units(ctx context.Context, names []string) []result {
	if len(names) == 0 {
		return nil
	}
	out, err := t.invoke(ctx, names, nil)
	verdicts := map[string]string{}
	for _, m := range verdictLine.FindAllStringSubmatch(out, -1) {
		verdicts[m[2]] = m[1]
	}
	var results []result
	for _, n := range names {
		r := result{name: n, verdict: verdicts[n]}
		if r.verdict == "" {
			r.verdict = "FAIL"
		}
		if r.verdict != "PASS" {
			r.reason = reasonOf(out, n, err)
		}
		results = append(results, r)
	}
	return results
}

// each runs live tests, every one in its own process.
func (t *tester) each(ctx context.Context, names []string, parallel int) []result {
	results := make([]result, len(names))
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, n := range names {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			results[i] = t.one(ctx, n)
		}()
	}
	wg.Wait()
	return results
}

func (t *tester) one(ctx context.Context, name string) result {
	start := time.Now()
	out, err := t.invoke(ctx, []string{name}, t.suite.env)
	r := result{name: name, verdict: "FAIL", live: true, took: time.Since(start)}
	for _, m := range verdictLine.FindAllStringSubmatch(out, -1) {
		if m[2] == name {
			r.verdict = m[1]
		}
	}
	if err != nil {
		r.verdict = "FAIL"
	}
	if r.verdict != "PASS" {
		r.reason = reasonOf(out, name, err)
	}
	return r
}

// alone runs a test that needs something set up around it.
func (t *tester) alone(ctx context.Context, name string) result {
	off, err := t.suite.around[name]()
	if err != nil {
		return result{name: name, verdict: "FAIL", reason: err.Error(), live: true}
	}
	r := t.one(ctx, name)
	if err := errors.Join(off()); err != nil {
		r.verdict, r.reason = "FAIL", err.Error()
	}
	return r
}
