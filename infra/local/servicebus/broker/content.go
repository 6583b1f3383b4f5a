package broker

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"throughline/infra/local/servicebus/amqp"
)

// Incoming is a message as a sender gave it, ready to be stored.
type Incoming struct {
	MessageID string
	SessionID string
	InSession bool  // SessionID is set; "" is a legal id
	Due       int64 // milliseconds since the epoch; 0 = now
	TTL       int64 // milliseconds; 0 = not limited by the sender
	content   []byte
}

// A stored content starts with what changes from delivery to delivery, kept apart from the sections that do not:
//
//	flags, priority, ttl (4), two sets of annotations, sections
//
// where a set is the number of its values (2), its length (4) and its values: first the message-annotations, then
// the delivery-annotations.
const (
	contentHead = 6
	setHead     = 6
	// contentExtra bounds what the head and empty sets add to a message.
	contentExtra = contentHead + 2*setHead

	flagDurable  = 1
	flagTTL      = 2
	flagPriority = 4
)

// brokerOwned are the annotations that the broker writes; a sender's are left out.
var brokerOwned = map[string]bool{
	"x-opt-sequence-number": true, "x-opt-enqueued-time": true, "x-opt-locked-until": true, "x-opt-message-state": true,
	"x-opt-deadletter-source": true, "x-opt-enqueue-sequence-number": true, "x-opt-lock-token": true,
}

// Read takes a message off the wire. newID names a message whose sender did not.
func Read(raw []byte, newID func() string) (Incoming, error) {
	m, err := amqp.ParseMessage(raw)
	if err != nil {
		return Incoming{}, malformed(err)
	}
	p, err := amqp.ParseProperties(m.Properties)
	if err != nil {
		return Incoming{}, malformed(err)
	}
	if p.MessageID == nil || p.MessageID == "" {
		p.MessageID = newID()
		m.Properties = p.Append(nil)
	}
	in := Incoming{MessageID: idText(p.MessageID)}
	if s, ok := p.GroupID.(string); ok {
		in.SessionID, in.InSession = s, true
	}
	if len(in.MessageID) > 128 || len(in.SessionID) > 128 {
		return Incoming{}, argument("The MessageId and the SessionId can have at most 128 characters.")
	}
	if m.Header.HasTTL {
		in.TTL = int64(m.Header.TTL)
	}
	m.Annotations, m.Delivery = ownAnnotations(m.Annotations, &in), withoutLock(m.Delivery)
	in.content = appendContent(make([]byte, 0, len(raw)+64), m)
	return in, nil
}

func idText(id any) string {
	switch id := id.(type) {
	case string:
		return id
	case amqp.UUID:
		return id.String()
	case []byte:
		return "binary:" + hex.EncodeToString(id)
	}
	return "id:" + string(amqp.AppendValue(nil, id))
}

// ownAnnotations are those that stay the sender's, with the types that clients rely on.
func ownAnnotations(m amqp.Map, in *Incoming) amqp.Map {
	own := make(amqp.Map, 0, len(m))
	for _, p := range m {
		key, ok := p.Key.(amqp.Symbol)
		if !ok || brokerOwned[string(key)] {
			continue
		}
		switch key {
		case "x-opt-scheduled-enqueue-time":
			at, ok := p.Value.(amqp.Timestamp)
			if !ok {
				continue
			}
			in.Due = int64(at)
		case "x-opt-partition-key", "x-opt-via-partition-key":
			if _, ok := p.Value.(string); !ok && p.Value != nil {
				continue
			}
		}
		own = append(own, p)
	}
	return own
}

// withoutLock leaves out the lock token that a sender cannot give.
func withoutLock(m amqp.Map) amqp.Map {
	var own amqp.Map
	for _, p := range m {
		if !brokerOwned[keyText(p.Key)] {
			own = append(own, p)
		}
	}
	return own
}

func appendContent(b []byte, m amqp.Message) []byte {
	var flags byte
	if m.Header.Durable {
		flags |= flagDurable
	}
	if m.Header.HasTTL {
		flags |= flagTTL
	}
	if m.Header.HasPriority {
		flags |= flagPriority
	}
	b = append(b, flags, m.Header.Priority)
	b = binary.BigEndian.AppendUint32(b, m.Header.TTL)
	b = appendSet(appendSet(b, m.Annotations), m.Delivery)
	b = append(append(b, m.Properties...), m.AppProps...)
	return append(append(b, m.Body...), m.Footer...)
}

func appendSet(b []byte, m amqp.Map) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(2*len(m)))
	b = append(b, 0, 0, 0, 0)
	at := len(b)
	b = amqp.AppendPairs(b, m)
	binary.BigEndian.PutUint32(b[at-4:], uint32(len(b)-at))
	return b
}

// set is a set of annotations as stored.
type set struct {
	raw   []byte
	count int
}

// cut takes the sets off a stored content.
func cut(c []byte) (message, delivery set, sections []byte) {
	c = c[contentHead:]
	message, c = cutSet(c)
	delivery, c = cutSet(c)
	return message, delivery, c
}

func cutSet(c []byte) (set, []byte) {
	n := setHead + int(binary.BigEndian.Uint32(c[2:]))
	return set{raw: c[setHead:n], count: int(binary.BigEndian.Uint16(c))}, c[n:]
}

func (s set) pairs() (amqp.Map, error) {
	var m amqp.Map
	r := amqp.NewReader(s.raw)
	for range s.count / 2 {
		k := r.Value()
		m = append(m, amqp.Pair{Key: k, Value: r.Value()})
	}
	return m, r.Err()
}

// contentTTL is the sender's time to live in milliseconds, 0 when there is none.
func contentTTL(c []byte) int64 {
	if c[0]&flagTTL == 0 {
		return 0
	}
	return int64(binary.BigEndian.Uint32(c[2:]))
}

// parseContent takes a stored content apart again.
func parseContent(c []byte) (amqp.Message, error) {
	message, delivery, sections := cut(c)
	m, err := amqp.ParseMessage(sections)
	if err != nil {
		return m, err
	}
	m.Header = amqp.Header{Durable: c[0]&flagDurable != 0, HasTTL: c[0]&flagTTL != 0, HasPriority: c[0]&flagPriority != 0,
		Priority: c[1], TTL: binary.BigEndian.Uint32(c[2:])}
	if m.Annotations, err = message.pairs(); err != nil {
		return m, err
	}
	m.Delivery, err = delivery.pairs()
	return m, err
}

// rewrite returns c with application-properties and annotations set.
func rewrite(c []byte, props, notes amqp.Map) ([]byte, error) {
	m, err := parseContent(c)
	if err != nil {
		return nil, err
	}
	app, err := amqp.ParseMap(m.AppProps)
	if err != nil {
		return nil, err
	}
	if app = merge(app, props); len(props) > 0 {
		m.AppProps = amqp.AppendAppProps(nil, app)
	}
	m.Annotations = merge(m.Annotations, notes)
	return appendContent(make([]byte, 0, len(c)+128), m), nil
}

func merge(m, changes amqp.Map) amqp.Map {
	for _, c := range changes {
		found := false
		for i := range m {
			if keyText(m[i].Key) == keyText(c.Key) {
				m[i].Value, found = c.Value, true
			}
		}
		if !found {
			m = append(m, c)
		}
	}
	return m
}

func keyText(k any) string {
	switch k := k.(type) {
	case string:
		return k
	case amqp.Symbol:
		return string(k)
	}
	return ""
}

// hashID is what the duplicate history keeps of a message id.
func hashID(id string) (h [16]byte) {
	sum := sha256.Sum256([]byte(id))
	copy(h[:], sum[:])
	return h
}

func pathKey(path string) string { return strings.ToLower(strings.Trim(path, "/")) }
