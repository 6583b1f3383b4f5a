// Command functions is the handler behind the Azure Functions host: it opens the parts, wires one line per function and
// listens where the host tells it to.
//
// The tour of the house, ground floor first. shared/graph holds the nouns, the questions and the store's contract;
// shared/graph/graphtest is the suite that every store passes. shared/decision is the public rule, pure. shared/event is
// the contract between the stages. On these stand the adapters, which know one outside system each: shared/bus sends over
// Service Bus, shared/cosmos stores in Cosmos DB, shared/customhandler speaks the Functions protocol, shared/github reads
// and writes GitHub, shared/defender reads Azure and Microsoft Defender for Cloud, shared/provenance tells which
// repository built an image, shared/feeds what KEV, EPSS and Vulnrichment say of a vulnerability, and shared/telemetry traces and measures. On top are the functions, one folder each, which never import each other: functions/ingest
// takes webhooks and CloudEvents in; functions/correlate ties what was observed into the graph; functions/prioritize
// decides what lags; functions/assign opens and follows the one issue of each fix; functions/resync starts what is due;
// functions/collect reads one page of one source; functions/api and functions/dashboard answer people.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"throughline/shared/customhandler"
)

// The kinds of trigger that a function can have.
const (
	httpTrigger  = "httpTrigger"
	queueTrigger = "serviceBusTrigger"
	timerTrigger = "timerTrigger"
)

// table is the map of the house: each function, how it is triggered, and what serves it.
var table = []struct {
	name  string
	kind  string
	serve func(*house) (http.Handler, error)
}{
	{"ingest", httpTrigger, (*house).ingest},
	{"correlate", queueTrigger, (*house).correlate},
	{"prioritize", queueTrigger, (*house).prioritize},
	{"assign", queueTrigger, (*house).assign},
	{"resync", timerTrigger, (*house).resync},
	{"collect", queueTrigger, (*house).collect},
	{"api", httpTrigger, (*house).api},
	{"dashboard", httpTrigger, (*house).dashboard},
}

// commands ask a running app or its store instead of being one.
var commands = map[string]func([]string, io.Writer) error{"plan": plan, "replay": replay, "verify-log": verifyLog,
	"export": func(args []string, out io.Writer) error { return export(os.Getenv, args, out) },
	"import": func(args []string, out io.Writer) error { return imports(os.Getenv, args, out) }}

func first(args []string) string {
	if len(args) < 2 {
		return ""
	}
	return args[1]
}

func main() {
	if ask := commands[first(os.Args)]; ask != nil {
		if err := ask(os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	log := slog.New(customhandler.LogContext(slog.NewJSONHandler(os.Stdout, nil)))
	if err := run(log); err != nil {
		fmt.Fprintln(os.Stderr, "throughline: "+strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1) // never 0: the host would not start the handler again
	}
}

// run serves until it is told to stop.
func run(log *slog.Logger) error {
	cfg, err := readConfig(os.Getenv)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", "127.0.0.1:"+cfg.Port)
	if err != nil {
		return fmt.Errorf("FUNCTIONS_CUSTOMHANDLER_PORT: %w", err)
	}
	h, err := open(cfg, log)
	if err != nil {
		return err
	}
	mux, err := h.mux()
	if err != nil {
		return err
	}
	server := &http.Server{Handler: customhandler.Probe(customhandler.Recover(mux, log)), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		h.end(server)
	}()
	log.Info("handler listens", "port", cfg.Port, "mode", cfg.Mode)
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	<-ended // Serve returns at once, but what is in flight is still being answered
	return nil
}

// end lets what is in flight end, and writes what was measured last.
func (h *house) end(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		h.log.Error("the handler did not stop in time", "reason", err)
	}
	if err := h.telemetry.Close(ctx); err != nil {
		h.log.Warn("the last measurements were not sent", "reason", err)
	}
}

// mux gives every function its path: queue and timer functions are called at /<name>, HTTP functions at their routes.
func (h *house) mux() (*http.ServeMux, error) {
	mux := http.NewServeMux()
	for _, f := range table {
		handler, err := f.serve(h)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		switch {
		case f.kind != httpTrigger:
			mux.Handle("POST /"+f.name, handler)
		case f.name == "dashboard":
			mux.Handle("/", handler)
		default:
			mux.Handle("/"+f.name+"/", handler)
		}
	}
	return mux, nil
}
