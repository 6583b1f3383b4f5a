package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// moduleRoot finds the project from the folder that the command was started in.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("no go.mod here: start this from the project's folder")
	}
	return filepath.Dir(mod), nil
}

// layOut builds the handler and puts everything that ships where the Functions host looks for it: host.json, handler and
// policy.yaml in the root, and one folder with a function.json for each function. The environment of the compiler says for which machine; empty: this.
func layOut(ctx context.Context, root, dist string, machine ...string) error {
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", dist, err)
	}
	if err := build(ctx, root, filepath.Join(dist, "handler"), machine); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(root, "host.json"), filepath.Join(dist, "host.json")); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(root, "shared", "decision", "policy.yaml"), filepath.Join(dist, "policy.yaml")); err != nil {
		return err
	}
	return layOutFunctions(root, dist)
}

func layOutFunctions(root, dist string) error {
	drawn, err := filepath.Glob(filepath.Join(root, "functions", "*", "function.json"))
	if err != nil {
		return err
	}
	if len(drawn) == 0 {
		return fmt.Errorf("no function.json below %s", filepath.Join(root, "functions"))
	}
	for _, f := range drawn {
		folder := filepath.Join(dist, filepath.Base(filepath.Dir(f)))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := copyFile(f, filepath.Join(folder, "function.json")); err != nil {
			return err
		}
	}
	return nil
}

// build compiles the handler without cgo, paths or stamps, so that the same source gives the same bytes.
func build(ctx context.Context, root, to string, machine []string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", to, "./functions")
	cmd.Dir = root
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), machine...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the handler: %w\n%s", err, out)
	}
	return nil
}

// copyFile replaces a file as a whole, so that nobody ever reads half of it.
func copyFile(from, to string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	beside := to + ".new"
	if err := os.WriteFile(beside, raw, 0o644); err != nil {
		return err
	}
	return os.Rename(beside, to)
}
