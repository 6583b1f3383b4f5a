package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"throughline/infra/local/servicebus/amqp"
	"throughline/infra/local/servicebus/broker"
)

func (p *peer) transfer(handle, id uint32, payload []byte) {
	p.t.Helper()
	p.say(0, &amqp.Transfer{Handle: handle, DeliveryID: id, HasDeliveryID: true, DeliveryTag: []byte{1}, Payload: payload})
}

func (p *peer) accepted() {
	p.t.Helper()
	d := expect[*amqp.Disposition](p)
	if _, ok := d.State.(amqp.Accepted); !ok || !d.Settled {
		p.t.Fatalf("disposition %+v", d)
	}
}

func TestSendReceiveSettle(t *testing.T) {
	p := dial(t, serve(t)).enter("all", amqp.Open{}).begin(0, 1000).sender(1, "q").receiver(2, "q")
	p.transfer(1, 0, message(10))
	p.accepted()
	p.credit(2, 0, 1, false)
	got := expect[*amqp.Transfer](p)
	if len(got.DeliveryTag) != 16 || got.Settled {
		t.Errorf("transfer %+v", got)
	}
	p.say(0, &amqp.Disposition{Receiver: true, First: got.DeliveryID, Last: got.DeliveryID, State: amqp.Accepted{}})
	if d := expect[*amqp.Disposition](p); d.Receiver || !d.Settled || d.First != got.DeliveryID {
		t.Errorf("disposition %+v", d)
	}
	p.say(0, &amqp.Disposition{Receiver: true, First: got.DeliveryID, Last: got.DeliveryID, State: amqp.Accepted{}})
	if d := expect[*amqp.Disposition](p); d.State.(amqp.Rejected).Error.Condition != "com.microsoft:message-lock-lost" {
		t.Errorf("settling twice: %+v", d)
	}
	p.say(0, &amqp.Detach{Handle: 2, Closed: true})
	if d := expect[*amqp.Detach](p); d.Handle != 2 || !d.Closed {
		t.Errorf("detach %+v", d)
	}
	p.say(0, &amqp.End{})
	expect[*amqp.End](p)
	p.say(0, &amqp.Close{})
	expect[*amqp.Close](p)
	if x := p.hear(); x != nil {
		t.Errorf("after the close came %#v", x)
	}
}

func TestWindowHoldsFramesBack(t *testing.T) {
	s := serve(t)
	p := dial(t, s).enter("all", amqp.Open{MaxFrameSize: 512}).begin(0, 3).sender(1, "q").receiver(2, "q")
	for i := range uint32(7) { // one message in seven frames
		part := message(3000)
		from, to := int(i)*440, min(int(i+1)*440, len(part))
		p.say(0, &amqp.Transfer{Handle: 1, HasDeliveryID: i == 0, DeliveryTag: []byte{1}, More: i < 6, Payload: part[from:to]})
	}
	p.accepted()
	hold := uint32(2)
	first := uint32(0)
	p.say(0, &amqp.Flow{NextIncomingID: &first, IncomingWindow: 3, Handle: &hold, LinkCredit: 10})
	var payload []byte
	for i := range 3 {
		x := expect[*amqp.Transfer](p)
		if x.HasDeliveryID != (i == 0) || !x.More {
			t.Errorf("frame %d: %+v", i, x)
		}
		payload = append(payload, x.Payload...)
	}
	p.say(0, &amqp.Flow{NextIncomingID: &first, IncomingWindow: 3, Echo: true})
	expect[*amqp.Flow](p) // and no transfer: the window is used up
	next := uint32(3)
	p.say(0, &amqp.Flow{NextIncomingID: &next, IncomingWindow: 100})
	for more := true; more; {
		x := expect[*amqp.Transfer](p)
		payload, more = append(payload, x.Payload...), x.More
	}
	if !bytes.Contains(payload, make([]byte, 3000)) {
		t.Errorf("%d bytes came", len(payload))
	}
}

func TestDrainUsesCreditUp(t *testing.T) {
	p := dial(t, serve(t)).enter("all", amqp.Open{}).begin(0, 1000).sender(1, "q").receiver(2, "q")
	p.transfer(1, 0, message(1))
	p.accepted()
	p.credit(2, 0, 5, true)
	expect[*amqp.Transfer](p)
	f := expect[*amqp.Flow](p)
	if !f.Drain || f.LinkCredit != 0 || f.DeliveryCount != 5 {
		t.Errorf("flow %+v", f)
	}
	p.transfer(1, 1, message(1))
	p.accepted() // and is not delivered
	p.credit(2, 5, 1, false)
	expect[*amqp.Transfer](p)
}

func TestAttachIsRefused(t *testing.T) {
	s := serve(t)
	session := amqp.Map{{Key: amqp.Symbol(sessionFilter), Value: amqp.Described{Descriptor: uint64(0x137000000C), Value: "a"}}}
	for name, c := range map[string]struct {
		key, condition string
		attach         amqp.Attach
	}{
		"unknown entity":        {"all", "amqp:not-found", amqp.Attach{Target: &amqp.Terminus{Address: "nothing"}}},
		"no rights":             {"", "amqp:unauthorized-access", amqp.Attach{Target: &amqp.Terminus{Address: "q"}}},
		"only send":             {"send", "amqp:unauthorized-access", amqp.Attach{Receiver: true, Source: &amqp.Terminus{Address: "q"}}},
		"no address":            {"all", "amqp:invalid-field", amqp.Attach{Target: &amqp.Terminus{}}},
		"session of none":       {"all", "amqp:not-allowed", amqp.Attach{Receiver: true, Source: &amqp.Terminus{Address: "q", Filter: session}}},
		"none of session":       {"all", "amqp:not-allowed", amqp.Attach{Receiver: true, Source: &amqp.Terminus{Address: "s"}}},
		"sending to the dead":   {"all", "", amqp.Attach{Target: &amqp.Terminus{Address: "q/$DeadLetterQueue"}}},
		"second sender of cbs":  {"", "amqp:not-allowed", amqp.Attach{Handle: 1, Target: &amqp.Terminus{Address: "$cbs"}}},
		"transaction requested": {"all", "amqp:invalid-field", amqp.Attach{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, s).enter(c.key, amqp.Open{}).begin(0, 1000)
			if c.attach.Handle == 1 {
				p.sender(0, "$cbs")
			}
			c.attach.Name = "l"
			p.say(0, &c.attach)
			a := expect[*amqp.Attach](p)
			if a.Receiver == c.attach.Receiver {
				t.Error("the reply has the role of the request")
			}
			if c.condition == "" { // taken: each send is refused
				return
			}
			d := expect[*amqp.Detach](p)
			if a.Source != nil || a.Target != nil || !d.Closed || d.Error == nil || string(d.Error.Condition) != c.condition {
				t.Errorf("attach %+v, detach %+v", a, d.Error)
			}
			p.say(0, &amqp.Detach{Handle: c.attach.Handle, Closed: true}, &amqp.End{})
			expect[*amqp.End](p)
		})
	}
}

// sas signs a token.
func sas(resource, name, secret string, expiry time.Time) string {
	sr, se := strings.ToLower(url.QueryEscape(resource)), fmt.Sprint(expiry.Unix())
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(sr + "\n" + se))
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%s&skn=%s", sr, url.QueryEscape(base64.StdEncoding.EncodeToString(h.Sum(nil))), se, name)
}

func TestTokens(t *testing.T) {
	keys := Keys{"all": {Secrets: []string{"old", "secret"}, Rights: All}, "send": {Secrets: []string{"secret"}, Rights: Send}}
	now := time.Now()
	for name, c := range map[string]struct {
		token string
		want  string // part of the refusal, "" = granted
		grant Grant
	}{
		"good":               {sas("amqp://host:1/Queue", "all", "secret", now.Add(time.Hour)), "", Grant{Path: "queue", Rights: All}},
		"other secret":       {sas("amqp://host:1/queue/$management", "all", "old", now.Add(time.Hour)), "", Grant{Path: "queue", Rights: All}},
		"namespace":          {sas("host", "send", "secret", now.Add(time.Hour)), "", Grant{Rights: Send}},
		"http":               {sas("https://host:1/t/Subscriptions/s?api-version=1", "all", "secret", now.Add(time.Hour)), "", Grant{Path: "t/subscriptions/s", Rights: All}},
		"expired":            {sas("amqp://host/queue", "all", "secret", now.Add(-time.Second)), "ExpiredToken: The token is expired. Expiration time: ", Grant{}},
		"wrong secret":       {sas("amqp://host/queue", "all", "guess", now.Add(time.Hour)), "InvalidSignature", Grant{}},
		"unknown key":        {sas("amqp://host/queue", "nobody", "secret", now.Add(time.Hour)), "InvalidSignature", Grant{}},
		"nothing":            {"", "MalformedToken", Grant{}},
		"half of one":        {"SharedAccessSignature sr=x", "MalformedToken", Grant{}},
		"entra":              {"eyJ", "", Grant{Rights: All}},
		"bad escape":         {"SharedAccessSignature sr=%zz&sig=%zz&se=99999999999&skn=all", "MalformedToken", Grant{}},
		"key without rights": {sas("amqp://host/queue", "", "", now.Add(time.Hour)), "InvalidSignature", Grant{}},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := keys.Check(c.token, now)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %+v, %v", g, err)
				}
				return
			}
			if err != nil || g.Path != c.grant.Path || g.Rights != c.grant.Rights {
				t.Errorf("got %+v, %v, want %+v", g, err, c.grant)
			}
		})
	}
}

func TestGrantsReachDownward(t *testing.T) {
	g := Grant{Path: "topic"}
	for path, want := range map[string]bool{"topic": true, "topic/subscriptions/s": true, "topics": false, "other": false, "": false} {
		if got := g.Covers(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

func TestPutTokenThenAttach(t *testing.T) {
	s := serve(t)
	p := dial(t, s).enter("", amqp.Open{}).begin(0, 1000).sender(0, "$cbs")
	p.say(0, &amqp.Attach{Name: "answers", Handle: 1, Receiver: true, SndSettleMode: amqp.SenderSettled, Source: &amqp.Terminus{Address: "$cbs"}, Target: &amqp.Terminus{Address: "$odd$reply"}})
	expect[*amqp.Attach](p)
	ask := func(id uint32, token, audience string) int32 {
		t.Helper()
		props := amqp.Properties{MessageID: fmt.Sprint("id", id), ReplyTo: "$odd$reply"}
		b := amqp.AppendAppProps(props.Append(nil), amqp.Map{{Key: "operation", Value: "put-token"}, {Key: "type", Value: "servicebus.windows.net:sastoken"}, {Key: "name", Value: audience}})
		p.transfer(0, id, amqp.AppendBodyValue(b, token))
		p.accepted()
		if id == 0 { // the answer must wait for credit
			p.credit(1, 0, 100, false)
		}
		x := expect[*amqp.Transfer](p)
		m, err := amqp.ParseMessage(x.Payload)
		if err != nil || !x.Settled {
			t.Fatalf("answer %+v, %v", x, err)
		}
		got, err := amqp.ParseProperties(m.Properties)
		if err != nil || got.CorrelationID != props.MessageID {
			t.Fatalf("correlation %v, %v", got.CorrelationID, err)
		}
		app, err := amqp.ParseMap(m.AppProps)
		if err != nil {
			t.Fatal(err)
		}
		return app.Get("status-code").(int32)
	}
	soon := time.Now().Add(time.Hour)
	if code := ask(0, sas("amqp://h/q", "send", "secret", soon), "amqp://h/q"); code != 202 {
		t.Errorf("good: %d", code)
	}
	if code := ask(1, sas("amqp://h/nothing", "send", "secret", soon), "amqp://h/nothing"); code != 404 {
		t.Errorf("unknown entity: %d", code)
	}
	if code := ask(2, sas("amqp://h/q", "send", "wrong", soon), "amqp://h/q"); code != 401 {
		t.Errorf("wrong secret: %d", code)
	}
	if code := ask(3, sas("amqp://h/s", "send", "secret", soon), "amqp://h/q"); code != 401 {
		t.Errorf("token for another entity: %d", code)
	}
	p.sender(2, "q")
	p.transfer(2, 4, message(1))
	p.accepted()
}

func TestMessageTooLargeIsRefused(t *testing.T) {
	s := serve(t)
	p := dial(t, s).enter("all", amqp.Open{}).begin(0, 1000).sender(1, "q")
	part := make([]byte, 60_000)
	for i := range uint32(6) {
		p.say(0, &amqp.Transfer{Handle: 1, HasDeliveryID: i == 0, DeliveryTag: []byte{1}, More: true, Payload: part})
	}
	if d := expect[*amqp.Detach](p); d.Error == nil || d.Error.Condition != "amqp:link:message-size-exceeded" {
		t.Errorf("detach %+v", d.Error)
	}
}

func TestMessageThatIsNoneIsRejected(t *testing.T) {
	p := dial(t, serve(t)).enter("all", amqp.Open{}).begin(0, 1000).sender(1, "q")
	p.transfer(1, 0, []byte{1, 2, 3})
	d := expect[*amqp.Disposition](p)
	if r, ok := d.State.(amqp.Rejected); !ok || r.Error.Condition != "amqp:decode-error" {
		t.Errorf("disposition %+v", d.State)
	}
	p.transfer(1, 1, message(5))
	p.accepted()
}

// TestAProtocolErrorCostsTheConnection breaks the rules in many ways. The server says why, and serves others.
func TestAProtocolErrorCostsTheConnection(t *testing.T) {
	s := serve(t)
	channel := uint16(0)
	for name, broken := range map[string]func(p *peer){
		"garbage":             func(p *peer) { p.raw([]byte("GET / HTTP/1.1\r\n\r\n")) },
		"frame too large":     func(p *peer) { p.raw([]byte{0x7f, 0xff, 0xff, 0xff, 2, 0, 0, 0}) },
		"no such channel":     func(p *peer) { p.say(9, &amqp.Flow{}) },
		"channel twice":       func(p *peer) { p.say(0, &amqp.Begin{RemoteChannel: &channel}) },
		"handle twice":        func(p *peer) { p.say(0, &amqp.Attach{Name: "x", Handle: 1, Target: &amqp.Terminus{Address: "q"}}) },
		"unattached handle":   func(p *peer) { p.transfer(77, 0, message(1)) },
		"open twice":          func(p *peer) { p.say(0, &amqp.Open{MaxFrameSize: 512}) },
		"no delivery id":      func(p *peer) { p.say(0, &amqp.Transfer{Handle: 1, Payload: message(1)}) },
		"sasl frame":          func(p *peer) { p.raw(amqp.AppendFrame(nil, amqp.FrameSASL, 0, &amqp.SASLInit{})) },
		"transfer to receive": func(p *peer) { p.receiver(5, "q"); p.transfer(5, 0, message(1)) },
		"unknown frame":       func(p *peer) { p.raw([]byte{0, 0, 0, 12, 2, 0, 0, 0, 0, 0x53, 0x99, 0x45}) },
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, s).enter("all", amqp.Open{}).begin(0, 1000).sender(1, "q")
			broken(p)
			for {
				x := p.hear()
				if x == nil {
					t.Fatal("the connection ended without a close")
				}
				if c, ok := x.(*amqp.Close); ok {
					if c.Error == nil {
						t.Error("the close has no reason")
					}
					break
				}
			}
			if x := p.hear(); x != nil {
				t.Errorf("after the close came %#v", x)
			}
		})
	}
	p := dial(t, s).enter("all", amqp.Open{}).begin(0, 1000).sender(1, "q")
	p.transfer(1, 0, message(1))
	p.accepted()
}

func TestStrangersAreTurnedAway(t *testing.T) {
	s := serve(t)
	for name, hello := range map[string][]byte{
		"another version": {'A', 'M', 'Q', 'P', 0, 0, 9, 1},
		"wrong password":  append(amqp.HeaderSASL[:], amqp.AppendFrame(nil, amqp.FrameSASL, 0, &amqp.SASLInit{Mechanism: "PLAIN", Response: []byte("\x00all\x00guess")})...),
		"no sasl-init":    append(amqp.HeaderSASL[:], amqp.AppendFrame(nil, amqp.FrameSASL, 0, &amqp.Open{})...),
		"nothing":         {'A', 'M'},
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, s)
			p.raw(hello)
			if name == "nothing" {
				p.nc.Close()
				return
			}
			p.patience()
			b := make([]byte, 4096)
			for {
				if _, err := p.nc.Read(b); err != nil {
					if !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
						t.Error(err)
					}
					return
				}
			}
		})
	}
}

func TestHeartbeatsAreSentAsOftenAsAsked(t *testing.T) {
	p := dial(t, serve(t)).enter("all", amqp.Open{IdleTimeout: 400})
	p.patience()
	start := time.Now()
	for range 2 {
		f, err := p.fr.Read()
		if err != nil || len(f.Body) != 0 {
			t.Fatal(f, err)
		}
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("two heartbeats took %s", took)
	}
}

func TestCloseTellsTheClients(t *testing.T) {
	s := serve(t)
	p := dial(t, s).enter("all", amqp.Open{})
	go s.Close()
	if c := expect[*amqp.Close](p); c.Error == nil || string(c.Error.Condition) != broker.ErrClosed.Condition {
		t.Errorf("close %+v", c.Error)
	}
}

func TestDropCutsConnections(t *testing.T) {
	s := serve(t)
	p := dial(t, s).enter("all", amqp.Open{})
	if n := s.Drop(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if x := p.hear(); x != nil {
		t.Errorf("heard %#v", x)
	}
}

func TestConfirmationsOfNeighboursBecomeOne(t *testing.T) {
	c := newConn(serve(t), nil)
	c.confirm(1, 5)
	c.confirm(1, 6)
	c.confirm(1, 7)
	c.confirm(1, 9)
	c.confirm(2, 10)
	c.post(2, &amqp.End{})
	c.confirm(2, 11)
	if int(c.queued.Load()) != len(c.out) {
		t.Errorf("%d bytes are counted, %d are there", c.queued.Load(), len(c.out))
	}
	r := &amqp.FrameReader{R: bytes.NewReader(c.out), Max: maxFrameSize}
	var got []string
	for {
		f, err := r.Read()
		if err != nil {
			break
		}
		p, err := amqp.ParsePerformative(f.Body)
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := p.(*amqp.Disposition); ok {
			got = append(got, fmt.Sprintf("%d:%d-%d", f.Channel, d.First, d.Last))
		}
	}
	if s := strings.Join(got, " "); s != "1:5-7 1:9-9 2:10-10 2:11-11" {
		t.Errorf("confirmed %s", s)
	}
}

func TestSendersAreDetachedWhenWhatTheySentIsSettled(t *testing.T) {
	s := serve(t)
	p := dial(t, s).enter("all", amqp.Open{}).begin(0, 1000).sender(1, "Q").sender(2, "s")
	p.transfer(1, 0, message(1))
	p.accepted()
	q, err := s.Broker.Find("q")
	if err != nil {
		t.Fatal(err)
	}
	s.DetachSenders(q)
	if d := expect[*amqp.Detach](p); d.Handle != 1 || d.Error == nil || d.Error.Condition != "amqp:link:detach-forced" {
		t.Errorf("detach %+v", d)
	}
	p.transfer(1, 1, message(1)) // was on its way
	p.say(0, &amqp.Detach{Handle: 1, Closed: true}, &amqp.Flow{Echo: true})
	expect[*amqp.Flow](p)
	if got, err := s.Broker.Peek(q, 0, 10, nil); err != nil || len(got) != 1 {
		t.Errorf("%d messages, %v", len(got), err)
	}
}
