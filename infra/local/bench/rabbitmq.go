package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/go-amqp"
)

// rabbit is a RabbitMQ of its own, with all of its files in one folder, on free ports.
type rabbit struct {
	addr   string
	node   *exec.Cmd
	input  io.Closer // of the node
	mapper *exec.Cmd // Erlang's port mapper, which would outlive a node that starts it
}

// startRabbit starts RabbitMQ with the AMQP 1.0 plug-in; why tells why there is none.
func startRabbit(ctx context.Context, dir string) (r *rabbit, why string, err error) {
	program := rabbitProgram()
	if program == "" {
		return nil, "rabbitmq-server is not installed (apt-get install rabbitmq-server)", nil
	}
	log, err := prepareRabbit(dir)
	if err != nil {
		return nil, "", err
	}
	defer log.Close()
	if r, err = launchRabbit(ctx, program, dir, log); err != nil {
		return nil, "", err
	}
	if err := r.ready(ctx); err != nil {
		r.stop()
		said, _ := os.ReadFile(log.Name()) // only to explain
		return nil, "it does not start: " + lastLine(string(said)), nil
	}
	return r, "", nil
}

func prepareRabbit(dir string) (log *os.File, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "plugins"), []byte("[rabbitmq_amqp1_0].\n"), 0o644); err != nil {
		return nil, err
	}
	return os.Create(filepath.Join(dir, "output"))
}

func launchRabbit(ctx context.Context, program, dir string, log *os.File) (*rabbit, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	r := &rabbit{addr: "127.0.0.1:" + ports[0], node: exec.CommandContext(ctx, program)}
	r.mapper = exec.CommandContext(ctx, "epmd", "-port", ports[1], "-address", "127.0.0.1")
	r.node.Env = append(os.Environ(), "HOME="+dir, "RABBITMQ_NODENAME=bench"+ports[0]+"@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT="+ports[0], "RABBITMQ_MNESIA_BASE="+dir, "RABBITMQ_LOG_BASE="+dir, "RABBITMQ_DIST_PORT="+ports[2],
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"), "RABBITMQ_PID_FILE="+filepath.Join(dir, "pid"), "ERL_EPMD_PORT="+ports[1],
		"RABBITMQ_ALLOW_INPUT=1") // else a script stands between, and the node outlives it
	r.node.Stdout, r.node.Stderr = log, log
	if r.input, err = r.node.StdinPipe(); err != nil {
		return nil, err
	}
	if err := r.mapper.Start(); err != nil {
		return nil, fmt.Errorf("start epmd: %w", err)
	}
	if err := r.node.Start(); err != nil {
		r.stop()
		return nil, fmt.Errorf("start RabbitMQ: %w", err)
	}
	return r, nil
}

// rabbitProgram prefers the program itself to Debian's wrapper, which changes the user and so the folder.
func rabbitProgram() string {
	const debian = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	if _, err := os.Stat(debian); err == nil {
		return debian
	}
	path, _ := exec.LookPath("rabbitmq-server") // "" when there is none
	return path
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", loopback)
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return out, nil
}

// ready waits until a client can connect.
func (r *rabbit) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		q, err := r.dial(ctx)
		if err == nil {
			return q.close(ctx)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// stop ends the node and the port mapper. Either may be gone already.
func (r *rabbit) stop() {
	_ = r.input.Close()
	for _, c := range []*exec.Cmd{r.node, r.mapper} {
		if c.Process != nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}
}

// rabbitQueue is a durable queue of RabbitMQ through go-amqp, the client under azservicebus. It sends and receives on
// connections of their own: on one session RabbitMQ stalls.
type rabbitQueue struct {
	out, in  *amqp.Conn
	sender   *amqp.Sender
	receiver *amqp.Receiver
}

func (r *rabbit) dial(ctx context.Context) (*rabbitQueue, error) {
	q := &rabbitQueue{}
	if err := q.attach(ctx, r.addr); err != nil {
		return nil, errors.Join(err, q.close(ctx))
	}
	return q, nil
}

// attach uses an address under /queue/, which makes the queue, and asks for one that is durable.
func (q *rabbitQueue) attach(ctx context.Context, addr string) error {
	const address = "/queue/" + queueName
	out, err := rabbitSession(ctx, addr, &q.out)
	if err != nil {
		return err
	}
	if q.sender, err = out.NewSender(ctx, address, &amqp.SenderOptions{TargetDurability: amqp.DurabilityUnsettledState}); err != nil {
		return err
	}
	in, err := rabbitSession(ctx, addr, &q.in)
	if err != nil {
		return err
	}
	q.receiver, err = in.NewReceiver(ctx, address, &amqp.ReceiverOptions{Credit: -1, SourceDurability: amqp.DurabilityUnsettledState})
	return err
}

func rabbitSession(ctx context.Context, addr string, into **amqp.Conn) (*amqp.Session, error) {
	conn, err := amqp.Dial(ctx, "amqp://"+addr, &amqp.ConnOptions{SASLType: amqp.SASLTypePlain("guest", "guest"), HostName: "vhost:/"})
	if err != nil {
		return nil, err
	}
	*into = conn
	return conn.NewSession(ctx, nil)
}

func (q *rabbitQueue) send(ctx context.Context) error {
	m := amqp.NewMessage(kilobyte)
	m.Header = &amqp.MessageHeader{Durable: true}
	return q.sender.Send(ctx, m, nil)
}

// settle asks for n messages, as azservicebus does, so that none wait in the client before the clock runs, and accepts
// one by one; RabbitMQ does not confirm that.
func (q *rabbitQueue) settle(ctx context.Context, n int) (int, error) {
	if err := q.receiver.IssueCredit(uint32(n)); err != nil {
		return 0, err
	}
	var got []*amqp.Message
	for range n {
		m, err := q.receiver.Receive(ctx, nil)
		if err != nil {
			return 0, err
		}
		got = append(got, m)
	}
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i, m := range got {
		wg.Go(func() { errs[i] = q.receiver.AcceptMessage(ctx, m) })
	}
	wg.Wait()
	return n, errors.Join(errs...)
}

func (q *rabbitQueue) close(context.Context) error {
	var err error
	for _, c := range []*amqp.Conn{q.out, q.in} {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}
