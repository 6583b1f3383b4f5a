//go:build ignore

// This program starts the two stand-ins for the conformance run, over TLS with a certificate of its own, and stops
// when its standard input closes. It belongs to the main module and is built there by its file name, because the
// module around it knows the SDKs only.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"time"

	"throughline/infra/local/cosmosdb"
	"throughline/infra/local/servicebus"
)

const queues = `{"queues":[{"name":"testQueue"},{"name":"testQueueWithSessions","requiresSession":true}]}`

func main() {
	bus := flag.String("servicebus", "", "address of Service Bus")
	admin := flag.String("servicebus-admin", "", "address of its administration and fault switches")
	cosmos := flag.String("cosmos", "", "address of Cosmos DB")
	compute := flag.String("cosmos-compute", "", "second address of Cosmos DB")
	data := flag.String("data", "", "folder of the stores")
	ca := flag.String("ca", "", "where to write the certificate")
	flag.Parse()
	if err := run(*bus, *admin, *cosmos, *compute, *data, *ca); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(bus, admin, cosmos, compute, data, ca string) error {
	certificate, err := certify(ca, bus, cosmos, compute)
	if err != nil {
		return err
	}
	ctx := context.Background()
	s, err := servicebus.Start(ctx, servicebus.Options{Addr: bus, AdminAddr: admin, Dir: data + "/servicebus", Queues: []byte(queues), Certificate: &certificate})
	if err != nil {
		return err
	}
	defer s.Close()
	c, err := cosmosdb.Start(ctx, cosmosdb.Options{Addr: cosmos, ComputeAddr: compute, Dir: data + "/cosmosdb",
		TLS: &tls.Config{Certificates: []tls.Certificate{certificate}}})
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
	return err
}

// certify makes a certificate for the loopback names, with and without the ports: an AMQP client asks for its
// server by host and port.
func certify(file string, addresses ...string) (tls.Certificate, error) {
	names := []string{"localhost"}
	for _, a := range addresses {
		_, port, err := net.SplitHostPort(a)
		if err != nil {
			return tls.Certificate{}, err
		}
		names = append(names, "localhost:"+port)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "conformance"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
