package cosmosdb_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"throughline/infra/local/cosmosdb"
)

// The test program serves as the process to kill when this variable names the folder of its store.
const (
	childDir   = "COSMOSDB_TEST_CHILD"
	childIndex = "COSMOSDB_TEST_INDEX_AFTER"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		serve(dir)
		return
	}
	os.Exit(m.Run())
}

func serve(dir string) {
	after, err := strconv.Atoi(os.Getenv(childIndex))
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	s, err := cosmosdb.Start(context.Background(), cosmosdb.Options{Addr: "127.0.0.1:0", Dir: dir, IndexAfter: after})
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	fmt.Println(s.ConnectionString())
	// The end of stdin is the end of the parent.
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		fmt.Println("error:", err)
	}
}

// child is a server in a process of its own.
type child struct {
	cmd        *exec.Cmd
	stdin      io.Closer
	connection string
}

func spawn(t failer, dir string, indexAfter int) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprintf("%s=%d", childIndex, indexAfter))
	c.cmd.Stderr = os.Stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdin = stdin
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "AccountEndpoint=") {
		c.kill()
		t.Fatalf("the child did not start: %q %v", line, err)
	}
	c.connection = strings.TrimSpace(line)
	return c
}

// kill ends the process at once, in the middle of whatever it does.
func (c *child) kill() {
	// Both fail only when the process has gone already.
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	_ = c.stdin.Close()
}

// long reports whether the heavier form of a test is wanted.
func long() bool { return os.Getenv("THROUGHLINE_LONG") != "" }

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
