// Command conformance runs the live tests that azservicebus and azcosmos ship with themselves against freshly
// started stand-ins, and prints what passed, failed and was skipped.
//
// It is a module of its own so that the test dependencies of the SDKs stay out of the product's go.mod. The tests
// are compiled from the module cache and run unchanged, each in a process of its own, because many of them stop
// the process when they fail. Nothing but the loopback interface is used.
//
// With transfer_delay as its first argument it is the proxy that one of these tests asks for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"sync"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "transfer_delay" {
		exit(injector(os.Args[2:]))
	}
	only := flag.String("run", "", "run only the tests whose names match")
	suiteName := flag.String("suite", "", "run only this suite: servicebus, internal, admin or cosmos")
	verbose := flag.Bool("v", false, "print the output of every test")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	exit(run(ctx, *suiteName, *only, *verbose))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, suiteName, only string, verbose bool) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	start := time.Now()
	s, err := startStandins(ctx, dir)
	if err != nil {
		return err
	}
	defer s.stop()
	reports, err := runLanes(suites(s), suiteName, func(x suite) (report, error) { return x.run(ctx, dir, pattern, verbose) })
	if err != nil {
		return err
	}
	failed := printTable(os.Stdout, reports)
	fmt.Printf("\n%s\n", time.Since(start).Round(time.Second))
	if failed > 0 {
		return fmt.Errorf("%d tests failed", failed)
	}
	return ctx.Err()
}

// runLanes runs the suites of one lane after another, and the lanes beside each other: tests of one lane share queues.
func runLanes(lanes [][]suite, only string, run func(suite) (report, error)) ([]report, error) {
	reports := make([][]report, len(lanes))
	failures := make([]error, len(lanes))
	var wg sync.WaitGroup
	for i, lane := range lanes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for _, x := range lane {
				if only != "" && x.name != only {
					continue
				}
				r, err := run(x)
				if err != nil {
					failures[i] = fmt.Errorf("suite %s: %w", x.name, err)
					return
				}
				reports[i] = append(reports[i], r)
			}
		}()
	}
	wg.Wait()
	return slices.Concat(reports...), errors.Join(failures...)
}
