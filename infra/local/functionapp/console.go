package functionapp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// consoleCategory is the log category of what the handler prints.
const consoleCategory = "Host.Function.Console"

const longestLine = 64 << 10

// console turns the handler's output into log lines and remembers the last one.
type console struct {
	log  *slog.Logger
	mu   sync.Mutex
	last string
}

func (c *console) lastLine() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// copy logs every line of r until its end. stdout is Information; stderr is
// Error, or Warning where the line says "warn". Longer lines are cut.
func (c *console) copy(r io.Reader, stderr bool) {
	in := bufio.NewReaderSize(r, longestLine)
	for {
		line, cut, err := in.ReadLine()
		if text := strings.TrimRight(string(line), "\r\n"); text != "" {
			c.line(text, stderr)
		}
		for cut && err == nil {
			_, cut, err = in.ReadLine()
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.log.Debug("console of the handler closed", "reason", err)
			}
			return
		}
	}
}

func (c *console) line(text string, stderr bool) {
	c.mu.Lock()
	c.last = text
	c.mu.Unlock()
	c.log.Log(context.Background(), consoleLevel(text, stderr), text, "category", consoleCategory)
}

func consoleLevel(text string, stderr bool) slog.Level {
	switch {
	case !stderr:
		return slog.LevelInfo
	case strings.Contains(strings.ToLower(text), "warn"):
		return slog.LevelWarn
	}
	return slog.LevelError
}
