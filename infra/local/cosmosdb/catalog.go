package cosmosdb

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"throughline/infra/local/cosmosdb/store"
	"throughline/infra/local/cosmosdb/value"
)

// The kinds of resources in the store.
const (
	kindDatabase  = "database"
	kindContainer = "container"
	kindOffer     = "offer"
	kindIndex     = "index"
)

// catalog holds the databases, containers and offers. The store has them too; the catalog changes after the commit.
type catalog struct {
	change     sync.Mutex // one change at a time, over the commit
	mu         sync.RWMutex
	databases  map[string]*database
	containers map[string]*container // by database/container
	offers     map[string]value.Value
}

type database struct {
	id   string
	rid  string
	body value.Value
}

// container does not change: a replace makes a new one that shares state.
type container struct {
	database string
	id       string
	rid      string
	self     string
	number   int64 // of its documents in the store
	body     value.Value
	paths    [][]string // of the partition key
	uniques  [][][]string
	ttl      int64 // seconds; 0 = off, -1 = on without a default
	state    *containerState
}

// containerState is what changes in a container. Only the store's writing goroutine changes it.
type containerState struct {
	gone    atomic.Bool
	indexes atomic.Pointer[[]*propertyIndex]
}

func containerKey(db, id string) string { return db + "/" + id }

func loadCatalog(ctx context.Context, s *store.Store) (*catalog, error) {
	c := &catalog{databases: map[string]*database{}, containers: map[string]*container{}, offers: map[string]value.Value{}}
	list, err := s.Resources(ctx)
	if err != nil {
		return nil, fmt.Errorf("load resources: %w", err)
	}
	for _, r := range list {
		body, err := value.Parse(r.Body)
		if err != nil {
			return nil, fmt.Errorf("load %s %s: %w", r.Kind, r.Name, err)
		}
		switch r.Kind {
		case kindDatabase:
			c.databases[r.Name] = &database{id: r.Name, rid: body.Get("_rid").Text(), body: body}
		case kindContainer:
			db, _, _ := strings.Cut(r.Name, "/")
			k, fail := newContainer(db, body)
			if fail != nil {
				return nil, fmt.Errorf("load container %s: %w", r.Name, fail)
			}
			c.containers[r.Name] = k
		case kindOffer:
			c.offers[r.Name] = body
		}
	}
	return c, c.loadIndexes(ctx, s, list)
}

func (c *catalog) database(id string) *database {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.databases[id]
}

func (c *catalog) container(db, id string) *container {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.containers[containerKey(db, id)]
}

// databaseBodies and containerBodies are sorted by id.
func (c *catalog) databaseBodies() []value.Value {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var list []value.Value
	for _, d := range c.databases {
		list = append(list, d.body)
	}
	return sortedByID(list)
}

func (c *catalog) containerBodies(db string) []value.Value {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var list []value.Value
	for _, k := range c.containers {
		if k.database == db {
			list = append(list, k.body)
		}
	}
	return sortedByID(list)
}

func (c *catalog) offerBodies() []value.Value {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var list []value.Value
	for _, o := range c.offers {
		list = append(list, o)
	}
	return sortedByID(list)
}

func sortedByID(list []value.Value) []value.Value {
	slices.SortFunc(list, func(a, b value.Value) int { return value.Compare(a.Get("id"), b.Get("id")) })
	return list
}

// encodeRID is base64 with - for /, as Azure writes resource ids.
func encodeRID(b []byte) string {
	return strings.ReplaceAll(base64.StdEncoding.EncodeToString(b), "/", "-")
}

func databaseRID(number int64) string {
	return encodeRID(binary.BigEndian.AppendUint32(nil, uint32(number)))
}

// containerRID appends the number of the container, its highest bit set, to the id of the database.
func containerRID(database string, number int64) string {
	return encodeRID(binary.BigEndian.AppendUint32(decodeRID(database), uint32(number)|1<<31))
}

func documentRID(container string, number int64) string {
	return encodeRID(binary.LittleEndian.AppendUint64(decodeRID(container), uint64(number)))
}

func decodeRID(rid string) []byte {
	b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(rid, "-", "/"))
	if err != nil {
		return nil
	}
	return b
}

// etagOf is the ETag of a write, in the shape of Azure's: its number is all it needs.
func etagOf(lsn int64) string {
	b := append(make([]byte, 0, 38), `"00000000-0000-0700-`...)
	b = appendHex(b, uint64(lsn)>>48, 4)
	b = append(b, '-')
	b = appendHex(b, uint64(lsn), 12)
	return string(append(b, '"'))
}

// appendHex writes the last digits of n.
func appendHex(b []byte, n uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		b = append(b, "0123456789abcdef"[n>>(4*i)&15])
	}
	return b
}

// withSystem adds the properties that the server gives every resource.
func withSystem(body value.Value, rid, self string, etag string, now time.Time) value.Value {
	return body.With("_rid", value.OfString(rid)).With("_self", value.OfString(self)).
		With("_etag", value.OfString(etag)).With("_ts", value.OfNumber(float64(now.Unix())))
}
