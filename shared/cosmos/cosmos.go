// Package cosmos keeps the graph in Azure Cosmos DB: graph.Store over the azcosmos client.
//
// A document is {"id", "pk" (in the worklist "org"), "kind", "v", "data"}: the noun lies under data, so that its own
// fields never meet those of the envelope. Only point reads and writes, transactional batches and single-partition
// queries are used. The package decides nothing and caches nothing.
//
// The Go client tracks no session tokens, so an account of session consistency may answer a read with what stood before
// a write of another process, or of this one. Give the account strong or bounded-staleness consistency.
package cosmos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/shared/graph"
)

// Options say where the store is: either a connection string, or an endpoint with a credential.
type Options struct {
	ConnectionString string // AccountEndpoint=...;AccountKey=...
	Endpoint         string // https://<account>.documents.azure.com
	Credential       azcore.TokenCredential
	Database         string
	Cloud            cloud.Configuration // the zero value is the public cloud
	Log              *slog.Logger        // nil: nothing is logged
}

// Store is the graph in Cosmos DB. It is safe for concurrent use.
type Store struct {
	options Options
	log     *slog.Logger
	charge  atomic.Uint64 // the bits of a float64
	refused atomic.Int64  // requests over the throughput
	trouble [2]trouble    // by effect
	last    atomic.Int64  // when the last of them was, in nanoseconds of Unix

	mu   sync.Mutex // guards link
	link *link

	makes  bool // with a connection string, what is missing is made
	making sync.Mutex
	made   atomic.Bool
}

// link is one client, and whether it ever reached the account.
type link struct {
	client *azcosmos.Client
	proven atomic.Bool
}

// Open checks the options and makes the client. It does not dial. With a connection string the database and its
// containers are made at the first use; with a credential they are expected to exist.
func Open(o Options) (*Store, error) {
	switch {
	case o.Database == "":
		return nil, errors.New("open Cosmos DB: the name of the database is empty")
	case o.ConnectionString == "" && (o.Endpoint == "" || o.Credential == nil):
		return nil, errors.New("open Cosmos DB: want a connection string, or an endpoint with a credential")
	}
	s := &Store{options: o, log: o.Log, makes: o.ConnectionString != ""}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	l, err := s.dialless()
	if err != nil {
		return nil, fmt.Errorf("open Cosmos DB: %w", err)
	}
	s.link = l
	return s, nil
}

// dialless makes a client that has not spoken to the account yet.
func (s *Store) dialless() (*link, error) {
	options := &azcosmos.ClientOptions{ClientOptions: azcore.ClientOptions{Cloud: s.options.Cloud, PerRetryPolicies: []policy.Policy{meter{s}}}}
	var client *azcosmos.Client
	var err error
	if s.options.ConnectionString != "" {
		client, err = azcosmos.NewClientFromConnectionString(s.options.ConnectionString, options)
	} else {
		client, err = azcosmos.NewClient(s.options.Endpoint, s.options.Credential, options)
	}
	if err != nil {
		return nil, err
	}
	return &link{client: client}, nil
}

// linked is the client in use.
func (s *Store) linked() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

// renew replaces a client that never reached the account: the SDK remembers the first failure for five minutes, and
// would answer with it although the account is back.
func (s *Store) renew(bad *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bad.proven.Load() || s.link != bad {
		return
	}
	next, err := s.dialless()
	if err != nil {
		s.log.Error("Cosmos DB client not renewed", "reason", err)
		return
	}
	bad.client.Close()
	s.link = next
}

// Close lets go of the client's caches. Connections end when they have been idle.
func (s *Store) Close() { s.linked().client.Close() }

// Charge is the sum of the request units that all answers named since the store was opened, refused tries included.
func (s *Store) Charge() float64 { return math.Float64frombits(s.charge.Load()) }

// Ping tells whether the store can be read, by asking for a document that need not exist.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Read(ctx, graph.StateKey("ping", "ping"))
	if errors.Is(err, graph.ErrNotFound) {
		return nil
	}
	return err
}

// meter is the step of the client's pipeline that adds up request units.
type meter struct{ *Store }

// Do passes a request on and counts what its answer cost.
func (m meter) Do(r *policy.Request) (*http.Response, error) {
	answer, err := r.Next()
	if err == nil {
		if units, err := strconv.ParseFloat(answer.Header.Get("x-ms-request-charge"), 64); err == nil {
			m.spend(units)
		}
		if answer.StatusCode == http.StatusTooManyRequests {
			m.refused.Add(1)
			m.last.Store(time.Now().UnixNano())
		}
	}
	return answer, err
}

// Throttled counts the requests that were refused because the throughput was used up, since the store was opened, and
// tells when the last was.
func (s *Store) Throttled() (n int64, last time.Time) {
	return s.refused.Load(), time.Unix(0, s.last.Load()).UTC()
}

func (s *Store) spend(units float64) {
	for {
		old := s.charge.Load()
		if s.charge.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+units)) {
			return
		}
	}
}
