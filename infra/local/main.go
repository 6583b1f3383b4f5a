// Command local runs the whole of Throughline on one machine: Service Bus, Cosmos DB, the Functions host with the very
// package that ships, and a demo organisation in place of GitHub and Azure.
//
// Everything speaks the real wire protocols on the ports of Microsoft's own emulators and tools, on loopback only. What
// is confirmed survives a kill; started again it goes on from the data folder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	err := run(os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "throughline:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o, err := parse(args, os.Stderr)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	if o.pack != "" {
		return pack(ctx, root, o.pack, o.arch)
	}
	s, err := newStage(o, root)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.start(ctx); err != nil {
		return err
	}
	if o.once {
		return s.once(ctx)
	}
	return s.keep(ctx)
}

// logger writes what the parts report to a file beside the data, or nowhere, so that the terminal shows results.
func logger(f *os.File) *slog.Logger {
	if f == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewJSONHandler(f, nil))
}
