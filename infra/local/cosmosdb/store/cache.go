package store

import (
	"container/list"
	"sync"
)

// cacheBytes bounds the documents that the store holds in memory beside the file.
const cacheBytes = 192 << 20

// entryBytes is what a cached document costs beyond its texts.
const entryBytes = 256

// cache holds documents as they were last committed, the least recently used go first. It never shows what is older than the
// file: the writer takes the documents of a group out before the commit and puts the new ones in after it, and
// what a reader has fetched meanwhile is not kept.
type cache struct {
	mu    sync.Mutex
	epoch int64 // odd while a group commits
	items map[Key]*list.Element
	order *list.List // of Document, the latest used first
	size  int
}

func newCache() *cache { return &cache{items: map[Key]*list.Element{}, order: list.New()} }

func cost(d Document) int {
	return len(d.Body) + len(d.Partition) + len(d.ID) + entryBytes
}

// get finds a document; the epoch is for offer.
func (c *cache) get(k Key) (d Document, found bool, epoch int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, found := c.items[k]
	if !found {
		return Document{}, false, c.epoch
	}
	c.order.MoveToFront(e)
	return e.Value.(Document), true, c.epoch
}

// offer keeps what was read from the file, unless a group has begun to commit since epoch.
func (c *cache) offer(d Document, epoch int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch == c.epoch && epoch%2 == 0 {
		c.put(d)
	}
}

func (c *cache) put(d Document) {
	c.drop(d.Key)
	c.items[d.Key] = c.order.PushFront(d)
	c.size += cost(d)
	for c.size > cacheBytes {
		c.drop(c.order.Back().Value.(Document).Key)
	}
}

func (c *cache) drop(k Key) {
	if e, ok := c.items[k]; ok {
		c.size -= cost(e.Value.(Document))
		c.order.Remove(e)
		delete(c.items, k)
	}
}

// begin forgets what a group is about to change.
func (c *cache) begin(changed map[Key]*Document, everything bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	if everything {
		clear(c.items)
		c.order.Init()
		c.size = 0
	}
	for k := range changed {
		c.drop(k)
	}
}

// end puts in what the group has committed; nothing after a failure.
func (c *cache) end(changed map[Key]*Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	for _, d := range changed {
		if d != nil {
			c.put(*d)
		}
	}
}
