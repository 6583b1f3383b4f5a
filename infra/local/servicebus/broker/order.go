package broker

import (
	"container/heap"
	"sort"
)

// message is what memory keeps of a message; the content may lie on disk only.
type message struct {
	seq        int64
	enqueued   int64
	at         int64 // when it is due, for a scheduled message; else when it expires, 0 = never
	place      place
	size       uint32
	deliveries uint32
	state      State
	gone       bool
	index      int32 // in its queue's timeline, -1 = not there
	content    []byte
	session    *session
	lock       *lock
}

// roll holds every message of a queue in the order of sequence numbers. Numbers only grow, so adding is appending.
type roll struct {
	entries []entry
	dead    int
}

type entry struct {
	seq int64
	m   *message
}

func (r *roll) add(m *message) { r.entries = append(r.entries, entry{m.seq, m}) }

func (r *roll) search(seq int64) int {
	return sort.Search(len(r.entries), func(i int) bool { return r.entries[i].seq >= seq })
}

func (r *roll) get(seq int64) *message {
	if i := r.search(seq); i < len(r.entries) && r.entries[i].seq == seq {
		return r.entries[i].m
	}
	return nil
}

func (r *roll) remove(m *message) {
	i := r.search(m.seq)
	if i == len(r.entries) || r.entries[i].m != m {
		return
	}
	r.entries[i].m = nil
	if r.dead++; r.dead > 64 && r.dead > len(r.entries)/2 {
		r.squeeze()
	}
}

func (r *roll) squeeze() {
	live := make([]entry, 0, len(r.entries)-r.dead+64)
	for _, e := range r.entries {
		if e.m != nil {
			live = append(live, e)
		}
	}
	r.entries, r.dead = live, 0
}

func (r *roll) len() int { return len(r.entries) - r.dead }

// from calls f with the messages from seq on until it returns false.
func (r *roll) from(seq int64, f func(*message) bool) {
	for _, e := range r.entries[r.search(seq):] {
		if e.m != nil && !f(e.m) {
			return
		}
	}
}

// line holds the messages that can be delivered, in the order of sequence numbers: those that came first stand
// in a row, those that came back in a heap, and the smaller front goes first.
type line struct {
	fresh    []*message
	head     int
	returned bySequence
	n        int
}

func (l *line) push(m *message) { l.fresh = append(l.fresh, m); l.n++ }

func (l *line) giveBack(m *message) { heap.Push(&l.returned, m); l.n++ }

// lost tells that a message in the line is gone; it is left out when its turn comes.
func (l *line) lost() { l.n-- }

func (l *line) pop() *message {
	m := l.front()
	if m == nil {
		return nil
	}
	if l.head < len(l.fresh) && l.fresh[l.head] == m {
		l.step()
	} else {
		heap.Pop(&l.returned)
	}
	l.n--
	return m
}

// front is the next message, nil when there is none.
func (l *line) front() *message {
	for l.head < len(l.fresh) && l.fresh[l.head].gone {
		l.step()
	}
	for len(l.returned) > 0 && l.returned[0].gone {
		heap.Pop(&l.returned)
	}
	switch {
	case l.head == len(l.fresh) && len(l.returned) == 0:
		return nil
	case l.head == len(l.fresh):
		return l.returned[0]
	case len(l.returned) == 0 || l.fresh[l.head].seq < l.returned[0].seq:
		return l.fresh[l.head]
	}
	return l.returned[0]
}

func (l *line) step() {
	l.fresh[l.head] = nil
	if l.head++; l.head == len(l.fresh) {
		l.fresh, l.head = l.fresh[:0], 0
	} else if l.head > 1024 && l.head > len(l.fresh)/2 {
		l.fresh = append(make([]*message, 0, len(l.fresh)-l.head+64), l.fresh[l.head:]...)
		l.head = 0
	}
}

type bySequence []*message

func (h bySequence) Len() int           { return len(h) }
func (h bySequence) Less(i, j int) bool { return h[i].seq < h[j].seq }
func (h bySequence) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *bySequence) Push(x any)        { *h = append(*h, x.(*message)) }
func (h *bySequence) Pop() any {
	old := *h
	m := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return m
}

// timeline is a heap of messages by their next appointed time.
type timeline []*message

func (t timeline) Len() int           { return len(t) }
func (t timeline) Less(i, j int) bool { return t[i].at < t[j].at }
func (t timeline) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = int32(i), int32(j)
}
func (t *timeline) Push(x any) {
	m := x.(*message)
	m.index = int32(len(*t))
	*t = append(*t, m)
}
func (t *timeline) Pop() any {
	old := *t
	m := old[len(old)-1]
	old[len(old)-1] = nil
	m.index = -1
	*t = old[:len(old)-1]
	return m
}

func (t *timeline) drop(m *message) {
	if m.index >= 0 {
		heap.Remove(t, int(m.index))
	}
}

// lock is a peek-lock. Locks of one queue form a list in the order in which they end.
type lock struct {
	token      Token
	m          *message
	until      int64
	prev, next *lock
}

// locks orders by end; most locks are set at the end, because their duration is that of the queue.
type locks struct {
	byToken     map[Token]*lock
	first, last *lock
}

func (l *locks) add(k *lock) {
	if l.byToken == nil {
		l.byToken = map[Token]*lock{}
	}
	l.byToken[k.token] = k
	l.insert(k)
}

func (l *locks) insert(k *lock) {
	after := l.last
	for after != nil && after.until > k.until {
		after = after.prev
	}
	k.prev = after
	if after == nil {
		k.next, l.first = l.first, k
	} else {
		k.next, after.next = after.next, k
	}
	if k.next == nil {
		l.last = k
	} else {
		k.next.prev = k
	}
}

func (l *locks) unlink(k *lock) {
	if k.prev == nil {
		l.first = k.next
	} else {
		k.prev.next = k.next
	}
	if k.next == nil {
		l.last = k.prev
	} else {
		k.next.prev = k.prev
	}
	k.prev, k.next = nil, nil
}

func (l *locks) remove(k *lock) {
	l.unlink(k)
	delete(l.byToken, k.token)
}

func (l *locks) renew(k *lock, until int64) {
	l.unlink(k)
	k.until = until
	l.insert(k)
}
