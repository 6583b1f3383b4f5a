// Command bench measures the local Service Bus and Cosmos DB through the real SDK clients, beside their peers.
//
// The queue is measured beside RabbitMQ with its AMQP 1.0 plug-in, where that is installed; the store beside a server
// that does nothing but answer with fixed bytes. Every server is a process of its own. All take turns, so that what else
// the machine does meets all of them; what is printed is the median of the ratios of the rounds, with the lowest and the
// highest. Absolute figures follow the machine and stand there for orientation only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	serving := flag.String("serve", "", "serve one of servicebus, cosmosdb, nothing (what the measurement starts)")
	data := flag.String("data", "", "folder of the served store; empty = memory")
	rounds := flag.Int("rounds", 5, "how often each server has its turn")
	only := flag.String("only", "", "measure only queue or store")
	messages := flag.Int("messages", 10_000, "messages of a portion with 32 in flight; a tenth of it with one")
	large := flag.Int("large", 100_000, "documents of the large store; 0 leaves it out")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *serving, *data, *only, *rounds, *messages, *large)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, serving, data, only string, rounds, messages, large int) error {
	if serving != "" {
		return serve(ctx, serving, data)
	}
	if rounds < 1 || messages < 1 || only != "" && only != "queue" && only != "store" {
		return errors.New("-rounds and -messages are at least 1, -only is queue or store")
	}
	fmt.Printf("%s on %d cores, %d rounds in turns; ratios: median (lowest to highest)\n", runtime.Version(), runtime.NumCPU(), rounds)
	if only != "store" {
		if err := measureQueue(ctx, rounds, messages); err != nil {
			return err
		}
	}
	if only != "queue" {
		return measureStore(ctx, rounds, large)
	}
	return nil
}
