package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A user's mistake gets one line and exit code 1.
func TestE2EMistakes(t *testing.T) {
	endToEnd(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"port in use", []string{"-only", "servicebus", "-data", "", "-port-servicebus", port}, "-port-servicebus"},
		{"store's port in use", []string{"-only", "cosmosdb", "-data", "", "-port-cosmos", port}, "-port-cosmos"},
		{"data is a file", []string{"-only", "cosmosdb", "-data", file}, "-data"},
		{"unknown part", []string{"-only", "kitchen"}, "kitchen"},
		{"unknown estate", []string{"-estate", "huge"}, "huge"},
		{"not a flag", []string{"once"}, "once"},
		{"once without the demo", []string{"-once", "-demo=false"}, "-demo=false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(binary, c.args...)
			cmd.Dir = "../.."
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("exit code %d, want 1:\n%s", cmd.ProcessState.ExitCode(), out)
			}
			if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); len(lines) != 1 || !strings.Contains(lines[0], c.want) {
				t.Errorf("want one line with %q, got:\n%s", c.want, out)
			}
		})
	}
}

// Without the settings of the real world the handler says what is missing, and the command ends.
func TestE2EMissingSettings(t *testing.T) {
	endToEnd(t)
	c := start(t, freePorts(t), "-demo=false", "-data", "")
	if code := c.wait(2 * time.Minute); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, want := range []string{"GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY", "GITHUB_WEBHOOK_SECRET"} {
		if !strings.Contains(c.out.String(), want) {
			t.Errorf("%s is not named:\n%s", want, c.out.String())
		}
	}
}
