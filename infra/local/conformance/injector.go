package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// injector is a proxy for AMQP over TLS that delays the deliveries to a receiver after the first few. It is what
// the tests of azservicebus call the fault injector.
func injector(args []string) error {
	set := flag.NewFlagSet("transfer_delay", flag.ContinueOnError)
	after := set.Int("after", 1, "deliveries that are not delayed")
	delay := set.Duration("delay", time.Second, "delay of each that follows")
	set.String("cert", "", "folder for certificates; none is written")
	set.String("logs", "", "folder for logs; none are written")
	addressFile := set.String("address-file", "", "file that gets the address of the proxy")
	host := set.String("host", "", "address to pass on to")
	if err := set.Parse(args); err != nil {
		return err
	}
	certificate, err := throwaway()
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(*addressFile, []byte(l.Addr().String()), 0o600); err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			if err := pass(c, *host, *after, *delay); err != nil {
				fmt.Fprintln(os.Stderr, "transfer_delay:", err)
			}
		}()
	}
}

func throwaway() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// pass connects a client with the host, which is on this machine: its certificate is not asked for.
func pass(client net.Conn, host string, after int, delay time.Duration) error {
	defer client.Close()
	server, err := tls.Dial("tcp", host, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer server.Close()
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		defer server.Close()
		_, _ = io.Copy(server, client) // either side may end it
	}()
	d := &delayer{from: bufio.NewReader(server), to: client, after: after, delay: delay, hidden: map[[2]uint32]bool{}}
	err = d.run()
	client.Close()
	wg.Wait()
	return err
}

// delayer copies frames from a server to its client.
type delayer struct {
	from   *bufio.Reader
	to     io.Writer
	after  int
	delay  time.Duration
	seen   int
	hidden map[[2]uint32]bool // links of $cbs and $management by channel and handle: they are not delayed
}

func (d *delayer) run() error {
	for {
		head := make([]byte, 8)
		if _, err := io.ReadFull(d.from, head); err != nil {
			return nil // the connection has ended
		}
		frame := head
		if string(head[:4]) != "AMQP" {
			size := binary.BigEndian.Uint32(head)
			if size < 8 || size > 1<<20 {
				return fmt.Errorf("a frame of %d bytes", size)
			}
			frame = append(head, make([]byte, size-8)...)
			if _, err := io.ReadFull(d.from, frame[8:]); err != nil {
				return nil
			}
			d.look(frame)
		}
		if _, err := d.to.Write(frame); err != nil {
			return nil
		}
	}
}

// look delays a delivery, and notes which links are not to be delayed.
func (d *delayer) look(frame []byte) {
	channel := uint32(binary.BigEndian.Uint16(frame[6:]))
	body := frame[min(int(frame[4])*4, len(frame)):]
	if len(body) < 4 || body[0] != 0 || body[1] != 0x53 {
		return
	}
	switch fields := fieldsOf(body[3:]); body[2] {
	case 0x12: // attach: name, handle
		if handle, ok := number(skipString(fields)); ok {
			text := string(body)
			d.hidden[[2]uint32{channel, handle}] = strings.Contains(text, "$cbs") || strings.Contains(text, "$management")
		}
	case 0x14: // transfer: handle
		if handle, ok := number(fields); ok && !d.hidden[[2]uint32{channel, handle}] {
			if d.seen++; d.seen > d.after {
				time.Sleep(d.delay)
			}
		}
	}
}

// fieldsOf is what follows the head of a list.
func fieldsOf(b []byte) []byte {
	switch {
	case len(b) > 3 && b[0] == 0xc0:
		return b[3:]
	case len(b) > 9 && b[0] == 0xd0:
		return b[9:]
	}
	return nil
}

func skipString(b []byte) []byte {
	switch {
	case len(b) > 2 && b[0] == 0xa1 && len(b) > 2+int(b[1]):
		return b[2+int(b[1]):]
	case len(b) > 5 && b[0] == 0xb1:
		if n := binary.BigEndian.Uint32(b[1:]); int64(len(b)) > 5+int64(n) {
			return b[5+n:]
		}
	}
	return nil
}

func number(b []byte) (uint32, bool) {
	switch {
	case len(b) > 0 && b[0] == 0x43:
		return 0, true
	case len(b) > 1 && b[0] == 0x52:
		return uint32(b[1]), true
	case len(b) > 4 && b[0] == 0x70:
		return binary.BigEndian.Uint32(b[1:]), true
	}
	return 0, false
}
