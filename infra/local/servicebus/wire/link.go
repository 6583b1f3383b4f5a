package wire

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"throughline/infra/local/servicebus/amqp"
	"throughline/infra/local/servicebus/broker"
)

const (
	managementSuffix = "/$management"
	cbsAddress       = "$cbs"
	sessionFilter    = "com.microsoft:session-filter"
	maxMessageSize   = 262144
	// senderCredit is what a sending client may have under way.
	senderCredit = 1000
)

// node is what a link leads to.
type node int

const (
	toEntity node = iota
	toManagement
	toCBS
)

// link is one link. The fields after the blank line are guarded by the connection's mu.
type link struct {
	s        *session
	handle   uint32
	name     string
	address  string // entity, or the target of a receiver of answers
	node     node
	receiver bool // the client receives
	settled  bool // deliveries go out settled
	queue    *broker.Queue
	path     string // of the entity
	limits   int    // bytes of a message
	part     *amqp.Transfer
	body     []byte
	consumer *broker.Consumer
	paused   atomic.Bool

	count    uint32 // deliveries so far
	limit    uint32 // count that credit allows
	done     uint32 // of a sending client: deliveries that are settled
	answers  [][]byte
	retiring *broker.Fault // detach with it when nothing is under way
	detached bool
}

func (s *session) attach(a *amqp.Attach) error {
	if s.links[a.Handle] != nil {
		return &broker.Fault{Condition: "amqp:session:handle-in-use", Description: fmt.Sprintf("Handle %d is in use.", a.Handle)}
	}
	if s.c.links >= maxLinks {
		return &broker.Fault{Condition: "amqp:resource-limit-exceeded", Description: "There are too many links on the connection."}
	}
	l, err := s.open(a)
	if err == nil && l.node == toEntity {
		err = s.c.trouble("attach", l.path)
	}
	if err != nil {
		s.refuse(a, broker.AsFault(err))
		return nil
	}
	s.c.mu.Lock()
	s.links[a.Handle] = l
	s.c.mu.Unlock()
	s.c.links++
	l.start(a)
	return nil
}

// refuse answers with an attach that leads nowhere, and ends it with the reason.
func (s *session) refuse(a *amqp.Attach, f *broker.Fault) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.addRefusal(a, f)
}

func (s *session) addRefusal(a *amqp.Attach, f *broker.Fault) {
	s.add(&amqp.Attach{Name: a.Name, Handle: a.Handle, Receiver: !a.Receiver, SndSettleMode: a.SndSettleMode, RcvSettleMode: a.RcvSettleMode})
	s.add(&amqp.Detach{Handle: a.Handle, Closed: true, Error: errorOf(f)})
}

func (s *session) open(a *amqp.Attach) (*link, error) {
	if a.Coordinator {
		return nil, &broker.Fault{Condition: "amqp:not-implemented", Description: "Transactions are not supported."}
	}
	end := a.Target
	if a.Receiver {
		end = a.Source
	}
	if end == nil || end.Address == "" {
		return nil, &broker.Fault{Condition: "amqp:invalid-field", Description: "The link has no address."}
	}
	l := &link{s: s, handle: a.Handle, name: a.Name, address: end.Address, receiver: a.Receiver, limits: maxMessageSize,
		settled: a.SndSettleMode == amqp.SenderSettled}
	switch path := strings.Trim(end.Address, "/"); {
	case strings.EqualFold(path, cbsAddress):
		return l, l.openCBS()
	case len(path) > len(managementSuffix) && strings.EqualFold(path[len(path)-len(managementSuffix):], managementSuffix):
		l.node = toManagement
		return l, l.openEntity(path[:len(path)-len(managementSuffix)], Send|Listen)
	case a.Receiver:
		return l, l.openEntity(path, Listen)
	default:
		return l, l.openEntity(path, Send)
	}
}

func (l *link) openCBS() error {
	l.node = toCBS
	role := 0
	if l.receiver {
		role = 1
	}
	if l.s.c.cbs[role] != nil {
		return &broker.Fault{Condition: "amqp:not-allowed", Description: "There is a link to $cbs on this connection already."}
	}
	l.s.c.cbs[role] = l
	return nil
}

// openEntity finds the queue and asks for any of the rights.
func (l *link) openEntity(address string, rights Rights) error {
	q, err := l.s.c.s.Broker.Find(address)
	if err != nil {
		return &broker.Fault{Condition: broker.ErrNotFound.Condition, Description: fmt.Sprintf("The messaging entity '%s' could not be found.", address)}
	}
	l.queue, l.path = q, AudiencePath("amqp://host/"+strings.TrimPrefix(address, "/"))
	if strings.Contains(address, "://") {
		l.path = AudiencePath(address)
	}
	if l.s.c.allowed(l.path)&rights != 0 {
		return nil
	}
	claim := "Send"
	if rights == Listen {
		claim = "Listen"
	}
	return &broker.Fault{Condition: "amqp:unauthorized-access", Description: fmt.Sprintf("Unauthorized access. '%s' claim(s) are required to perform this operation. Resource: '%s'.", claim, address)}
}

func (c *conn) allowed(path string) Rights {
	var r Rights
	for _, g := range c.grants {
		if g.valid(path, time.Now()) {
			r |= g.Rights
		}
	}
	return r
}

// start answers the attach, at once or when a session is there.
func (l *link) start(a *amqp.Attach) {
	switch {
	case !l.receiver:
		l.startSender(a)
	case l.node == toEntity:
		l.startReceiver(a)
	default:
		if a.Target != nil && a.Target.Address != "" {
			l.address = a.Target.Address
		}
		l.s.c.mu.Lock()
		l.s.c.replies[l.address] = l
		l.s.add(l.reply(a))
		l.s.c.mu.Unlock()
	}
}

func (l *link) reply(a *amqp.Attach) *amqp.Attach {
	r := &amqp.Attach{Name: a.Name, Handle: a.Handle, Receiver: !a.Receiver, SndSettleMode: a.SndSettleMode, RcvSettleMode: a.RcvSettleMode,
		Source: a.Source, Target: a.Target}
	if r.Source == nil {
		r.Source = &amqp.Terminus{}
	}
	if r.Target == nil {
		r.Target = &amqp.Terminus{}
	}
	return r
}

func (l *link) startSender(a *amqp.Attach) {
	r := l.reply(a)
	if l.node == toEntity {
		l.limits = int(l.s.c.s.Broker.MaxMessageSize(l.queue))
	}
	r.MaxMessageSize = uint64(l.limits)
	l.s.c.mu.Lock()
	defer l.s.c.mu.Unlock()
	l.s.add(r)
	l.limit = senderCredit
	l.s.addFlow(l, false)
}

func (l *link) startReceiver(a *amqp.Attach) {
	mode := broker.Mode{Deletes: l.settled}
	if v, ok := filterValue(a.Source.Filter, sessionFilter); ok {
		if id, isString := v.(string); isString {
			mode.Session = &id
		} else {
			mode.Next = true
		}
		if ms, ok := a.Properties.Get("com.microsoft:timeout").(uint32); ok {
			mode.Timeout = time.Duration(ms) * time.Millisecond
		}
	}
	k := l.s.c.s.Broker.Prepare(l.queue, l)
	l.s.c.mu.Lock()
	l.consumer = k
	l.s.c.mu.Unlock()
	l.s.c.s.Broker.Attach(k, mode, func(err error) { l.attached(a, k, err) })
}

// attached answers the attach of a receiver; the broker's lock is held.
func (l *link) attached(a *amqp.Attach, k *broker.Consumer, err error) {
	c := l.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		l.detached = true
		l.s.addRefusal(a, broker.AsFault(err))
		return
	}
	r := l.reply(a)
	if id, until, ok := k.SessionID(); ok {
		source := *a.Source
		source.Filter = amqp.Map{{Key: amqp.Symbol(sessionFilter), Value: amqp.Described{Descriptor: uint64(0x137000000C), Value: id}}}
		r.Source = &source
		r.Properties = amqp.Map{{Key: amqp.Symbol("com.microsoft:locked-until-utc"), Value: ticks(until)}}
	}
	l.s.add(r)
}

// ticks is a time in milliseconds since 1970 as .NET counts it: 100 ns since the year 1.
func ticks(ms int64) int64 { return ms*10000 + 621355968000000000 }

func filterValue(m amqp.Map, name string) (any, bool) {
	for _, p := range m {
		if k, ok := p.Key.(amqp.Symbol); !ok || string(k) != name {
			continue
		}
		if d, ok := p.Value.(amqp.Described); ok {
			return d.Value, true
		}
		return p.Value, true
	}
	return nil, false
}

// release gives back what the link holds in the broker.
func (l *link) release() {
	if l.consumer != nil {
		l.s.c.s.Broker.Detach(l.consumer)
	}
}

// flow takes the credit that the client gives, or that it says it has left.
func (l *link) flow(f *amqp.Flow) {
	if !l.receiver {
		if f.Echo {
			l.s.sendFlow(l)
		}
		return
	}
	c := l.s.c
	c.mu.Lock()
	l.limit = f.DeliveryCount + f.LinkCredit
	l.sendAnswers()
	limit := l.limit
	c.mu.Unlock()
	b := c.s.Broker
	switch {
	case l.consumer == nil:
	case f.Drain:
		b.Drain(l.consumer, limit)
	default:
		b.Credit(l.consumer, limit)
	}
	if f.Drain {
		c.mu.Lock()
		l.count = l.limit
		l.s.addFlow(l, true)
		c.mu.Unlock()
	} else if f.Echo {
		l.s.sendFlow(l)
	}
}

// answer sends a message to a receiver of answers, when it has credit.
func (c *conn) answer(to string, message []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.replies[to]; l != nil {
		l.answers = append(l.answers, message)
		l.sendAnswers()
	}
}

func (l *link) sendAnswers() {
	for len(l.answers) > 0 && int32(l.limit-l.count) > 0 && !l.detached {
		l.count++
		tag := []byte{byte(l.count >> 24), byte(l.count >> 16), byte(l.count >> 8), byte(l.count)}
		l.s.emit(l, l.answers[0], tag, true)
		l.answers = l.answers[1:]
	}
}

// Deliver implements broker.Sink.
func (l *link) Deliver(d *broker.Delivery) {
	c := l.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.detached || l.s.ended || c.last {
		return
	}
	l.count++
	payload := d.Append(make([]byte, 0, d.Size()))
	id := l.s.emit(l, payload, deliveryTag(d.Token), d.Settled)
	if !d.Settled {
		l.s.await(id, unsettled{l: l, token: d.Token})
	}
	l.pace()
}

// pace holds the next delivery back for as long as a fault switch says; mu is held.
func (l *link) pace() {
	c := l.s.c
	if c.s.Fault == nil {
		return
	}
	if delay, _ := c.s.Fault.Before("receive", l.path); delay > 0 {
		l.paused.Store(true)
		time.AfterFunc(delay, func() {
			l.paused.Store(false)
			c.s.Broker.Resume(l.consumer)
		})
	}
}

// deliveryTag is a lock token in the byte order of a .NET Guid.
func deliveryTag(t broker.Token) []byte {
	return []byte{t[3], t[2], t[1], t[0], t[5], t[4], t[7], t[6], t[8], t[9], t[10], t[11], t[12], t[13], t[14], t[15]}
}

// Full implements broker.Sink.
func (l *link) Full() bool {
	if l.paused.Load() {
		return true
	}
	if l.s.c.queued.Load() < high {
		return false
	}
	l.s.c.stalled.Store(true)
	return l.s.c.queued.Load() >= high
}

// retire detaches the link of a sending client as soon as what it sent is settled: a client that does not learn
// what became of a message sends it again. What comes from now on is not taken.
func (l *link) retire(f *broker.Fault) {
	l.s.c.mu.Lock()
	defer l.s.c.mu.Unlock()
	l.retiring = f
	l.leave()
}

func (l *link) leave() {
	if l.retiring != nil && l.done == l.count {
		l.detach(l.retiring)
	}
}

// Detach implements broker.Sink.
func (l *link) Detach(f *broker.Fault) {
	l.s.c.mu.Lock()
	defer l.s.c.mu.Unlock()
	l.detach(f)
}

func (l *link) detach(f *broker.Fault) {
	if l.detached {
		return
	}
	l.detached = true
	l.s.add(&amqp.Detach{Handle: l.handle, Closed: true, Error: errorOf(f)})
}
