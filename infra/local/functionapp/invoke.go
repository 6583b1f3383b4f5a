package functionapp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

const (
	hostVersion        = "4.1041.200.1"
	headerInvocation   = "X-Azure-Functions-InvocationId"
	headerHostVersion  = "X-Azure-Functions-HostVersion"
	headerCorrelation  = "x-ms-invocation-id"
	largestReply       = 100 << 20
	longestErrorDetail = 2 << 10
)

// errHung marks an invocation that was answered 200 without a result: the host
// neither completes nor fails it, until functionTimeout ends the handler.
var errHung = errors.New("answered 200 with an empty body or null, which completes nothing: it hangs until functionTimeout")

// reply is what a handler answers in payload mode.
type reply struct {
	Outputs     map[string]json.RawMessage
	Logs        []string
	ReturnValue json.RawMessage
}

// caller invokes functions in the handler that is running now.
type caller struct {
	ready   func(context.Context) (*endpoint, error)
	timeout time.Duration // functionTimeout; negative = unbounded
	outputs *outputs
	now     func() time.Time
	log     *slog.Logger
}

// call invokes f in payload mode and waits for its reply. Anything but a 2xx
// status with a JSON object is an error, and so is functionTimeout, which kills
// the handler with everything that is in flight.
func (c *caller) call(ctx context.Context, f *function, p payload) (result *reply, err error) {
	ended := f.begin()
	defer func() { ended(err) }()
	body, err := p.marshal()
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	e, err := c.ready(ctx)
	if err != nil {
		return nil, err
	}
	result, err = c.post(ctx, e, f.name, body)
	if errors.Is(err, errHung) {
		c.log.Error("invocation hangs", "function", f.name, "reason", err)
		<-ctx.Done()
	}
	if errors.Is(context.Cause(ctx), errFunctionTimeout) {
		e.timedOut(f.name, c.log)
		return nil, fmt.Errorf("%s: %w", f.name, errFunctionTimeout)
	}
	if err != nil {
		return nil, err
	}
	for _, line := range result.Logs {
		c.log.Info(line, "category", "Function."+f.name+".User")
	}
	return result, nil
}

var errFunctionTimeout = errors.New("functionTimeout passed")

func (c *caller) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.timeout < 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, c.timeout, errFunctionTimeout)
}

func (e *endpoint) timedOut(function string, log *slog.Logger) {
	log.Error("functionTimeout passed, killing the handler and everything in flight", "function", function, "pid", e.proc.pid())
	e.restart()
}

func (c *caller) post(ctx context.Context, e *endpoint, function string, body []byte) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+"/"+url.PathEscape(function), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.ContentLength = -1 // chunked, as the host sends it
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Azure-Functions-Host/"+hostVersion)
	req.Header.Set(headerHostVersion, hostVersion)
	req.Header.Set(headerInvocation, uuid.NewString())
	res, err := e.calls.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(res.Body, largestReply))
	if err != nil {
		return nil, fmt.Errorf("reply of the handler: %w", err)
	}
	return parseReply(res.StatusCode, res.Header.Get("Content-Type"), res.ContentLength, content)
}

// parseReply judges a reply as the host does. length is Content-Length, -1 when
// there was none: a declared length of 0 never reaches the JSON reader.
func parseReply(status int, contentType string, length int64, content []byte) (*reply, error) {
	if status < 200 || status > 299 {
		return nil, fmt.Errorf("response status code does not indicate success: %d: %s", status, detail(content))
	}
	if length == 0 {
		return nil, errHung
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" && media != "text/json" {
		return nil, fmt.Errorf("invalid HttpResponseMessage: content type %q is not JSON: %s", contentType, detail(content))
	}
	var r *reply
	err = json.NewDecoder(bytes.NewReader(content)).Decode(&r)
	switch {
	case errors.Is(err, io.EOF), err == nil && r == nil:
		return nil, errHung
	case err != nil:
		return nil, fmt.Errorf("invalid HttpResponseMessage: %w: %s", err, detail(content))
	}
	return r, nil
}

func detail(content []byte) string {
	return string(content[:min(len(content), longestErrorDetail)])
}
