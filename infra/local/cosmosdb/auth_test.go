package cosmosdb_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/infra/local/cosmosdb"
)

// entra hands out an unsigned token that ends at a given time.
type entra struct{ expires time.Time }

func (e entra) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	token := part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"exp":%d}`, e.expires.Unix())) + "." + part("x")
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestAuthorization(t *testing.T) {
	ctx := context.Background()
	s := start(t, "")
	k := container(t, connect(t, s), "graph", "/pk")
	create(t, k, "a", doc{"id": "1", "pk": "a"})

	t.Run("a wrong key is 401", func(t *testing.T) {
		wrong := strings.Replace(s.ConnectionString(), "AccountKey=C2y6", "AccountKey=D2y6", 1)
		other, err := dial(t, wrong).NewContainer("db", "graph")
		if err != nil {
			t.Fatal(err)
		}
		_, err = other.ReadItem(ctx, key("a"), "1", nil)
		wantStatus(t, err, http.StatusUnauthorized)
	})
	t.Run("no authorization is 401", func(t *testing.T) {
		for _, path := range []string{"/", "/dbs", "/dbs/db/colls/graph/docs/1"} {
			r, err := http.Get("http://" + s.Addr() + path)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if r.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: %d", path, r.StatusCode)
			}
		}
	})
	for name, c := range map[string]struct {
		expires time.Time
		want    int
	}{"an Entra token": {time.Now().Add(time.Hour), 0}, "an expired Entra token": {time.Now().Add(-time.Hour), http.StatusUnauthorized}} {
		t.Run(name, func(t *testing.T) {
			client, err := azcosmos.NewClient("http://"+s.Addr()+"/", entra{c.expires}, nil)
			if err != nil {
				t.Fatal(err)
			}
			k, err := client.NewContainer("db", "graph")
			if err != nil {
				t.Fatal(err)
			}
			_, err = k.ReadItem(ctx, key("a"), "1", nil)
			wantStatus(t, err, c.want)
		})
	}
	t.Run("an own key", func(t *testing.T) {
		own := startWith(t, cosmosdb.Options{Key: base64.StdEncoding.EncodeToString([]byte("my own key"))})
		container(t, connect(t, own), "graph", "/pk")
	})
}

// selfSigned makes a certificate for localhost and its pool.
func selfSigned(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}, pool
}

func TestOnePortSpeaksHTTPAndHTTPS(t *testing.T) {
	config, pool := selfSigned(t)
	s := startWith(t, cosmosdb.Options{TLS: config, ComputeAddr: "127.0.0.1:0"})
	container(t, connect(t, s), "graph", "/pk")

	silent, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cred, err := azcosmos.NewKeyCredential(cosmosdb.EmulatorKey)
	if err != nil {
		t.Fatal(err)
	}
	o := &azcosmos.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}}
	for _, addr := range []string{s.Addr(), s.ComputeAddr()} {
		c, err := azcosmos.NewClientWithKey("https://"+addr+"/", cred, o)
		if err != nil {
			t.Fatal(err)
		}
		k, err := c.NewContainer("db", "graph")
		if err != nil {
			t.Fatal(err)
		}
		create(t, k, "a", doc{"id": "over " + addr, "pk": "a"})
	}
}

func TestIDsOfTheTwoGateways(t *testing.T) {
	ctx := context.Background()
	s := startWith(t, cosmosdb.Options{ComputeAddr: "127.0.0.1:0"})
	routing := container(t, connect(t, s), "graph", "/pk")
	compute := container(t, dial(t, strings.Replace(s.ConnectionString(), s.Addr(), s.ComputeAddr(), 1)), "graph", "/pk")
	for id, want := range map[string]int{"plain": 0, " a b?c": 0, "鱀": 0, "end ": 401, "a/b": 401, "a#b": 401, `a\b`: 401, "a%20b": 401, "a\tb": 400, "a\nb": 400} {
		create(t, routing, "a", doc{"id": id, "pk": "a"})
		_, err := routing.ReadItem(ctx, key("a"), id, nil)
		if got := status(err); got != want {
			t.Errorf("%q: %d, want %d (%v)", id, got, want, err)
		}
		if _, err := compute.ReadItem(ctx, key("a"), id, nil); err != nil {
			t.Errorf("%q by the compute gateway: %v", id, err)
		}
	}
}
