package amqp

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	sdk "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// scalars draws values of every simple type.
func scalars() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.Bool(), toAny[bool]), rapid.Map(rapid.Uint8(), toAny[uint8]), rapid.Map(rapid.Uint16(), toAny[uint16]),
		rapid.Map(rapid.Uint32(), toAny[uint32]), rapid.Map(rapid.Uint64(), toAny[uint64]), rapid.Map(rapid.Int8(), toAny[int8]),
		rapid.Map(rapid.Int16(), toAny[int16]), rapid.Map(rapid.Int32(), toAny[int32]), rapid.Map(rapid.Int64(), toAny[int64]),
		rapid.Map(rapid.Float32(), toAny[float32]), rapid.Map(rapid.Float64(), toAny[float64]), rapid.Map(rapid.String(), toAny[string]),
		rapid.Map(rapid.StringMatching(`[a-z:-]{0,300}`), func(s string) any { return Symbol(s) }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return append([]byte{}, b...) }),
		rapid.Map(rapid.Int64(), func(n int64) any { return Timestamp(n) }),
		rapid.Map(rapid.Int32Range(0, 0x10ffff), func(n int32) any { return Char(n) }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) any { return UUID(b) }),
	)
}

func toAny[T any](v T) any { return v }

func values(depth int) *rapid.Generator[any] {
	if depth == 0 {
		return scalars()
	}
	inner := values(depth - 1)
	return rapid.OneOf(scalars(),
		rapid.Map(rapid.SliceOfN(inner, 0, 5), func(l []any) any { return append(List{}, l...) }),
		rapid.Custom(func(t *rapid.T) any {
			m := Map{}
			for range rapid.IntRange(0, 4).Draw(t, "pairs") {
				m = append(m, Pair{Key: scalars().Draw(t, "key"), Value: inner.Draw(t, "value")})
			}
			return m
		}),
		rapid.Custom(func(t *rapid.T) any {
			return Described{Descriptor: uint64(rapid.Byte().Draw(t, "descriptor")), Value: inner.Draw(t, "value")}
		}),
		rapid.Map(rapid.SliceOfN(rapid.Int64(), 0, 4), func(l []int64) any {
			a := Array{Code: ArrayOfLong, Items: []any{}}
			for _, n := range l {
				a.Items = append(a.Items, n)
			}
			return a
		}),
		rapid.Map(rapid.SliceOfN(rapid.String(), 0, 4), func(l []string) any {
			a := Array{Code: ArrayOfString, Items: []any{}}
			for _, s := range l {
				a.Items = append(a.Items, s)
			}
			return a
		}),
	)
}

func TestValuesComeBackWithTheirType(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := values(3).Draw(t, "value")
		b := AppendValue(nil, want)
		r := NewReader(b)
		got := r.Value()
		if r.Err() != nil || r.Len() != 0 {
			t.Fatalf("% x: %v, %d left", b, r.Err(), r.Len())
		}
		if d := cmp.Diff(want, got, cmpopts.EquateNaNs()); d != "" {
			t.Fatal(d)
		}
		s := NewReader(b)
		if s.Skip(); s.Err() != nil || s.Len() != 0 {
			t.Fatalf("skip: %v, %d left", s.Err(), s.Len())
		}
	})
}

func TestShortAndNarrowForms(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want any
	}{
		{"boolean in a byte", []byte{0x56, 1}, true},
		{"uint zero", []byte{0x43}, uint32(0)},
		{"small uint", []byte{0x52, 200}, uint32(200)},
		{"ulong zero", []byte{0x44}, uint64(0)},
		{"small int", []byte{0x54, 0xff}, int32(-1)},
		{"small long", []byte{0x55, 0xfe}, int64(-2)},
		{"list of eight bits", []byte{0xc0, 3, 1, 0x54, 5}, List{int32(5)}},
		{"map of eight bits", []byte{0xc1, 6, 2, 0xa1, 1, 'k', 0x41}, nil},
		{"array of eight bits", []byte{0xe0, 4, 2, 0x54, 7, 8}, Array{Code: codeInt, Items: []any{int32(7), int32(8)}}},
		{"array of symbols", []byte{0xe0, 6, 2, 0xa3, 1, 'a', 1, 'b'}, Array{Code: ArrayOfSymbol, Items: []any{Symbol("a"), Symbol("b")}}},
		{"decimal32", []byte{0x74, 1, 2, 3, 4}, Decimal{Code: 0x74, Bytes: "\x01\x02\x03\x04"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReader(c.in)
			got := r.Value()
			if c.want == nil { // one byte too many in the map
				if !errors.Is(r.Err(), ErrMalformed) {
					t.Errorf("got %v, %v", got, r.Err())
				}
				return
			}
			if r.Err() != nil || !cmp.Equal(got, c.want) {
				t.Errorf("got %v, %v, want %v", got, r.Err(), c.want)
			}
			if again := NewReader(AppendValue(nil, got)).Value(); !cmp.Equal(again, c.want) {
				t.Errorf("written and read again: %v", again)
			}
		})
	}
}

func TestHostileLengthsAreRefused(t *testing.T) {
	deep := bytes.Repeat([]byte{0x00}, 200)
	for name, in := range map[string][]byte{
		"string beyond the end":         {0xb1, 0xff, 0xff, 0xff, 0xff, 'a'},
		"list of four billion":          {0xd0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40},
		"array of four billion nulls":   {0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40},
		"map with an odd number":        {0xc1, 2, 1, 0x40},
		"bytes left over in a list":     {0xc0, 3, 1, 0x40, 0x40},
		"constructor that is none":      {0x99},
		"string that is no UTF-8":       {0xa1, 1, 0xff},
		"symbol that is no ASCII":       {0xa3, 1, 0x80},
		"described values without end":  deep,
		"nothing":                       {},
		"uuid cut short":                {0x98, 1, 2},
		"compound shorter than a count": {0xd0, 0, 0, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(in)
			if v := r.Value(); !errors.Is(r.Err(), ErrMalformed) {
				t.Errorf("value %v, %v", v, r.Err())
			}
			s := NewReader(in)
			if s.Skip(); !errors.Is(s.Err(), ErrMalformed) {
				t.Errorf("skip: %v", s.Err())
			}
		})
	}
}

func performatives() map[string]Performative {
	one, two := uint32(1), uint32(2)
	channel := uint16(3)
	return map[string]Performative{
		"open":        &Open{ContainerID: "c", Hostname: "h", MaxFrameSize: 65536, ChannelMax: 255, IdleTimeout: 30000, Properties: Map{{Key: Symbol("p"), Value: "v"}}},
		"begin":       &Begin{RemoteChannel: &channel, NextOutgoingID: 1, IncomingWindow: 5000, OutgoingWindow: 5000, HandleMax: 99},
		"attach":      &Attach{Name: "l", Handle: 4, Receiver: true, SndSettleMode: 1, RcvSettleMode: 1, Source: &Terminus{Address: "q", Filter: Map{{Key: Symbol("f"), Value: Described{Descriptor: uint64(0x137000000C), Value: "s"}}}}, Target: &Terminus{Address: "t", Durable: 1, ExpiryPolicy: "never", Timeout: 9}, MaxMessageSize: 262144, Properties: Map{{Key: Symbol("x"), Value: uint32(1)}}},
		"refusal":     &Attach{Name: "l", Handle: 4},
		"flow":        &Flow{NextIncomingID: &one, IncomingWindow: 10, NextOutgoingID: 2, OutgoingWindow: 11, Handle: &two, DeliveryCount: 7, LinkCredit: 100, Drain: true, Echo: true},
		"window":      &Flow{IncomingWindow: 10, NextOutgoingID: 2, OutgoingWindow: 11},
		"transfer":    &Transfer{Handle: 1, DeliveryID: 9, HasDeliveryID: true, DeliveryTag: []byte{1, 2}, MessageFormat: BatchFormat, Settled: true, More: true, Payload: []byte("payload")},
		"disposition": &Disposition{Receiver: true, First: 1, Last: 5, Settled: true, State: Modified{UndeliverableHere: true, Annotations: Map{{Key: Symbol("a"), Value: int32(1)}}}},
		"rejected":    &Disposition{First: 1, Last: 1, State: Rejected{Error: &Error{Condition: "amqp:not-found", Description: "d", Info: Map{{Key: Symbol("i"), Value: "x"}}}}},
		"accepted":    &Disposition{First: 1, Last: 1, State: Accepted{}},
		"released":    &Disposition{First: 1, Last: 1, State: Released{}},
		"nothing":     &Disposition{First: 1, Last: 1},
		"detach":      &Detach{Handle: 3, Closed: true, Error: &Error{Condition: "amqp:internal-error"}},
		"end":         &End{},
		"close":       &Close{Error: &Error{Condition: "amqp:connection:forced", Description: "bye"}},
		"mechanisms":  &SASLMechanisms{Mechanisms: []Symbol{"ANONYMOUS", "PLAIN"}},
		"init":        &SASLInit{Mechanism: "PLAIN", Response: []byte("\x00u\x00p")},
		"outcome":     &SASLOutcome{Code: 1},
	}
}

func TestPerformativesRoundTrip(t *testing.T) {
	for name, want := range performatives() {
		t.Run(name, func(t *testing.T) {
			b := AppendFrame(nil, FrameAMQP, 7, want)
			r := &FrameReader{R: bytes.NewReader(b), Max: 65536}
			f, err := r.Read()
			if err != nil || f.Channel != 7 {
				t.Fatal(f, err)
			}
			got, err := ParsePerformative(f.Body)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if _, err := r.Read(); err != io.EOF {
				t.Errorf("after the frame: %v", err)
			}
		})
	}
}

func TestSymbolicDescriptorsAreUnderstood(t *testing.T) {
	b := AppendSymbol([]byte{0}, "amqp:end:list")
	p, err := ParsePerformative(append(b, codeList0))
	if _, ok := p.(*End); !ok {
		t.Errorf("got %T, %v", p, err)
	}
}

func TestFramesOutOfBoundsAreRefused(t *testing.T) {
	for name, in := range map[string][]byte{
		"too large":         {0, 2, 0, 0, 2, 0, 0, 0},
		"too small":         {0, 0, 0, 4, 2, 0, 0, 0},
		"data before start": {0, 0, 0, 8, 1, 0, 0, 0},
		"data behind end":   {0, 0, 0, 8, 3, 0, 0, 0},
	} {
		r := &FrameReader{R: bytes.NewReader(append(in, make([]byte, 100)...)), Max: 65536}
		if f, err := r.Read(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	r := &FrameReader{R: bytes.NewReader([]byte{0, 0, 0, 20, 2, 0, 0, 0, 1}), Max: 65536}
	if _, err := r.Read(); err != io.ErrUnexpectedEOF {
		t.Errorf("a frame cut short: %v", err)
	}
}

// messages draws messages of the SDK's codec, which is the oracle.
func messages() *rapid.Generator[*sdk.Message] {
	return rapid.Custom(func(t *rapid.T) *sdk.Message {
		m := &sdk.Message{}
		if rapid.Bool().Draw(t, "header") {
			m.Header = &sdk.MessageHeader{Durable: rapid.Bool().Draw(t, "durable"), Priority: rapid.Byte().Draw(t, "priority"), TTL: time.Duration(rapid.Uint32Range(1, math.MaxUint32).Draw(t, "ttl")) * time.Millisecond}
		}
		if rapid.Bool().Draw(t, "properties") {
			id := rapid.String().Draw(t, "id")
			m.Properties = &sdk.MessageProperties{MessageID: id, GroupID: &id, UserID: []byte(id)}
		}
		if rapid.Bool().Draw(t, "annotations") {
			m.Annotations = sdk.Annotations{"x-opt-partition-key": rapid.String().Draw(t, "key")}
			m.DeliveryAnnotations = sdk.Annotations{"d": rapid.Int64().Draw(t, "d")}
		}
		if rapid.Bool().Draw(t, "application") {
			m.ApplicationProperties = map[string]any{"n": rapid.Int32().Draw(t, "n"), "f": rapid.Float64().Draw(t, "f"), "s": rapid.String().Draw(t, "s")}
		}
		switch rapid.IntRange(0, 2).Draw(t, "body") {
		case 0:
			m.Data = [][]byte{}
			for range rapid.IntRange(1, 3).Draw(t, "sections") {
				m.Data = append(m.Data, append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "data")...))
			}
		case 1:
			m.Value = rapid.String().Draw(t, "value")
		case 2:
			m.Sequence = [][]any{{int64(1), "two"}, {true}}
		}
		return m
	})
}

func TestMessagesOfTheSDKComeBackWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := messages().Draw(t, "message")
		raw, err := want.MarshalBinary()
		if err != nil {
			t.Skip(err)
		}
		m, err := ParseMessage(raw)
		if err != nil {
			t.Fatal(err)
		}
		var b []byte
		if want.Header != nil {
			b = AppendHeader(b, m.Header)
		}
		if m.Delivery != nil {
			b = AppendDeliveryAnnotations(b, m.Delivery, nil, 0)
		}
		if m.Annotations != nil {
			b = AppendAnnotations(b, nil, AppendPairs(nil, m.Annotations), 2*len(m.Annotations))
		}
		if m.Properties != nil {
			p, err := ParseProperties(m.Properties)
			if err != nil {
				t.Fatal(err)
			}
			b = p.Append(b)
		}
		if m.AppProps != nil {
			app, err := ParseMap(m.AppProps)
			if err != nil {
				t.Fatal(err)
			}
			b = AppendAppProps(b, app)
		}
		b = append(append(b, m.Body...), m.Footer...)
		var got, again sdk.Message
		if err := got.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalBinary(raw); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&again, &got, cmpopts.IgnoreUnexported(sdk.Message{}), cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

func TestSectionsOutOfOrderAreRefused(t *testing.T) {
	properties := (&Properties{MessageID: "m"}).Append(nil)
	late := AppendHeader(append([]byte(nil), properties...), Header{})
	if _, err := ParseMessage(late); !errors.Is(err, ErrMalformed) {
		t.Errorf("a header behind the properties: %v", err)
	}
}
