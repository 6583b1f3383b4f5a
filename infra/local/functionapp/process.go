package functionapp

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// command is how to start the handler.
type command struct {
	path string
	args []string
	dir  string
	env  []string
}

// process is one run of the handler.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when code is known
	code   int           // -1 after a signal
}

// newCommand resolves customHandler.description against the script root.
func newCommand(d description, root string, s settings) (command, error) {
	workers := below(root, d.WorkerDirectory)
	c := command{path: d.DefaultExecutablePath, dir: below(root, d.WorkingDirectory)}
	if !filepath.IsAbs(c.path) {
		if file := filepath.Join(workers, c.path); exists(file) {
			c.path = file
		}
	}
	if _, err := exec.LookPath(c.path); err != nil {
		if !exists(c.path) {
			return c, fmt.Errorf("no handler: %s is neither in %s nor on PATH", d.DefaultExecutablePath, workers)
		}
		// The real host tries the same on Consumption and Flex, best effort.
		if err := os.Chmod(c.path, 0o755); err != nil {
			return c, fmt.Errorf("the handler %s is not executable: %w", c.path, err)
		}
	}
	for _, arg := range d.Arguments {
		c.args = append(c.args, s.expandEmpty(arg))
	}
	if d.DefaultWorkerPath != "" {
		c.args = append(c.args, filepath.Join(workers, d.DefaultWorkerPath))
	}
	for _, arg := range d.WorkerArguments {
		c.args = append(c.args, s.expandEmpty(arg))
	}
	return c, nil
}

func below(root, dir string) string {
	if filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(root, dir)
}

func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// start runs the command with five variables more; its output goes to out.
func (c command) start(port int, workerID, root string, out *console) (*process, error) {
	cmd := exec.Command(c.path, c.args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = ownGroup()
	cmd.Env = append(append([]string{}, c.env...),
		fmt.Sprintf("FUNCTIONS_CUSTOMHANDLER_PORT=%d", port), fmt.Sprintf("FUNCTIONS_HTTPWORKER_PORT=%d", port),
		"FUNCTIONS_CUSTOMHANDLER_WORKER_ID="+workerID, "FUNCTIONS_HTTPWORKER_ID="+workerID,
		"FUNCTIONS_APP_ROOT_PATH="+root)
	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go p.run(started, out)
	return p, <-started
}

// run stays on one thread while the handler lives: the signal that ends the
// handler with its parent is tied to the parent's thread.
func (p *process) run(started chan<- error, out *console) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pipes, err := p.openPipes()
	if err == nil {
		if err = p.cmd.Start(); err != nil {
			pipes.close()
		}
	}
	if err != nil {
		started <- fmt.Errorf("handler: %w", err)
		return
	}
	printed := pipes.copyTo(out)
	started <- nil
	_ = p.cmd.Wait() // the exit code says it all
	waitPrinted(printed)
	pipes.close()
	p.code = p.cmd.ProcessState.ExitCode()
	close(p.exited)
}

// pipes are the handler's stdout and stderr, the reading and the writing end of each.
type pipes struct{ outR, outW, errR, errW *os.File }

func (p *process) openPipes() (pipes, error) {
	var s pipes
	var err error
	if s.outR, s.outW, err = os.Pipe(); err != nil {
		return s, err
	}
	if s.errR, s.errW, err = os.Pipe(); err != nil {
		s.close()
		return s, err
	}
	p.cmd.Stdout, p.cmd.Stderr = s.outW, s.errW
	return s, nil
}

// copyTo starts reading; the channel gets one value for each stream that ended.
func (s pipes) copyTo(out *console) <-chan struct{} {
	_ = s.outW.Close() // the handler has its own copies
	_ = s.errW.Close()
	printed := make(chan struct{}, 2)
	go func() { out.copy(s.outR, false); printed <- struct{}{} }()
	go func() { out.copy(s.errR, true); printed <- struct{}{} }()
	return printed
}

func (s pipes) close() {
	for _, f := range []*os.File{s.outR, s.outW, s.errR, s.errW} {
		_ = f.Close() // closing twice, or nil, is an error without consequence
	}
}

// waitPrinted waits for the last lines; a grandchild may hold the pipes open.
func waitPrinted(printed <-chan struct{}) {
	deadline := time.After(time.Second)
	for range 2 {
		select {
		case <-printed:
		case <-deadline:
			return
		}
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) kill() error { return p.cmd.Process.Kill() }

// stop ends the process with SIGKILL as the real host does, or, when graceful,
// with SIGTERM first and SIGKILL after patience.
func (p *process) stop(graceful bool, patience time.Duration) {
	if graceful && p.cmd.Process.Signal(syscall.SIGTERM) == nil {
		select {
		case <-p.exited:
			return
		case <-time.After(patience):
		}
	}
	_ = p.kill() // the only error is that it has already exited
	<-p.exited
}
