package functionapp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"

	"github.com/google/uuid"
)

const largestRequest = 100 << 20 // FUNCTIONS_REQUEST_BODY_SIZE_LIMIT by default

// front answers the callers: it finds the function by route and hands the
// request to the handler, raw or as a payload.
type front struct {
	routes     []*route
	admin      http.Handler
	caller     *caller
	proxying   bool
	forwarding bool
	homepage   bool
	running    func() bool
	work       context.Context // ends with the host
	proxy      *httputil.ReverseProxy
	log        *slog.Logger
}

type endpointKey struct{}

func newFront(routes []*route, c *caller, log *slog.Logger) *front {
	sortRoutes(routes)
	f := &front{routes: routes, caller: c, log: log}
	f.proxy = &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     roundTripper{},
		FlushInterval: -1,
		BufferPool:    &buffers{},
		ErrorHandler:  f.proxyFailed,
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return f
}

// ServeHTTP tries the host's own addresses, then the routes in their order. A
// route that matches but for its method is no match: the host answers 404.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isAdmin(r.URL.Path) {
		f.admin.ServeHTTP(w, r)
		return
	}
	if !f.running() {
		http.Error(w, "Function host is not running.", http.StatusServiceUnavailable)
		return
	}
	for _, route := range f.routes {
		if !allows(route.methods, r.Method) {
			continue
		}
		if values, ok := route.match(r.URL.EscapedPath()); ok {
			f.serve(w, r, route.function, values)
			return
		}
	}
	f.unrouted(w, r)
}

func allows(methods []string, method string) bool {
	if len(methods) == 0 {
		return true
	}
	for _, m := range methods {
		if m == method {
			return true
		}
	}
	return false
}

func (f *front) unrouted(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" || r.Method != http.MethodGet {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if !f.homepage {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte("<!DOCTYPE html><title>Functions</title><p>Your Functions app is up and running\n"))
}

func (f *front) serve(w http.ResponseWriter, r *http.Request, fn *function, values map[string]string) {
	r.Body = http.MaxBytesReader(w, r.Body, largestRequest)
	if fn.isPureHTTP() && (f.proxying || f.forwarding) {
		f.pass(w, r, fn)
		return
	}
	f.servePayload(w, r, fn, values)
}

// pass lets the request through as it is. The handler's answer, a 5xx too, is a
// success of the invocation.
func (f *front) pass(w http.ResponseWriter, r *http.Request, fn *function) {
	var err error
	ended := fn.begin()
	defer func() { ended(err) }()
	ctx, cancel := f.caller.limit(r.Context())
	defer cancel()
	e, err := f.caller.ready(ctx)
	if err != nil {
		http.Error(w, "the handler is not available", http.StatusBadGateway)
		return
	}
	id := uuid.NewString()
	if f.proxying {
		r.Header.Del(headerInvocation)
		r.Header.Del(headerHostVersion)
		if r.Header.Get(headerCorrelation) == "" {
			r.Header.Set(headerCorrelation, id)
		}
	} else {
		legacyHeaders(r)
	}
	r.Header.Add(headerInvocation, id)
	r.Header.Add(headerHostVersion, hostVersion)
	ctx = context.WithValue(ctx, endpointKey{}, passage{e, &err})
	f.proxy.ServeHTTP(w, r.WithContext(ctx))
	if errors.Is(context.Cause(ctx), errFunctionTimeout) {
		e.timedOut(fn.name, f.log)
	}
}

// passage is a proxied request on its way: where it goes, and why it failed.
type passage struct {
	to     *endpoint
	failed *error
}

// legacyHeaders does what enableForwardingHttpRequest does to a request: repeated
// query keys are joined, and a body without Content-Length is lost.
func legacyHeaders(r *http.Request) {
	r.Header.Add("User-Agent", "Azure-Functions-Host/"+hostVersion)
	r.Header.Del("Content-Encoding")
	if r.ContentLength <= 0 {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	joined := url.Values{}
	for key, list := range r.URL.Query() {
		value := list[0]
		for _, more := range list[1:] {
			value += "," + more
		}
		joined.Set(key, value)
	}
	r.URL.RawQuery = joined.Encode()
}

func rewrite(p *httputil.ProxyRequest) {
	to, ok := p.In.Context().Value(endpointKey{}).(passage)
	if !ok {
		return
	}
	p.Out.URL.Scheme = "http"
	p.Out.URL.Host = to.to.url[len("http://"):]
	p.Out.URL.RawQuery = p.In.URL.RawQuery
	p.Out.Host = p.In.Host
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values := p.In.Header[name]; values != nil {
			p.Out.Header[name] = append([]string{}, values...)
		}
	}
	if client, _, err := net.SplitHostPort(p.In.RemoteAddr); err == nil {
		p.Out.Header.Add("X-Forwarded-For", client)
	}
	p.Out.Header.Add("X-Forwarded-Host", p.In.Host)
	p.Out.Header.Add("X-Forwarded-Proto", "http")
}

// roundTripper sends a request to the run of the handler that its context names.
type roundTripper struct{}

func (roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	to, ok := r.Context().Value(endpointKey{}).(passage)
	if !ok {
		return nil, errors.New("no handler for this request")
	}
	return to.to.proxy.RoundTrip(r)
}

func (f *front) proxyFailed(w http.ResponseWriter, r *http.Request, err error) {
	if to, ok := r.Context().Value(endpointKey{}).(passage); ok {
		*to.failed = err
	}
	status := http.StatusBadGateway
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	f.log.Warn("request could not be proxied", "path", r.URL.Path, "status", status, "reason", err)
	w.WriteHeader(status)
}

// buffers lends the proxy its copy buffers.
type buffers struct{ pool sync.Pool }

// Get returns a buffer of 32 KiB.
func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, 32<<10)
}

// Put takes a buffer back.
func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }
