package amqp

import (
	"bytes"
	"testing"

	sdk "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzFrames reads frames as a connection does, whatever the bytes are.
func FuzzFrames(f *testing.F) {
	for _, p := range performatives() {
		f.Add(AppendFrame(nil, FrameAMQP, 0, p))
	}
	f.Add(AppendFrame(nil, FrameAMQP, 0, nil))
	f.Add([]byte{0, 0, 0, 9, 2, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		r := &FrameReader{R: bytes.NewReader(in), Max: 65536}
		for {
			frame, err := r.Read()
			if err != nil {
				return
			}
			p, err := ParsePerformative(frame.Body)
			if err != nil {
				continue
			}
			b := AppendFrame(nil, FrameAMQP, 0, p)
			if _, err := ParsePerformative(b[8:]); err != nil {
				t.Fatalf("%#v was written and cannot be read: %v", p, err)
			}
		}
	})
}

// FuzzMessage reads messages as a broker does. What the SDK would take must be taken too.
func FuzzMessage(f *testing.F) {
	for _, m := range []*sdk.Message{
		sdk.NewMessage([]byte("hello")),
		{Value: map[string]any{"lock-tokens": []sdk.UUID{{1}}}, ApplicationProperties: map[string]any{"operation": "x"}},
		{Header: &sdk.MessageHeader{Durable: true}, Properties: &sdk.MessageProperties{MessageID: "m"}, Annotations: sdk.Annotations{"a": int32(1)}, Data: [][]byte{{1}, {2}}},
	} {
		b, err := m.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := ParseMessage(in)
		if err != nil {
			return
		}
		_, _ = ParseProperties(m.Properties)
		_, _ = ParseMap(m.AppProps)
		_, _ = Data(m.Body)
		_, _ = Value(m.Body)
		b := AppendAnnotations(nil, m.Annotations, nil, 0)
		if _, err := ParseMessage(b); err != nil {
			t.Fatalf("annotations %v were written and cannot be read: %v", m.Annotations, err)
		}
	})
}

// FuzzValue reads a value and passes over it: both must find the same fault, or the same end. What was read can be
// written and read again.
func FuzzValue(f *testing.F) {
	f.Add([]byte{0xc1, 5, 2, 0xa1, 1, 'k', 0x41})
	f.Add([]byte{0x00, 0x53, 0x24, 0xd0, 0, 0, 0, 6, 0, 0, 0, 2, 0x40, 0x56})
	f.Add([]byte{0xf0, 0, 0, 0, 8, 0, 0, 0, 1, 0x00, 0x53, 0x01, 0x45})
	f.Add(AppendValue(nil, Array{Code: ArrayOfUUID, Items: []any{UUID{1}}}))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, s := NewReader(in), NewReader(in)
		v := r.Value()
		s.Skip()
		if (r.Err() == nil) != (s.Err() == nil) || r.Len() != s.Len() {
			t.Fatalf("read %v with %d left, skipped %v with %d left", r.Err(), r.Len(), s.Err(), s.Len())
		}
		if r.Err() != nil {
			return
		}
		again := NewReader(AppendValue(nil, v))
		if got := again.Value(); again.Err() != nil || !cmp.Equal(v, got, cmpopts.EquateNaNs()) {
			t.Fatalf("%#v came back as %#v, %v", v, got, again.Err())
		}
	})
}
