package feeds

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// A table is stored as gzip over varints: for each CVE, in order, the distance from the one before and its values. A day
// of EPSS, 300,000 CVEs, takes about a megabyte.

type packer struct {
	buf  []byte
	last CVE
}

func (p *packer) id(c CVE) {
	p.buf = binary.AppendUvarint(p.buf, uint64(c-p.last))
	p.last = c
}

func (p *packer) number(n uint64) { p.buf = binary.AppendUvarint(p.buf, n) }

func (p *packer) pack() ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(p.buf); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// sorted lists the CVEs of a table.
func sorted[V any](table map[CVE]V) []CVE { return slices.Sorted(maps.Keys(table)) }

func packKEV(added map[CVE]Day) ([]byte, error) {
	var p packer
	for _, c := range sorted(added) {
		p.id(c)
		p.number(uint64(added[c]))
	}
	return p.pack()
}

func packEPSS(table peaks) ([]byte, error) {
	var p packer
	for _, c := range sorted(table) {
		p.id(c)
		p.number(uint64(len(table[c])))
		for _, one := range table[c] {
			p.number(uint64(one.day))
			p.number(uint64(one.value))
		}
	}
	return p.pack()
}

func packSSVC(points map[CVE]SSVC) ([]byte, error) {
	var p packer
	for _, c := range sorted(points) {
		s := points[c]
		p.id(c)
		p.number(uint64(slices.Index(exploitations, s.Exploitation)<<4 | slices.Index(answers, s.Automatable)<<2 | slices.Index(impacts, s.Impact)))
	}
	return p.pack()
}

// largestTable bounds what is unpacked: a thousand times a year of CVEs would still fit.
const largestTable = 256 << 20

type unpacker struct {
	rest []byte
	last CVE
	err  error
}

func unpack(packed []byte) *unpacker {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return &unpacker{err: err}
	}
	raw, err := io.ReadAll(io.LimitReader(z, largestTable+1))
	if err == nil && len(raw) > largestTable {
		err = errors.New("the table is too large")
	}
	return &unpacker{rest: raw, err: err}
}

func (u *unpacker) more() bool { return u.err == nil && len(u.rest) > 0 }

func (u *unpacker) number() uint64 {
	n, size := binary.Uvarint(u.rest)
	if size <= 0 {
		u.err = cmp.Or(u.err, errors.New("the table is cut short"))
		u.rest = nil
		return 0
	}
	u.rest = u.rest[size:]
	return n
}

func (u *unpacker) id() CVE {
	u.last += CVE(u.number())
	return u.last
}

func unpackKEV(packed []byte) (map[CVE]Day, error) {
	table := map[CVE]Day{}
	u := unpack(packed)
	for u.more() {
		id := u.id()
		table[id] = Day(u.number())
	}
	return table, u.err
}

func unpackEPSS(packed []byte) (peaks, error) {
	table := peaks{}
	u := unpack(packed)
	for u.more() {
		id, n := u.id(), u.number()
		if n > uint64(len(u.rest)) {
			return nil, fmt.Errorf("%s has %d values: the table is cut short", id, n)
		}
		list := make([]peak, 0, n)
		for range n {
			list = append(list, peak{Day(u.number()), uint32(u.number())})
		}
		if len(list) > 0 {
			table[id] = list
		}
	}
	return table, u.err
}

func unpackSSVC(packed []byte) (map[CVE]SSVC, error) {
	table := map[CVE]SSVC{}
	u := unpack(packed)
	for u.more() {
		id, bits := u.id(), u.number()
		if bits>>4 >= uint64(len(exploitations)) || bits>>2&3 >= uint64(len(answers)) || bits&3 >= uint64(len(impacts)) {
			return nil, fmt.Errorf("%s: %d is no set of decision points", id, bits)
		}
		table[id] = SSVC{exploitations[bits>>4], answers[bits>>2&3], impacts[bits&3]}
	}
	return table, u.err
}
