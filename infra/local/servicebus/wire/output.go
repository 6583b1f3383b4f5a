package wire

import (
	"time"

	"throughline/infra/local/servicebus/amqp"
	"throughline/infra/local/servicebus/broker"
)

// post adds a frame to what is written.
func (c *conn) post(channel uint16, p amqp.Performative) { c.frame(amqp.FrameAMQP, channel, p) }

func (c *conn) frame(kind byte, channel uint16, p amqp.Performative) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(kind, channel, p)
}

// add is frame with mu held.
func (c *conn) add(kind byte, channel uint16, p amqp.Performative) {
	if c.last {
		return
	}
	n := len(c.out)
	c.out = amqp.AppendFrame(c.out, kind, channel, p)
	c.grown(len(c.out) - n)
}

// confirmation is an accepted disposition at the end of what is to be written.
type confirmation struct {
	at, end     int // where its frame stands in out
	channel     uint16
	first, last uint32
}

// confirm tells a sending client that its delivery was accepted. Confirmations of neighbours that leave together
// become one frame. mu is held.
func (c *conn) confirm(channel uint16, id uint32) {
	if c.last {
		return
	}
	k := confirmation{at: len(c.out), channel: channel, first: id, last: id}
	if p := c.confirmed; p.end == len(c.out) && p.at < p.end && p.channel == channel && p.last+1 == id {
		k.at, k.first = p.at, p.first
	}
	n := len(c.out)
	c.out = amqp.AppendFrame(c.out[:k.at], amqp.FrameAMQP, channel, &amqp.Disposition{Receiver: true, First: k.first, Last: k.last, Settled: true, State: amqp.Accepted{}})
	k.end = len(c.out)
	c.confirmed = k
	c.grown(k.end - n)
}

func (c *conn) raw(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last {
		c.out = append(c.out, b...)
		c.grown(len(b))
	}
}

func (c *conn) grown(n int) {
	c.queued.Add(int64(n))
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// shut closes the connection after a close frame, with a fault unless that is nil.
func (c *conn) shut(f *broker.Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(amqp.FrameAMQP, 0, &amqp.Close{Error: errorOf(f)})
	c.last = true
}

// finish lets nothing more be written.
func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = true
	c.grown(0)
}

func errorOf(f *broker.Fault) *amqp.Error {
	if f == nil {
		return nil
	}
	return &amqp.Error{Condition: amqp.Symbol(f.Condition), Description: f.Description}
}

// write sends what the connection has to say, and heartbeats, until the connection has no more.
func (c *conn) write() {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	defer close(c.ended)
	defer c.nc.Close() // lets the reader end
	var spare []byte
	for {
		select {
		case <-c.wake:
		case <-beat.C:
			c.frame(amqp.FrameAMQP, 0, nil)
		}
		c.mu.Lock()
		b, last, pause := c.out, c.last, c.beat
		c.out, c.confirmed = spare[:0], confirmation{}
		c.mu.Unlock()
		if !c.send(b) || last {
			return
		}
		beat.Reset(pause)
		if spare = b; cap(spare) > high {
			spare = nil
		}
		c.written(len(b))
	}
}

func (c *conn) send(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if err := c.nc.SetWriteDeadline(time.Now().Add(writeDeadline)); err != nil {
		return false
	}
	_, err := c.nc.Write(b)
	return err == nil
}

// written lets deliveries go on when enough has been written.
func (c *conn) written(n int) {
	if c.queued.Add(int64(-n)) > low || !c.stalled.Swap(false) {
		return
	}
	for _, k := range c.consumers() {
		c.s.Broker.Resume(k)
	}
}

func (c *conn) consumers() []*broker.Consumer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*broker.Consumer
	for _, s := range c.channels {
		for _, l := range s.links {
			if l.consumer != nil {
				out = append(out, l.consumer)
			}
		}
	}
	return out
}
