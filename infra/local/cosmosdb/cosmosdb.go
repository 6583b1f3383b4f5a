// Package cosmosdb is Azure Cosmos DB (NoSQL) on one machine: the REST surface that the azcosmos client uses, durable.
//
// As Azure does: databases, containers (hash and hierarchical partition keys, indexing and other policies kept, unique
// keys, time to live), throughput offers; items by point read, create, replace, upsert, delete with ETags, and
// patch; transactional batches; queries inside a partition with continuation tokens; the 400 of the gateway for
// cross-partition queries that sort, aggregate or cut; partition key ranges; the change feed (latest version);
// key and Entra authorization; request charge, session tokens, sub-status codes; the ids that the routing gateway cannot
// address; the limits of document, batch and query. A confirmed write survives a kill of the process and a power cut.
//
// Not as Azure does: one region, one physical partition; every consistency level is strong; all documents lie in memory,
// beside the journal that makes them durable; request units are a model (charge.go) and nothing is throttled unless a
// fault switch says so (faults.go); Entra tokens are read, their signature is not checked; no stored procedures, triggers,
// user-defined functions, users, permissions, conflicts, analytical store, vector distance, ranked full text or spatial
// queries; a range of the change feed is not cut below the physical partition; container names are the only names that a
// path may use (no _rid links except for offers).
package cosmosdb

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"throughline/infra/local/cosmosdb/store"
)

// EmulatorKey is the public, well-known key of Microsoft's own emulator. It protects nothing.
const EmulatorKey = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="

// Options say where the stand-in listens and where it keeps its documents. The zero value listens on port 8081 of the loopback
// address and keeps everything in memory.
type Options struct {
	Addr        string       // host:port to listen on; "" = 127.0.0.1:8081, port 0 = any free port
	ComputeAddr string       // a second address that takes every item id, as Azure's compute gateway does; "" = none
	Dir         string       // folder of the store; "" keeps everything in memory
	Key         string       // master key (base64); "" = EmulatorKey
	IndexAfter  int          // documents that a query looks at in vain before an index is built for it; 0 = 200
	TLS         *tls.Config  // when set, the same ports speak https beside http: the first byte tells
	Log         *slog.Logger // nil = discard
}

// Server is a running stand-in.
type Server struct {
	keyText    string
	signatures *signer
	log        *slog.Logger
	store      *store.Store
	catalog    *catalog
	stats      *meter
	faults     *faults
	parsed     *statements
	wishes     chan wish
	wasteful   int
	listeners  []net.Listener
	servers    []*http.Server
	stop       chan struct{}
	running    sync.WaitGroup
	closeOnce  sync.Once
	closeErr   error
}

// Start opens the store and listens; when it returns, clients can connect. The end of ctx does not stop the server: Close does.
// A port in use is an error that names it.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{keyText: o.Key, log: o.Log, stats: newMeter(), faults: &faults{}, parsed: newStatements(), wishes: make(chan wish, 1), wasteful: o.IndexAfter, stop: make(chan struct{})}
	if s.keyText == "" {
		s.keyText = EmulatorKey
	}
	if s.wasteful <= 0 {
		s.wasteful = wasteful
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	key, err := base64.StdEncoding.DecodeString(s.keyText)
	if err != nil {
		return nil, fmt.Errorf("cosmosdb: the key is not base64: %w", err)
	}
	s.signatures = newSigner(key)
	if err := s.open(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context, o Options) error {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:8081"
	}
	if err := s.listen(o.Addr, o.TLS, false); err != nil {
		return err
	}
	if o.ComputeAddr != "" {
		if err := s.listen(o.ComputeAddr, o.TLS, true); err != nil {
			return err
		}
	}
	var err error
	if s.store, err = store.Open(o.Dir); err != nil {
		return fmt.Errorf("cosmosdb: %w", err)
	}
	if s.catalog, err = loadCatalog(ctx, s.store); err != nil {
		return fmt.Errorf("cosmosdb: %w", err)
	}
	for i, l := range s.listeners {
		s.running.Go(func() { s.serveOn(s.servers[i], l) })
	}
	s.running.Go(s.tend)
	return nil
}

func (s *Server) listen(addr string, config *tls.Config, compute bool) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("cosmosdb: %s is in use: stop what listens there or choose another port", addr)
		}
		return fmt.Errorf("cosmosdb: listen on %s: %w", addr, err)
	}
	if config != nil {
		l = newSniffer(l, config)
	}
	s.listeners = append(s.listeners, l)
	s.servers = append(s.servers, &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handle(w, r, compute) }),
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       5 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	})
	return nil
}

func (s *Server) serveOn(h *http.Server, l net.Listener) {
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("cosmosdb stopped serving", "address", l.Addr().String(), "error", err)
	}
}

// Addr is the host:port that the server listens on.
func (s *Server) Addr() string { return s.listeners[0].Addr().String() }

// ComputeAddr is the host:port of the second listener, "" without one.
func (s *Server) ComputeAddr() string {
	if len(s.listeners) < 2 {
		return ""
	}
	return s.listeners[1].Addr().String()
}

// ConnectionString is what azcosmos.NewClientFromConnectionString takes, over plain http.
func (s *Server) ConnectionString() string {
	return "AccountEndpoint=http://" + s.Addr() + "/;AccountKey=" + s.keyText
}

// Close stops listening, ends open requests and closes the store. Confirmed writes are kept.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		close(s.stop)
		var errs []error
		for i, h := range s.servers {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			if err := h.Shutdown(ctx); err != nil {
				errs = append(errs, h.Close())
			}
			cancel()
			if err := s.listeners[i].Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
		s.running.Wait()
		if s.store != nil {
			errs = append(errs, s.store.Close())
		}
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}

// expiryPause is the time between two sweeps for documents whose time to live has passed; readers never see them anyway.
const expiryPause = 30 * time.Second

// tend removes expired documents and builds the indexes that queries ask for.
func (s *Server) tend() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.running.Go(func() {
		<-s.stop
		cancel()
	})
	tick := time.NewTicker(expiryPause)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-tick.C:
			if err := s.removeExpired(ctx, now); err != nil && ctx.Err() == nil {
				s.log.Error("expired documents not removed", "error", err)
			}
		case w := <-s.wishes:
			if err := s.build(ctx, w); err != nil && ctx.Err() == nil && !errors.Is(err, errNoIndex) {
				s.log.Error("index not built", "container", w.container.id, "error", err)
			}
		}
	}
}
