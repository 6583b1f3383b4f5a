package servicebus_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"throughline/infra/local/servicebus"
)

// TestMain is also the program that is killed: with SERVICEBUS_CHILD set it serves the store in that folder, or in
// memory, until its input ends.
func TestMain(m *testing.M) {
	if dir, ok := os.LookupEnv("SERVICEBUS_CHILD"); ok {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serve(dir string) error {
	s, err := servicebus.Start(context.Background(), servicebus.Options{Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Dir: dir, Queues: []byte(os.Getenv("SERVICEBUS_QUEUES"))})
	if err != nil {
		return err
	}
	fmt.Println(s.ConnectionString(), s.AdminAddr())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.Close()
}

// child is a server in a process of its own.
type child struct {
	cmd        *exec.Cmd
	connection string
	admin      string
	exited     chan struct{}
}

func spawn(t testing.TB, dir, queues string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), exited: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), "SERVICEBUS_CHILD="+dir, "SERVICEBUS_QUEUES="+queues)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.cmd.StdinPipe(); err != nil { // its end ends the child, should this process die
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	fields := strings.Fields(line)
	if err != nil || len(fields) != 2 {
		t.Fatalf("the child says %q, %v", line, err)
	}
	c.connection, c.admin = fields[0], fields[1]
	go func() {
		_ = c.cmd.Wait() // killed, or ended
		close(c.exited)
	}()
	t.Cleanup(c.kill)
	return c
}

// kill is kill -9.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may be gone
	<-c.exited
}

func (c *child) dead() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// residentOf is the memory of a child in bytes.
func residentOf(t testing.TB, c *child) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		t.Skip("this system does not tell the memory of a process")
	}
	for _, line := range strings.Split(string(b), "\n") {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
