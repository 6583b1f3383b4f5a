package defender

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	armpolicy "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"throughline/shared/graph"
)

const (
	// maxBody bounds an answer after decompression.
	maxBody = 64 << 20
	// maxWait bounds how long a Limited may ask for.
	maxWait = time.Hour
)

// arm is a raw client of Azure Resource Manager.
type arm struct {
	base     *url.URL
	pipeline azruntime.Pipeline
	now      func() time.Time

	mu    sync.Mutex
	until time.Time // the quota is used up until then
}

func newARM(o Options) (*arm, error) {
	conf, err := cloudNamed(o.Cloud)
	if err != nil {
		return nil, err
	}
	service := conf.Services[cloud.ResourceManager]
	if o.ARM != "" {
		service.Endpoint = o.ARM
	}
	base, err := url.Parse(service.Endpoint)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("resource manager %q: want an absolute URL", service.Endpoint)
	}
	secure := base.Scheme == "https"
	if !secure && (base.Scheme != "http" || !loopback(base.Hostname())) {
		return nil, fmt.Errorf("resource manager %q: want https, or http on this machine", service.Endpoint)
	}
	if secure && o.Credential == nil {
		return nil, fmt.Errorf("resource manager %q: want a credential", service.Endpoint)
	}
	var perRetry []policy.Policy
	if secure {
		perRetry = append(perRetry, runtime.NewBearerTokenPolicy(o.Credential, &armpolicy.BearerTokenOptions{Scopes: []string{service.Audience + "/.default"}}))
	}
	pipeline := azruntime.NewPipeline("throughline", "v1", azruntime.PipelineOptions{PerRetry: perRetry}, &policy.ClientOptions{
		Cloud:     conf,
		Transport: o.Transport,
		Telemetry: policy.TelemetryOptions{ApplicationID: "throughline"},
		Retry: policy.RetryOptions{
			MaxRetries: 2, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 2 * time.Second, TryTimeout: time.Minute,
			StatusCodes: []int{http.StatusRequestTimeout, http.StatusBadGateway, http.StatusGatewayTimeout},
		},
	})
	return &arm{base: base, pipeline: pipeline, now: time.Now}, nil
}

// cloudNamed gives the hosts of a cloud.
func cloudNamed(name string) (cloud.Configuration, error) {
	switch strings.ToLower(name) {
	case "", "public":
		return cloud.AzurePublic, nil
	case "usgovernment":
		return cloud.AzureGovernment, nil
	case "china":
		return cloud.AzureChina, nil
	}
	return cloud.Configuration{}, fmt.Errorf("cloud %q: want public, usgovernment or china", name)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// StatusError is an answer of Azure Resource Manager that is not a success.
type StatusError struct {
	Status  int
	Code    string
	Message string
}

// Error gives status, code and the beginning of the message.
func (e *StatusError) Error() string {
	return strings.TrimRight(fmt.Sprintf("status %d %s: %.200s", e.Status, e.Code, e.Message), ": ")
}

// Is tells that a missing resource is graph.ErrNotFound.
func (e *StatusError) Is(target error) bool {
	return target == graph.ErrNotFound && e.Status == http.StatusNotFound
}

// url is the address of a resource; path must not need any cleaning.
func (a *arm) url(path, version string) *url.URL {
	u := *a.base
	u.Path = strings.TrimRight(u.Path, "/") + path
	u.RawQuery = url.Values{"api-version": {version}}.Encode()
	return &u
}

// next is the address of the next page of a list, which must lie where the page did.
func (a *arm) next(link string) (*url.URL, error) {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != a.base.Scheme || u.Host != a.base.Host || u.User != nil {
		return nil, fmt.Errorf("next page %.200q lies elsewhere", link)
	}
	return u, nil
}

// call sends in as JSON (nil: no body) and decodes the answer into out (nil: ignored).
func (a *arm) call(ctx context.Context, method string, u *url.URL, in, out any) error {
	what := method + " " + u.Path
	if err := a.rested(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	req, err := azruntime.NewRequest(ctx, method, u.String())
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	azruntime.SkipBodyDownload(req)
	if in != nil {
		if err := azruntime.MarshalAsJSON(req, in); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	resp, err := a.pipeline.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer resp.Body.Close()
	if err := a.judge(resp); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return decodeBody(resp.Body, what, out)
}

func decodeBody(body io.Reader, what string, out any) error {
	raw, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return fmt.Errorf("%s: read answer: %w", what, err)
	}
	if len(raw) > maxBody {
		return fmt.Errorf("%s: answer is larger than %d bytes", what, maxBody)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s: decode answer: %w", what, err)
	}
	return nil
}

// judge turns a refusal into an error and remembers a quota that is used up.
func (a *arm) judge(resp *http.Response) error {
	wait, limited := quotaWait(resp)
	if wait > 0 {
		a.mu.Lock()
		a.until = a.now().Add(min(wait, maxWait))
		a.mu.Unlock()
	}
	if limited {
		return a.rested()
	}
	if resp.StatusCode < 300 {
		return nil
	}
	var body struct {
		Error struct{ Code, Message string }
	}
	failure := &StatusError{Status: resp.StatusCode}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && json.Unmarshal(raw, &body) == nil {
		failure.Code, failure.Message = body.Error.Code, body.Error.Message
	}
	return failure
}

// rested answers a *graph.Limited while the quota is used up.
func (a *arm) rested() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now().Before(a.until) {
		return &graph.Limited{Until: a.until, Why: "Azure Resource Manager limits the rate of calls"}
	}
	return nil
}

// quotaWait tells for how long to leave Azure alone, and whether this call was already refused for it.
func quotaWait(resp *http.Response) (wait time.Duration, limited bool) {
	after := retryAfter(resp.Header)
	limited = resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable && after > 0
	reset := clockDuration(resp.Header.Get("x-ms-user-quota-resets-after"))
	if limited {
		return max(after, reset, time.Second), true
	}
	if remaining := resp.Header.Get("x-ms-user-quota-remaining"); remaining != "" {
		if n, err := strconv.Atoi(remaining); err == nil && n <= 0 {
			return reset, false
		}
	}
	return 0, false
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(min(seconds, int(maxWait/time.Second)))*time.Second, maxWait)
}

// clockDuration reads hh:mm:ss; anything else is zero.
func clockDuration(s string) time.Duration {
	t, err := time.Parse("15:04:05", s)
	if err != nil {
		return 0
	}
	return t.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))
}
