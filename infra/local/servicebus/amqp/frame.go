package amqp

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Frame types.
const (
	FrameAMQP = 0
	FrameSASL = 1
)

// MinFrameSize is the smallest max-frame-size that a peer may ask for.
const MinFrameSize = 512

// Protocol headers.
var (
	HeaderAMQP = [8]byte{'A', 'M', 'Q', 'P', 0, 1, 0, 0}
	HeaderSASL = [8]byte{'A', 'M', 'Q', 'P', 3, 1, 0, 0}
)

// Frame is one frame as read; an empty Body is a heartbeat.
type Frame struct {
	Type    byte
	Channel uint16
	Body    []byte
}

// FrameReader reads frames of at most Max bytes. The body of a frame lives until the next call of Read.
type FrameReader struct {
	R   io.Reader
	Max uint32
	buf []byte
}

// Read reads one frame. io.EOF means that the peer left between two frames.
func (f *FrameReader) Read() (Frame, error) {
	var head [8]byte
	if _, err := io.ReadFull(f.R, head[:]); err != nil {
		return Frame{}, err
	}
	size, offset := binary.BigEndian.Uint32(head[:]), uint32(head[4])*4
	if size > f.Max || offset < 8 || offset > size {
		return Frame{}, fmt.Errorf("%w: a frame of %d bytes with its data at %d, the limit is %d", ErrMalformed, size, offset, f.Max)
	}
	n := int(size - 8)
	if cap(f.buf) < n {
		f.buf = make([]byte, max(n, 1024))
	}
	body := f.buf[:n]
	if _, err := io.ReadFull(f.R, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return Frame{Type: head[5], Channel: binary.BigEndian.Uint16(head[6:]), Body: body[offset-8:]}, nil
}

// AppendFrame appends a frame with p as its body, or a heartbeat when p is nil.
func AppendFrame(b []byte, kind byte, channel uint16, p Performative) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0, 2, kind, byte(channel>>8), byte(channel))
	if p != nil {
		b = p.append(b)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

// TransferOverhead bounds what a transfer frame needs beside its payload.
const TransferOverhead = 8 + 3 + 9 + 5 + 5 + 2 + 32 + 5 + 2
