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
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"throughline/infra/local/demo"
)

// recorder is a proxy that ends TLS with an authority of its own, writes down every host that anybody asks for, and leads
// the few that it knows to stand-ins. Go's HTTP clients, the Azure SDKs' too, go through the proxy of the environment.
type recorder struct {
	*httptest.Server
	ca      *x509.Certificate
	key     *ecdsa.PrivateKey
	inside  map[string]http.Handler
	mu      sync.Mutex
	asked   map[string]int
	unknown map[string]string // host: the first address that was asked of it
}

func newRecorder(t *testing.T, inside map[string]http.Handler) *recorder {
	t.Helper()
	r := &recorder{inside: inside, asked: map[string]int{}, unknown: map[string]string{}}
	var err error
	if r.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	r.ca = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, r.ca, r.ca, r.key.Public(), r.key)
	if err != nil {
		t.Fatal(err)
	}
	if r.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// authority writes the certificate that makes the proxy believed.
func (r *recorder) authority(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.ca.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (r *recorder) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	leaf := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{hello.ServerName}, NotBefore: r.ca.NotBefore, NotAfter: r.ca.NotAfter}
	der, err := x509.CreateCertificate(rand.Reader, leaf, r.ca, r.key.Public(), r.key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: r.key}, err
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodConnect {
		r.answer(w, req, req.URL.Hostname())
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	go r.tunnel(conn, req.URL.Hostname())
}

// tunnel answers the requests inside one TLS connection.
func (r *recorder) tunnel(conn net.Conn, host string) {
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	inner := tls.Server(conn, &tls.Config{GetCertificate: r.certificate, NextProtos: []string{"http/1.1"}})
	in := bufio.NewReader(inner)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return // the client is done
		}
		answer := httptest.NewRecorder()
		req.URL.Scheme, req.URL.Host = "https", req.Host
		r.answer(answer, req, host)
		got := answer.Result()
		got.ContentLength = int64(answer.Body.Len())
		if err := got.Write(inner); err != nil {
			return
		}
	}
}

func (r *recorder) answer(w http.ResponseWriter, req *http.Request, host string) {
	h := r.inside[host]
	r.mu.Lock()
	r.asked[host]++
	if h == nil && r.unknown[host] == "" {
		r.unknown[host] = req.Method + " " + req.URL.String()
	}
	r.mu.Unlock()
	if h == nil {
		http.Error(w, "outside", http.StatusBadGateway)
		return
	}
	h.ServeHTTP(w, req)
}

// at leads to a stand-in; prefix is cut off the path.
func at(t *testing.T, address string, cut ...string) http.Handler {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(u)
		p.Out.Host = u.Host
		for _, prefix := range cut {
			p.Out.URL.Path, p.Out.URL.RawPath = strings.TrimPrefix(p.Out.URL.Path, prefix), ""
		}
	}}
}

// entra issues tokens as the authority of any cloud.
func entra(w http.ResponseWriter, req *http.Request) {
	base := "https://" + req.Host + "/" + strings.Split(strings.TrimPrefix(req.URL.Path, "/"), "/")[0]
	answer := map[string]any{"token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600, "access_token": "token"}
	if strings.Contains(req.URL.Path, "openid-configuration") {
		answer = map[string]any{"token_endpoint": base + "/oauth2/v2.0/token", "authorization_endpoint": base + "/oauth2/v2.0/authorize", "issuer": base + "/v2.0"}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client sees a broken answer
}

// TestE2ESovereign runs in the clouds of the US Government and of China, beside a GitHub Enterprise Server. Everything
// arrives, and nobody else is asked.
func TestE2ESovereign(t *testing.T) {
	endToEnd(t)
	for cloud, hosts := range map[string][2]string{
		"usgovernment": {"management.usgovcloudapi.net", "login.microsoftonline.us"},
		"china":        {"management.chinacloudapi.cn", "login.chinacloudapi.cn"},
	} {
		t.Run(cloud, func(t *testing.T) {
			r, c := sovereign(t, cloud, hosts[0], hosts[1])
			c.eventually(3*time.Minute, (&drill{command: c}).empty)
			c.kill() // nobody asks any more
			<-c.done
			for _, host := range slices.Sorted(maps.Keys(r.unknown)) {
				t.Errorf("%s was asked: %s", host, r.unknown[host])
			}
		})
	}
	t.Run("opened", func(t *testing.T) {
		t.Setenv("EGRESS", "open")
		r, c := sovereign(t, "china", "management.chinacloudapi.cn", "login.chinacloudapi.cn")
		c.eventually(time.Minute, func() error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.unknown["ghcr.io"] == "" || r.unknown["www.cisa.gov"] == "" {
				return fmt.Errorf("a registry and a feed were not asked (%v): the recorder would not have seen it either", r.unknown)
			}
			return nil
		})
	})
}

const ownGitHub = "github.agency.example"

// sovereign runs until all has arrived.
func sovereign(t *testing.T, cloud, manager, authority string) (*recorder, *command) {
	t.Helper()
	ports := freePorts(t)
	secret := webhookSecret
	d, err := demo.Start(t.Context(), demo.Options{GitHubAddr: "127.0.0.1:0", AzureAddr: "127.0.0.1:0", Seed: 1, Estate: "small", WebhookSecret: secret,
		WebhookURL: fmt.Sprintf("http://127.0.0.1:%d/ingest/github", ports["functions"])})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	r := newRecorder(t, map[string]http.Handler{manager: at(t, d.AzureURL()), authority: http.HandlerFunc(entra), ownGitHub: at(t, d.GitHubURL(), "/api/v3", "/api")})
	for _, setting := range d.Env() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	for name, value := range map[string]string{"GITHUB_API_URL": "https://" + ownGitHub + "/api/v3", "AZURE_CLOUD": cloud, "AZURE_ARM_URL": "", "REGISTRY_MIRRORS": "",
		"HTTPS_PROXY": r.URL, "HTTP_PROXY": r.URL, "NO_PROXY": "", "SSL_CERT_FILE": r.authority(t),
		"AZURE_TENANT_ID": "11111111-2222-3333-4444-555555555555", "AZURE_CLIENT_ID": "66666666-2222-3333-4444-555555555555", "AZURE_CLIENT_SECRET": "not a secret"} {
		t.Setenv(name, value)
	}
	c := start(t, ports, "-demo=false", "-data", "")
	c.ready(2 * time.Minute)
	if err := d.Play(context.Background()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(c.url("functions", "/admin/functions/resync"), "application/json", strings.NewReader(`{"input":""}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		t.Logf("asked: %v; outside: %v", r.asked, r.unknown)
	})
	want := d.Expected()
	c.eventually(3*time.Minute, func() error { return c.arrived(want.Workloads) })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, host := range []string{manager, authority, ownGitHub} {
		if r.asked[host] == 0 {
			t.Errorf("%s was not asked: the recorder sees nothing", host)
		}
	}
	return r, c
}

// arrived wants alerts from the webhooks and workloads from Azure, all decided.
func (c *command) arrived(workloads int) error {
	body, err := c.get("functions", "/api/summary")
	if err != nil {
		return err
	}
	var s struct{ Alerts, Workloads, Repositories int }
	if err := json.Unmarshal(body, &s); err != nil {
		return err
	}
	if s.Alerts == 0 || s.Workloads < workloads || s.Repositories == 0 {
		return fmt.Errorf("not there yet: %s", body)
	}
	return nil
}
