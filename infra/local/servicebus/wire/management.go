package wire

import (
	"fmt"
	"time"

	"throughline/infra/local/servicebus/amqp"
	"throughline/infra/local/servicebus/broker"
)

// operation carries out one operation of $management and answers.
type operation struct {
	rights Rights
	do     func(r *request, b *broker.Broker, q *broker.Queue, body amqp.Map)
}

func operations() map[string]operation {
	return map[string]operation{
		"com.microsoft:renew-lock":                 {Listen, renewLock},
		"com.microsoft:renew-session-lock":         {Listen, renewSessionLock},
		"com.microsoft:get-session-state":          {Listen, getSessionState},
		"com.microsoft:set-session-state":          {Listen, setSessionState},
		"com.microsoft:get-message-sessions":       {Listen, getMessageSessions},
		"com.microsoft:peek-message":               {Listen, peekMessage},
		"com.microsoft:receive-by-sequence-number": {Listen, receiveBySequenceNumber},
		"com.microsoft:update-disposition":         {Listen, updateDisposition},
		"com.microsoft:schedule-message":           {Send, scheduleMessage},
		"com.microsoft:cancel-scheduled-message":   {Send, cancelScheduledMessage},
	}
}

func (l *link) manage(payload []byte) {
	r, err := l.parseRequest(payload)
	if err != nil {
		return // no address to answer to
	}
	op, ok := l.s.c.s.operations()[r.operation]
	if !ok {
		r.reply(501, fmt.Sprintf("The operation '%s' is not supported.", r.operation), nil)
		return
	}
	if l.s.c.allowed(l.path)&op.rights == 0 {
		r.reply(401, "Unauthorized access. 'Send' or 'Listen' claim(s) are required to perform this operation.", nil)
		return
	}
	if err := l.s.c.trouble("manage", l.path); err != nil {
		r.fail(err)
		return
	}
	body, _ := r.body.(amqp.Map)
	op.do(r, l.s.c.s.Broker, l.queue, body)
}

func tokensOf(v any) []broker.Token {
	var out []broker.Token
	a, _ := v.(amqp.Array)
	for _, i := range a.Items {
		if t, ok := i.(amqp.UUID); ok {
			out = append(out, t)
		}
	}
	return out
}

func numbersOf(v any) []int64 {
	var out []int64
	var items []any
	switch v := v.(type) {
	case amqp.Array:
		items = v.Items
	case amqp.List:
		items = v
	}
	for _, i := range items {
		if n, ok := i.(int64); ok {
			out = append(out, n)
		}
	}
	return out
}

func stamps(ms []int64) amqp.Array {
	a := amqp.Array{Code: amqp.ArrayOfTimestamp}
	for _, t := range ms {
		a.Items = append(a.Items, amqp.Timestamp(t))
	}
	return a
}

func renewLock(r *request, b *broker.Broker, q *broker.Queue, body amqp.Map) {
	until, err := b.RenewLock(q, tokensOf(body.Get("lock-tokens")))
	if err != nil {
		r.fail(err)
		return
	}
	r.reply(200, "OK", amqp.Map{{Key: "expirations", Value: stamps(until)}})
}

func renewSessionLock(r *request, b *broker.Broker, q *broker.Queue, body amqp.Map) {
	id, _ := body.Get("session-id").(string)
	until, err := b.RenewSession(q, id)
	if err != nil {
		r.fail(err)
		return
	}
	r.reply(200, "OK", amqp.Map{{Key: "expiration", Value: amqp.Timestamp(until)}})
}

func getSessionState(r *request, b *broker.Broker, q *broker.Queue, body amqp.Map) {
	id, _ := body.Get("session-id").(string)
	state, err := b.SessionState(q, id)
	if err != nil {
		r.fail(err)
		return
	}
	var v any
	if state != nil {
		v = state
	}
	r.reply(200, "OK", amqp.Map{{Key: "session-state", Value: v}})
}

func setSessionState(r *request, b *broker.Broker, q *broker.Queue, body amqp.Map) {
	id, _ := body.Get("session-id").(string)
	state, _ := body.Get("session-state").([]byte)
	if len(state) > maxMessageSize {
		r.fail(broker.ErrTooLarge)
		return
	}
	b.SetSessionState(q, id, state, func(err error) {
		if err != nil {
			r.fail(err)
			return
		}
		r.reply(200, "OK", amqp.Map{})
	})
}

// everySession is the time that asks for sessions with messages or state.
const everySession = 253402300800000

func getMessageSessions(r *request, b *broker.Broker, q *broker.Queue, body amqp.Map) {
	var since time.Time
	if t, ok := body.Get("last-updated-time").(amqp.Timestamp); ok && t < everySession-1 {
		since = time.UnixMilli(int64(t))
	}
	skip, _ := body.Get("skip").(int32)
	top, ok := body.Get("top").(int32)
	if !ok {
		top = 100
	}
	ids, err := b.Sessions(q, since, int(skip), int(top))
	if err != nil {
		r.fail(err)
		return
	}
	if len(ids) == 0 {
		r.reply(204, "No sessions", nil)
		return
	}
	a := amqp.Array{Code: amqp.ArrayOfString}
	for _, id := range ids {
		a.Items = append(a.Items, id)
	}
	r.reply(200, "OK", amqp.Map{{Key: "skip", Value: skip + int32(len(ids))}, {Key: "sessions-ids", Value: a}})
}

func peekMessage(r *request, b *broker.Broker, q *broker.Queue, body amqp.Map) {
	from, _ := body.Get("from-sequence-number").(int64)
	count, _ := body.Get("message-count").(int32)
	session := r.session(body)
	found, err := b.Peek(q, from, int(max(count, 1)), session)
	if err != nil {
		r.fail(err)
		return
	}
	r.deliveries(found)
}

// session is the session that a request speaks of: by name, or that of its associated link.
func (r *request) session(body amqp.Map) *string {
	if id, ok := body.Get("session-id").(string); ok {
		return &id
	}
	name, _ := r.props.Get("associated-link-name").(string)
	if name == "" {
		return nil
	}
	r.c.mu.Lock()
	var k *broker.Consumer
	for _, s := range r.c.channels {
		for _, l := range s.links {
			if l.name == name && l.consumer != nil {
				k = l.consumer
			}
		}
	}
	r.c.mu.Unlock()
	if k == nil {
		return nil
	}
	return r.c.s.Broker.Holds(k)
}

func (r *request) deliveries(found []*broker.Delivery) {
	if len(found) == 0 {
		r.reply(204, "No messages", nil)
		return
	}
	list := make(amqp.List, len(found))
	for i, d := range found {
		m := amqp.Map{{Key: "message", Value: d.Append(nil)}}
		if d.Locked {
			m = append(m, amqp.Pair{Key: "lock-token", Value: d.Token})
		}
		list[i] = m
	}
	r.reply(200, "OK", amqp.Map{{Key: "messages", Value: list}})
}

func receiveBySequenceNumber(r *request, b *broker.Broker, q *broker.Queue, body amqp.Map) {
	mode, _ := body.Get("receiver-settle-mode").(uint32)
	b.ReceiveDeferred(q, numbersOf(body.Get("sequence-numbers")), mode != amqp.ReceiverSecond, func(found []*broker.Delivery, err error) {
		if err != nil {
			r.fail(err)
			return
		}
		r.deliveries(found)
	})
}

func updateDisposition(r *request, b *broker.Broker, q *broker.Queue, body amqp.Map) {
	o := broker.Outcome{}
	status, _ := body.Get("disposition-status").(string)
	switch status {
	case "completed":
		o.Verdict = broker.Complete
	case "abandoned":
		o.Verdict = broker.Abandon
	case "defered":
		o.Verdict = broker.Defer
	case "suspended":
		o.Verdict = broker.DeadLetter
	default:
		r.reply(400, fmt.Sprintf("The disposition '%s' is not known.", status), nil)
		return
	}
	o.Reason, _ = body.Get("deadletter-reason").(string)
	o.Description, _ = body.Get("deadletter-description").(string)
	if m, ok := body.Get("properties-to-modify").(amqp.Map); ok {
		o.Properties = names(m)
	}
	b.SettleAll(q, tokensOf(body.Get("lock-tokens")), o, func(err error) {
		if err != nil {
			r.fail(err)
			return
		}
		r.reply(200, "OK", amqp.Map{})
	})
}

func scheduleMessage(r *request, b *broker.Broker, q *broker.Queue, body amqp.Map) {
	list, _ := body.Get("messages").(amqp.List)
	var in []broker.Incoming
	for _, v := range list {
		m, _ := v.(amqp.Map)
		raw, _ := m.Get("message").([]byte)
		one, err := broker.Read(raw, b.NewID)
		if err != nil {
			r.fail(err)
			return
		}
		in = append(in, one)
	}
	if len(in) == 0 {
		r.reply(400, "There are no messages to schedule.", nil)
		return
	}
	b.Schedule(q, in, func(numbers []int64, err error) {
		if err != nil {
			r.fail(err)
			return
		}
		a := amqp.Array{Code: amqp.ArrayOfLong}
		for _, n := range numbers {
			a.Items = append(a.Items, n)
		}
		r.reply(200, "OK", amqp.Map{{Key: "sequence-numbers", Value: a}})
	})
}

func cancelScheduledMessage(r *request, b *broker.Broker, q *broker.Queue, body amqp.Map) {
	b.Cancel(q, numbersOf(body.Get("sequence-numbers")), func(err error) {
		if err != nil {
			r.fail(err)
			return
		}
		r.reply(200, "OK", amqp.Map{})
	})
}
