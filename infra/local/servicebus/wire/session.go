package wire

import (
	"throughline/infra/local/servicebus/amqp"
	"throughline/infra/local/servicebus/broker"
)

// incomingWindow is so large that no client ever waits for it; flows renew it.
const incomingWindow = 1 << 30

// session is one AMQP session. What stands after the blank line is guarded by the connection's mu, and links is
// changed under it; the rest belongs to the reader.
type session struct {
	c       *conn
	channel uint16

	links        map[uint32]*link
	nextIncoming uint32
	nextOutgoing uint32
	nextDelivery uint32
	window       uint32 // frames that the peer takes yet
	backlog      []amqp.Transfer
	unsettled    map[uint32]unsettled
	oldest       uint32 // no unsettled delivery has a lower id
	ended        bool
}

// unsettled is a delivery whose outcome is awaited.
type unsettled struct {
	l     *link
	token broker.Token
}

// maxUnsettled bounds the deliveries whose outcome is awaited: the locks of the oldest are long over.
const maxUnsettled = 1 << 16

// await notes a delivery; mu is held.
func (s *session) await(id uint32, u unsettled) {
	s.unsettled[id] = u
	for ; len(s.unsettled) > maxUnsettled; s.oldest++ {
		delete(s.unsettled, s.oldest)
	}
}

func (s *session) flow(f *amqp.Flow) {
	s.c.mu.Lock()
	if f.NextIncomingID != nil {
		s.window = *f.NextIncomingID + f.IncomingWindow - s.nextOutgoing
	} else {
		s.window = f.IncomingWindow
	}
	s.flush()
	s.c.mu.Unlock()
	if f.Handle == nil {
		if f.Echo {
			s.sendFlow(nil)
		}
		return
	}
	if l := s.links[*f.Handle]; l != nil {
		l.flow(f)
	}
}

// sendFlow tells the windows, and the credit of a link when l is not nil.
func (s *session) sendFlow(l *link) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.addFlow(l, false)
}

func (s *session) addFlow(l *link, drain bool) {
	next := s.nextIncoming
	f := &amqp.Flow{NextIncomingID: &next, IncomingWindow: incomingWindow, NextOutgoingID: s.nextOutgoing, OutgoingWindow: incomingWindow}
	if l != nil {
		f.Handle, f.DeliveryCount, f.LinkCredit, f.Drain = &l.handle, l.count, l.limit-l.count, drain
	}
	s.add(f)
}

// emit sends a message on l, as far as the window allows at once and the rest later. mu is held.
func (s *session) emit(l *link, payload, tag []byte, settled bool) (id uint32) {
	id = s.nextDelivery
	s.nextDelivery++
	t := amqp.Transfer{Handle: l.handle, DeliveryID: id, HasDeliveryID: true, DeliveryTag: tag, Settled: settled}
	room := s.c.peerMax - amqp.TransferOverhead
	for first := true; first || len(payload) > 0; first = false {
		n := min(room, len(payload))
		t.Payload, payload = payload[:n], payload[n:]
		t.More = len(payload) > 0
		s.send(t)
		t.HasDeliveryID = false
	}
	return id
}

func (s *session) send(t amqp.Transfer) {
	if s.window == 0 || len(s.backlog) > 0 {
		t.Payload = append([]byte(nil), t.Payload...)
		s.backlog = append(s.backlog, t)
		s.c.queued.Add(int64(len(t.Payload)))
		return
	}
	s.put(&t)
}

func (s *session) put(t *amqp.Transfer) {
	s.window--
	s.nextOutgoing++
	s.add(t)
}

// add sends a frame of the session unless it has ended; mu is held.
func (s *session) add(p amqp.Performative) {
	if !s.ended {
		s.c.add(amqp.FrameAMQP, s.channel, p)
	}
}

func (s *session) post(p amqp.Performative) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.add(p)
}

func (s *session) flush() {
	n := 0
	for ; n < len(s.backlog) && s.window > 0; n++ {
		s.put(&s.backlog[n])
		s.c.queued.Add(int64(-len(s.backlog[n].Payload)))
	}
	if s.backlog = s.backlog[n:]; len(s.backlog) == 0 {
		s.backlog = nil
	}
}

func (s *session) transfer(t *amqp.Transfer) error {
	s.c.mu.Lock()
	s.nextIncoming++
	s.c.mu.Unlock()
	l := s.links[t.Handle]
	if l == nil {
		return &broker.Fault{Condition: "amqp:session:unattached-handle", Description: "There is no link with this handle."}
	}
	if l.receiver { // its own deliveries come back?
		return &broker.Fault{Condition: "amqp:not-allowed", Description: "A transfer came on a link that receives."}
	}
	return l.transfer(t)
}

// disposition settles deliveries as the receiving client says.
func (s *session) disposition(d *amqp.Disposition) {
	if !d.Receiver {
		return // the client settles what it sent: nothing is kept here
	}
	var ids []uint32
	var found []unsettled
	s.c.mu.Lock()
	if n := d.Last - d.First; n < uint32(len(s.unsettled)) || n == 0 {
		for id := d.First; id-d.First <= n; id++ {
			if u, ok := s.unsettled[id]; ok {
				ids, found = append(ids, id), append(found, u)
			} else if !d.Settled && d.State != nil {
				s.addLost(id)
			}
		}
	} else {
		for id, u := range s.unsettled {
			if id-d.First <= n {
				ids, found = append(ids, id), append(found, u)
			}
		}
	}
	for _, id := range ids {
		delete(s.unsettled, id)
	}
	s.c.mu.Unlock()
	for i, u := range found {
		u.l.settle(ids[i], u.token, d)
	}
}

// addLost answers for a delivery that is not known any more.
func (s *session) addLost(id uint32) {
	s.add(&amqp.Disposition{First: id, Last: id, Settled: true,
		State: amqp.Rejected{Error: errorOf(broker.ErrLockLost)}})
}

func (s *session) detach(d *amqp.Detach) {
	l := s.links[d.Handle]
	if l == nil {
		return // the answer to a refusal
	}
	s.remove(l)
	s.c.mu.Lock()
	answered := l.detached
	l.detached = true
	if !answered {
		s.add(&amqp.Detach{Handle: l.handle, Closed: true})
	}
	s.c.mu.Unlock()
}

// remove ends a link on this side.
func (s *session) remove(l *link) {
	s.c.mu.Lock()
	delete(s.links, l.handle)
	if s.c.replies[l.address] == l {
		delete(s.c.replies, l.address)
	}
	for id, u := range s.unsettled {
		if u.l == l {
			delete(s.unsettled, id)
		}
	}
	s.c.mu.Unlock()
	s.c.links--
	for i := range s.c.cbs {
		if s.c.cbs[i] == l {
			s.c.cbs[i] = nil
		}
	}
	l.release()
}

func (s *session) end() {
	for _, l := range s.links {
		s.remove(l)
	}
	s.c.mu.Lock()
	s.ended = true
	for _, t := range s.backlog {
		s.c.queued.Add(int64(-len(t.Payload)))
	}
	s.backlog = nil
	s.c.mu.Unlock()
}
