package amqp

// ParsePerformative decodes the body of a frame. Transfer.Payload and other slices alias it.
func ParsePerformative(body []byte) (Performative, error) {
	r := NewReader(body)
	d := r.Descriptor()
	f := r.Fields()
	if r.err != nil {
		return nil, r.err
	}
	p := parseFields(d, f, r)
	if f.Err() != nil {
		return nil, f.Err()
	}
	if p == nil {
		r.fail("unknown performative 0x%02x", d)
		return nil, r.err
	}
	return p, nil
}

func parseFields(d uint64, f *Fields, r *Reader) Performative {
	switch d {
	case descTransfer:
		return parseTransfer(f, r.buf)
	case descDisposition:
		return parseDisposition(f)
	case descFlow:
		return parseFlow(f)
	case descAttach:
		return parseAttach(f)
	case descDetach:
		return &Detach{Handle: uint32(f.Uint(0)), Closed: f.Bool(), Error: parseError(f)}
	case descBegin:
		return parseBegin(f)
	case descEnd:
		return &End{Error: parseError(f)}
	case descOpen:
		return parseOpen(f)
	case descClose:
		return &Close{Error: parseError(f)}
	case descSASLInit:
		return &SASLInit{Mechanism: f.String(), Response: f.Bytes()}
	case descSASLMechanisms:
		return &SASLMechanisms{Mechanisms: symbols(f.Any())}
	case descSASLOutcome:
		return &SASLOutcome{Code: uint8(f.Uint(0))}
	}
	return nil
}

func symbols(v any) []Symbol {
	var out []Symbol
	switch v := v.(type) {
	case Symbol:
		out = append(out, v)
	case Array:
		for _, i := range v.Items {
			if s, ok := i.(Symbol); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

func parseOpen(f *Fields) *Open {
	o := &Open{ContainerID: f.String(), Hostname: f.String()}
	o.MaxFrameSize = uint32(f.Uint(1<<32 - 1))
	o.ChannelMax = uint16(f.Uint(1<<16 - 1))
	o.IdleTimeout = uint32(f.Uint(0))
	for range 4 { // locales and capabilities
		f.Any()
	}
	o.Properties = f.Map()
	return o
}

func parseBegin(f *Fields) *Begin {
	b := &Begin{}
	if v, ok := f.optional(); ok {
		c := uint16(v)
		b.RemoteChannel = &c
	}
	b.NextOutgoingID = uint32(f.Uint(0))
	b.IncomingWindow = uint32(f.Uint(0))
	b.OutgoingWindow = uint32(f.Uint(0))
	b.HandleMax = uint32(f.Uint(1<<32 - 1))
	return b
}

// optional reads a number that may be null.
func (f *Fields) optional() (uint64, bool) {
	const absent = 1<<64 - 1
	v := f.Uint(absent)
	return v, v != absent
}

func parseAttach(f *Fields) *Attach {
	a := &Attach{Name: f.String(), Handle: uint32(f.Uint(0)), Receiver: f.Bool()}
	a.SndSettleMode = uint8(f.Uint(SenderMixed))
	a.RcvSettleMode = uint8(f.Uint(ReceiverFirst))
	a.Source, _ = parseTerminus(f)
	a.Target, a.Coordinator = parseTerminus(f)
	f.Any() // unsettled: links are never resumed
	f.Any()
	a.InitialDeliveryCount = uint32(f.Uint(0))
	a.MaxMessageSize = f.Uint(0)
	f.Any()
	f.Any()
	a.Properties = f.Map()
	return a
}

func parseTerminus(f *Fields) (t *Terminus, coordinator bool) {
	d, c, ok := f.composite()
	if !ok {
		return nil, false
	}
	if d == descCoordinator {
		return nil, true
	}
	t = &Terminus{Address: c.String(), Durable: uint32(c.Uint(0)), ExpiryPolicy: Symbol(c.String()), Timeout: uint32(c.Uint(0))}
	if d == descSource {
		c.Any()
		c.Any()
		c.Any()
		t.Filter = c.Map()
	}
	f.r.adopt(&c.r)
	return t, false
}

func parseFlow(f *Fields) *Flow {
	w := &Flow{}
	if v, ok := f.optional(); ok {
		id := uint32(v)
		w.NextIncomingID = &id
	}
	w.IncomingWindow = uint32(f.Uint(0))
	w.NextOutgoingID = uint32(f.Uint(0))
	w.OutgoingWindow = uint32(f.Uint(0))
	if v, ok := f.optional(); ok {
		h := uint32(v)
		w.Handle = &h
	}
	w.DeliveryCount = uint32(f.Uint(0))
	w.LinkCredit = uint32(f.Uint(0))
	f.Any() // available
	w.Drain = f.Bool()
	w.Echo = f.Bool()
	return w
}

func parseTransfer(f *Fields, payload []byte) *Transfer {
	t := &Transfer{Handle: uint32(f.Uint(0)), Payload: payload}
	if v, ok := f.optional(); ok {
		t.DeliveryID, t.HasDeliveryID = uint32(v), true
	}
	t.DeliveryTag = f.Bytes()
	t.MessageFormat = uint32(f.Uint(0))
	t.Settled = f.Bool()
	t.More = f.Bool()
	f.Uint(0) // rcv-settle-mode
	f.Any()   // state
	f.Bool()  // resume
	t.Aborted = f.Bool()
	return t
}

func parseDisposition(f *Fields) *Disposition {
	d := &Disposition{Receiver: f.Bool(), First: uint32(f.Uint(0))}
	d.Last = uint32(f.Uint(uint64(d.First)))
	d.Settled = f.Bool()
	d.State = parseState(f)
	return d
}

func parseState(f *Fields) State {
	d, c, ok := f.composite()
	if !ok {
		return nil
	}
	var s State
	switch d {
	case descAccepted:
		s = Accepted{}
	case descReleased:
		s = Released{}
	case descReceived:
		s = Received{}
	case descRejected:
		s = Rejected{Error: parseError(c)}
	case descModified:
		s = Modified{DeliveryFailed: c.Bool(), UndeliverableHere: c.Bool(), Annotations: c.Map()}
	default:
		c.r.fail("unknown delivery state 0x%02x", d)
	}
	f.r.adopt(&c.r)
	return s
}

func parseError(f *Fields) *Error {
	d, c, ok := f.composite()
	if !ok {
		return nil
	}
	if d != descError {
		f.r.fail("0x%02x where an error was wanted", d)
		return nil
	}
	e := &Error{Condition: Symbol(c.String()), Description: c.String(), Info: c.Map()}
	f.r.adopt(&c.r)
	return e
}
