package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"throughline/infra/local/cosmosdb"
	"throughline/infra/local/servicebus"
)

// serve serves until its input ends, after a line with the connection string.
func serve(ctx context.Context, what, dir string) error {
	connection, stop, err := open(ctx, what, dir)
	if err != nil {
		return err
	}
	fmt.Println(connection)
	// The end of the input is the end of the one who measures, however it came.
	_, _ = io.Copy(io.Discard, os.Stdin)
	return stop()
}

func open(ctx context.Context, what, dir string) (connection string, stop func() error, err error) {
	switch what {
	case "servicebus":
		s, err := servicebus.Start(ctx, servicebus.Options{Addr: loopback, Dir: dir, Queues: []byte(`{"queues":[{"name":"` + queueName + `"}]}`)})
		if err != nil {
			return "", nil, err
		}
		return s.ConnectionString(), s.Close, nil
	case "cosmosdb":
		s, err := cosmosdb.Start(ctx, cosmosdb.Options{Addr: loopback, Dir: dir})
		if err != nil {
			return "", nil, err
		}
		return s.ConnectionString(), s.Close, nil
	case "nothing":
		return serveNothing()
	}
	return "", nil, fmt.Errorf("-serve %s is none of servicebus, cosmosdb, nothing", what)
}

const loopback = "127.0.0.1:0"

// process is a server in a process of its own.
type process struct {
	connection string
	cmd        *exec.Cmd
	in         io.Closer
}

func spawn(what, dir string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	p := &process{cmd: exec.Command(self, "-serve", what, "-data", dir)}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", what, err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("start %s: %w", what, err)
	}
	p.connection = strings.TrimSpace(line)
	return p, nil
}

// stop ends the server; what it says then is of no use any more.
func (p *process) stop() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
}
