package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

const queueName = "bench"

var kilobyte = []byte(strings.Repeat("x", 1024))

// queue is a broker's queue through its client.
type queue interface {
	// send returns when the broker has confirmed the message.
	send(ctx context.Context) error
	// settle receives up to n messages and returns how many of them it has settled.
	settle(ctx context.Context, n int) (int, error)
	close(ctx context.Context) error
}

// The look-alike in memory stands in performance.md beside RabbitMQ: 3.84, 4.59, 0.98 and 1.17 times as fast. It cannot
// be installed, so that nine tenths of these ratios are the goals in memory.
var queueGoals = []struct {
	task            string
	durable, memory goal
}{
	{"send 1", goal{low: 1.5}, goal{low: 3.46}},
	{"send 32", goal{low: 2.0}, goal{low: 4.13}},
	{"recv 1", goal{}, goal{}},
	{"recv 32", goal{low: 0.9}, goal{low: 0.88}},
	{"flow 1", goal{}, goal{}},
	{"flow 32", goal{low: 1.1}, goal{low: 1.05}},
}

// queueTasks leave the queue empty after each pair of sending and receiving.
func queueTasks(messages int) []task[queue] {
	one := max(1, messages/10)
	return []task[queue]{
		{"send 1", one, sending(1)}, {"recv 1", one, receiving(1)},
		{"send 32", messages, sending(32)}, {"recv 32", messages, receiving(32)},
		{"flow 1", one, flowing(1)}, {"flow 32", messages, flowing(32)},
	}
}

func measureQueue(ctx context.Context, rounds, messages int) (err error) {
	dir, err := os.MkdirTemp("", "throughline-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	servers, names := map[string]queue{}, []string{"durable", "memory"}
	for name, where := range map[string]string{"durable": dir + "/servicebus", "memory": ""} {
		p, err := spawn("servicebus", where)
		if err != nil {
			return err
		}
		defer p.stop()
		q, err := dialServiceBus(p.connection)
		if err != nil {
			return err
		}
		defer q.close(ctx)
		servers[name] = q
	}
	rabbit, why, err := startRabbit(ctx, dir+"/rabbitmq")
	if err != nil {
		return err
	}
	if rabbit == nil {
		fmt.Println("\nno RabbitMQ to stand beside the queue:", why)
	} else {
		defer rabbit.stop()
		q, err := rabbit.dial(ctx)
		if err != nil {
			return err
		}
		defer q.close(ctx)
		servers["rabbitmq"], names = q, append(names, "rabbitmq")
	}
	r, err := inTurns(ctx, rounds, names, servers, queueTasks(messages))
	if err != nil {
		return err
	}
	return printQueue(r, rabbit != nil)
}

func printQueue(r results, beside bool) error {
	const title = "Service Bus through azservicebus, 1 KB messages, confirmed and settled; n in flight"
	var rows []row
	var tasks []string
	for _, g := range queueGoals {
		rows = append(rows, row{g.task, "durable", "rabbitmq", g.durable}, row{g.task, "memory", "rabbitmq", g.memory})
		tasks = append(tasks, g.task)
	}
	if !beside {
		return r.plain(title, tasks, []string{"durable", "memory"})
	}
	return r.print(title, rows)
}

func sending(inFlight int) func(context.Context, queue, int) error {
	return func(ctx context.Context, q queue, n int) error {
		return share(inFlight, n, func(int) error { return q.send(ctx) })
	}
}

func receiving(inFlight int) func(context.Context, queue, int) error {
	return func(ctx context.Context, q queue, n int) error {
		for left := n; left > 0; {
			got, err := q.settle(ctx, min(inFlight, left))
			if err != nil {
				return err
			}
			left -= got
		}
		return nil
	}
}

func flowing(inFlight int) func(context.Context, queue, int) error {
	return func(ctx context.Context, q queue, n int) error {
		sent := make(chan error, 1)
		go func() { sent <- sending(inFlight)(ctx, q, n) }()
		err := receiving(inFlight)(ctx, q, n)
		return errors.Join(err, <-sent)
	}
}

// share does n operations with so many hands, and returns what went wrong first in each of them.
func share(hands, n int, do func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, hands)
	for h := range hands {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && errs[h] == nil; i = int(next.Add(1)) - 1 {
				errs[h] = do(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// serviceBus is a queue through azservicebus.
type serviceBus struct {
	client   *azservicebus.Client
	sender   *azservicebus.Sender
	receiver *azservicebus.Receiver
}

func dialServiceBus(connection string) (*serviceBus, error) {
	c, err := azservicebus.NewClientFromConnectionString(connection, nil)
	if err != nil {
		return nil, err
	}
	s, err := c.NewSender(queueName, nil)
	if err != nil {
		return nil, err
	}
	r, err := c.NewReceiverForQueue(queueName, nil)
	return &serviceBus{c, s, r}, err
}

func (s *serviceBus) send(ctx context.Context) error {
	return s.sender.SendMessage(ctx, &azservicebus.Message{Body: kilobyte}, nil)
}

// settle does not wait for strays: the client waits 20 ms for them unless told otherwise.
func (s *serviceBus) settle(ctx context.Context, n int) (int, error) {
	got, err := s.receiver.ReceiveMessages(ctx, n, &azservicebus.ReceiveMessagesOptions{TimeAfterFirstMessage: time.Millisecond})
	if err != nil {
		return 0, err
	}
	return len(got), share(len(got), len(got), func(i int) error { return s.receiver.CompleteMessage(ctx, got[i], nil) })
}

func (s *serviceBus) close(ctx context.Context) error { return s.client.Close(ctx) }
