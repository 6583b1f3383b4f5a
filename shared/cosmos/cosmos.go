// Package cosmos keeps the graph in Azure Cosmos DB: graph.Store over the azcosmos client.
//
// A document is {"id", "pk" (in the worklist "org"), "kind", "v", "data"}: the noun lies under data, so that its own
// fields never meet those of the envelope. Only point reads and writes, transactional batches and single-partition
// queries are used. The package decides nothing and caches nothing.
package cosmos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/shared/graph"
)

// Options say where the store is. Either a connection string or an endpoint with a credential.
type Options struct {
	ConnectionString string
	Endpoint         string
	Credential       azcore.TokenCredential
	Database         string
	Cloud            cloud.Configuration
	Log              *slog.Logger
}

// Store is the graph in Cosmos DB. It is safe for concurrent use.
type Store struct {
	client   *azcosmos.Client
	database string
	create   bool // with a connection string, what is missing is made
	ready    atomic.Bool
	making   sync.Mutex
	charge   atomic.Uint64 // bits of a float64
	log      *slog.Logger
}

// Open makes the client. It does not dial; with a connection string the database and its containers are made with the
// first use, with a credential they are expected to exist.
func Open(o Options) (*Store, error) {
	if o.Database == "" {
		return nil, errors.New("the name of the database is empty")
	}
	s := &Store{database: o.Database, create: o.ConnectionString != "", log: o.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.ready.Store(!s.create)
	options := &azcosmos.ClientOptions{ClientOptions: azcore.ClientOptions{Cloud: o.Cloud}}
	var err error
	if s.create {
		s.client, err = azcosmos.NewClientFromConnectionString(o.ConnectionString, options)
	} else {
		s.client, err = azcosmos.NewClient(o.Endpoint, o.Credential, options)
	}
	if err != nil {
		return nil, fmt.Errorf("open Cosmos DB: %w", err)
	}
	return s, nil
}

// Charge is the sum of the request units of all answers since the store was opened.
func (s *Store) Charge() float64 { return math.Float64frombits(s.charge.Load()) }

func (s *Store) spend(units float32) {
	for {
		old := s.charge.Load()
		if s.charge.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+float64(units))) {
			return
		}
	}
}

// Ping asks for one document that need not exist.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Read(ctx, graph.StateKey("ping", "ping"))
	if errors.Is(err, graph.ErrNotFound) {
		return nil
	}
	return err
}

// containers and the path of their partition keys.
var containers = map[graph.Container]string{graph.GraphContainer: "/pk", graph.WorklistContainer: "/org", graph.StateContainer: "/pk"}

func (s *Store) container(ctx context.Context, c graph.Container) (*azcosmos.ContainerClient, error) {
	if _, ok := containers[c]; !ok {
		return nil, fmt.Errorf("container %q does not exist", c)
	}
	if err := s.make(ctx); err != nil {
		return nil, err
	}
	return s.client.NewContainer(s.database, string(c))
}

// make creates the database and the containers where that is ours to do.
func (s *Store) make(ctx context.Context) error {
	if s.ready.Load() {
		return nil
	}
	s.making.Lock()
	defer s.making.Unlock()
	if s.ready.Load() {
		return nil
	}
	if _, err := s.client.CreateDatabase(ctx, azcosmos.DatabaseProperties{ID: s.database}, nil); err != nil && status(err) != http.StatusConflict {
		return fmt.Errorf("create database %s: %w", s.database, err)
	}
	db, err := s.client.NewDatabase(s.database)
	if err != nil {
		return err
	}
	for name, path := range containers {
		p := azcosmos.ContainerProperties{ID: string(name), PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{path}}}
		if _, err := db.CreateContainer(ctx, p, nil); err != nil && status(err) != http.StatusConflict {
			return fmt.Errorf("create container %s: %w", name, err)
		}
	}
	s.ready.Store(true)
	return nil
}

// stored is a document as it lies in a container.
type stored struct {
	ID   string          `json:"id"`
	PK   string          `json:"pk,omitempty"`
	Org  string          `json:"org,omitempty"`
	Kind graph.Kind      `json:"kind"`
	V    int             `json:"v"`
	Data json.RawMessage `json:"data"`
	ETag string          `json:"_etag,omitempty"`
}

func encode(w graph.Write) ([]byte, error) {
	d := stored{ID: w.Key.ID, Kind: w.Kind, V: 1, Data: w.Data}
	if w.Key.Container == graph.WorklistContainer {
		d.Org = w.Key.Partition
	} else {
		d.PK = w.Key.Partition
	}
	return json.Marshal(d)
}

func decode(k graph.Key, raw []byte, etag string) (graph.Document, error) {
	var d stored
	if err := json.Unmarshal(raw, &d); err != nil {
		return graph.Document{}, fmt.Errorf("document %s does not decode: %w", k, err)
	}
	if etag == "" {
		etag = d.ETag
	}
	k.ID = d.ID
	return graph.Document{Key: k, Kind: d.Kind, ETag: etag, Data: d.Data}, nil
}

// Read reads one document.
func (s *Store) Read(ctx context.Context, k graph.Key) (graph.Document, error) {
	c, err := s.container(ctx, k.Container)
	if err != nil {
		return graph.Document{}, err
	}
	var d graph.Document
	err = s.retry(ctx, true, func() error {
		r, err := c.ReadItem(ctx, azcosmos.NewPartitionKeyString(k.Partition), k.ID, nil)
		if err != nil {
			return err
		}
		s.spend(r.RequestCharge)
		d, err = decode(k, r.Value, string(r.ETag))
		return err
	})
	return d, translate(err)
}

// Write applies all changes or none.
func (s *Store) Write(ctx context.Context, changes ...graph.Write) error {
	if err := graph.CheckWrites(changes); err != nil || len(changes) == 0 {
		return err
	}
	c, err := s.container(ctx, changes[0].Key.Container)
	if err != nil {
		return err
	}
	if len(changes) == 1 {
		return translate(s.retry(ctx, false, func() error { return s.write(ctx, c, changes[0]) }))
	}
	return translate(s.retry(ctx, false, func() error { return s.batch(ctx, c, changes) }))
}

func (s *Store) write(ctx context.Context, c *azcosmos.ContainerClient, w graph.Write) error {
	pk := azcosmos.NewPartitionKeyString(w.Key.Partition)
	options := &azcosmos.ItemOptions{}
	if w.ETag != "" && w.ETag != graph.Any {
		etag := azcore.ETag(w.ETag)
		options.IfMatchEtag = &etag
	}
	body, err := encode(w)
	if err != nil {
		return fmt.Errorf("encode %s: %w", w.Key, err)
	}
	var r azcosmos.ItemResponse
	switch {
	case w.Data == nil:
		r, err = c.DeleteItem(ctx, pk, w.Key.ID, options)
	case w.ETag == "":
		r, err = c.CreateItem(ctx, pk, body, options)
	case w.ETag == graph.Any:
		r, err = c.UpsertItem(ctx, pk, body, options)
	default:
		r, err = c.ReplaceItem(ctx, pk, w.Key.ID, body, options)
		if status(err) == http.StatusNotFound {
			return graph.ErrStale // it was there when its ETag was read
		}
	}
	s.spend(r.RequestCharge)
	return err
}

func (s *Store) batch(ctx context.Context, c *azcosmos.ContainerClient, changes []graph.Write) error {
	b := c.NewTransactionalBatch(azcosmos.NewPartitionKeyString(changes[0].Key.Partition))
	for _, w := range changes {
		body, err := encode(w)
		if err != nil {
			return fmt.Errorf("encode %s: %w", w.Key, err)
		}
		options := &azcosmos.TransactionalBatchItemOptions{}
		if w.ETag != "" && w.ETag != graph.Any {
			etag := azcore.ETag(w.ETag)
			options.IfMatchETag = &etag
		}
		switch {
		case w.Data == nil:
			b.DeleteItem(w.Key.ID, options)
		case w.ETag == "":
			b.CreateItem(body, options)
		case w.ETag == graph.Any:
			b.UpsertItem(body, options)
		default:
			b.ReplaceItem(w.Key.ID, body, options)
		}
	}
	r, err := c.ExecuteTransactionalBatch(ctx, b, nil)
	s.spend(r.RequestCharge)
	if err != nil || r.Success {
		return err
	}
	for _, o := range r.OperationResults {
		if o.StatusCode != http.StatusFailedDependency && o.StatusCode >= 400 {
			return batchError(o.StatusCode)
		}
	}
	return errors.New("the batch was refused without a reason")
}

func batchError(code int32) error {
	switch code {
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusNotFound:
		return graph.ErrStale
	}
	return &azcore.ResponseError{StatusCode: int(code), ErrorCode: http.StatusText(int(code))}
}

// translate makes the errors of the store's contract.
func translate(err error) error {
	switch status(err) {
	case http.StatusNotFound:
		return graph.ErrNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return graph.ErrStale
	}
	return err
}

func status(err error) int {
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// retry tries again what Cosmos DB asks to be tried again, after the SDK's own three tries, until the context ends.
func (s *Store) retry(ctx context.Context, reading bool, do func() error) error {
	wait := 50 * time.Millisecond
	for {
		err := do()
		again := false
		switch status(err) {
		case http.StatusTooManyRequests, 449, http.StatusServiceUnavailable:
			again = true
		case http.StatusRequestTimeout, http.StatusGone:
			again = reading
		}
		if !again {
			return err
		}
		s.log.DebugContext(ctx, "store tries again", "reason", err)
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}
