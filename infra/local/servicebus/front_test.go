package servicebus_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
	"github.com/coder/websocket"

	"throughline/infra/local/servicebus"
	"throughline/infra/local/servicebus/fault"
)

// withAdmin starts a server with its administration on a port beside.
func withAdmin(t testing.TB) *servicebus.Server {
	t.Helper()
	s, err := servicebus.Start(context.Background(), servicebus.Options{Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Queues: []byte(queues)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// trust is a TLS configuration that trusts the server.
func trust(t testing.TB, s *servicebus.Server) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CertificatePEM()) {
		t.Fatal("the certificate cannot be read")
	}
	return &tls.Config{RootCAs: pool}
}

// secure is the connection string of a client that speaks TLS.
func secure(s *servicebus.Server, key string) string {
	_, port, _ := net.SplitHostPort(s.Addr())
	return "Endpoint=sb://localhost:" + port + ";SharedAccessKeyName=" + key + ";SharedAccessKey=" + servicebus.Secret
}

func administrator(t testing.TB, s *servicebus.Server, key string) *admin.Client {
	t.Helper()
	c, err := admin.NewClientFromConnectionString(secure(s, key), &admin.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: &http.Client{Transport: &http.Transport{TLSClientConfig: trust(t, s)}}, Retry: policy.RetryOptions{MaxRetries: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOnePortSpeaksAllProtocols(t *testing.T) {
	s := withAdmin(t)
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	config := trust(t, s)
	clients := map[string]*azservicebus.ClientOptions{
		"TLS": {TLSConfig: config},
		"WebSocket": {NewWebSocketConn: func(ctx context.Context, args azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
			c, _, err := websocket.Dial(ctx, strings.Replace(args.Host, "localhost", "127.0.0.1", 1), &websocket.DialOptions{Subprotocols: []string{"amqp"},
				HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: config}}})
			if err != nil {
				return nil, err
			}
			return websocket.NetConn(context.Background(), c, websocket.MessageBinary), nil
		}},
	}
	for name, o := range clients {
		t.Run(name, func(t *testing.T) {
			c, err := azservicebus.NewClientFromConnectionString(secure(s, "RootManageSharedAccessKey"), o)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(deadline(t))
			send(t, c, "plain", &azservicebus.Message{Body: bytes.Repeat([]byte(name), 20_000/len(name))})
			r := receiver(t, c, "plain", nil)
			if err := r.CompleteMessage(deadline(t), receive(t, r, 1)[0], nil); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("HTTPS", func(t *testing.T) {
		if q, err := administrator(t, s, "RootManageSharedAccessKey").GetQueue(deadline(t), "plain", nil); err != nil || q == nil {
			t.Errorf("%v, %v", q, err)
		}
	})
	t.Run("HTTP", func(t *testing.T) {
		for _, addr := range []string{"127.0.0.1:" + port, s.AdminAddr()} {
			answer, err := http.Get("http://" + addr + "/plain")
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s without a token: %s", addr, answer.Status)
			}
		}
	})
}

func TestAdministrationAndRights(t *testing.T) {
	s := withAdmin(t)
	ctx, root := deadline(t), administrator(t, s, "RootManageSharedAccessKey")
	if _, err := root.CreateQueue(ctx, "fresh", &admin.CreateQueueOptions{Properties: &admin.QueueProperties{LockDuration: to.Ptr("PT2M"), RequiresSession: to.Ptr(true)}}); err != nil {
		t.Fatal(err)
	}
	c := connect(t, s)
	send(t, c, "fresh", &azservicebus.Message{Body: []byte("x"), SessionID: to.Ptr("a")})
	p, err := root.GetQueueRuntimeProperties(ctx, "fresh", nil)
	if err != nil || p.ActiveMessageCount != 1 || p.SizeInBytes == 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := root.CreateTopic(ctx, "t", nil); err != nil {
		t.Fatal(err)
	}
	rule := &admin.RuleProperties{Name: "red", Filter: &admin.SQLFilter{Expression: "color = @c", Parameters: map[string]any{"@c": "red & <blue>"}}}
	if _, err := root.CreateSubscription(ctx, "t", "s", &admin.CreateSubscriptionOptions{Properties: &admin.SubscriptionProperties{DefaultRule: rule}}); err != nil {
		t.Fatal(err)
	}
	send(t, c, "t", &azservicebus.Message{Body: []byte("no"), ApplicationProperties: map[string]any{"color": "green"}},
		&azservicebus.Message{Body: []byte("yes"), ApplicationProperties: map[string]any{"color": "red & <blue>"}})
	r, err := c.NewReceiverForSubscription("t", "s", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := receive(t, r, 1)[0]; string(got.Body) != "yes" {
		t.Errorf("got %q", got.Body)
	}
	_, err = root.CreateRule(ctx, "t", "s", &admin.CreateRuleOptions{Name: to.Ptr("bad"), Filter: &admin.SQLFilter{Expression: "color ="}})
	if e := (*azcore.ResponseError)(nil); !errors.As(err, &e) || e.StatusCode != http.StatusBadRequest {
		t.Errorf("a rule that cannot be read: %v", err)
	}
	if _, err := root.CreateQueue(ctx, "Fresh", nil); !strings.Contains(fmt.Sprint(err), "409") {
		t.Errorf("creating twice: %v", err)
	}
	sender, err := azservicebus.NewClientFromConnectionString(strings.Replace(s.ConnectionString(), "RootManageSharedAccessKey", "ListenOnly", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close(ctx)
	x, err := sender.NewSender("plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	var e *azservicebus.Error
	if err := x.SendMessage(ctx, &azservicebus.Message{}, nil); !errors.As(err, &e) || e.Code != azservicebus.CodeUnauthorizedAccess {
		t.Errorf("sending with a key that listens: %v", err)
	}
}

func TestFaultSwitches(t *testing.T) {
	s := withAdmin(t)
	ctx := deadline(t)
	c, err := azservicebus.NewClientFromConnectionString(s.ConnectionString(), &azservicebus.ClientOptions{RetryOptions: azservicebus.RetryOptions{RetryDelay: time.Millisecond, MaxRetryDelay: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	sender, err := c.NewSender("plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	push := func() error { return sender.SendMessage(ctx, &azservicebus.Message{Body: []byte("x")}, nil) }
	ask := func(method, path, body string, want int) string {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, "http://"+s.AdminAddr()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(answer.Body); err != nil || answer.StatusCode != want {
			t.Fatalf("%s %s: %s, %v, %s", method, path, answer.Status, err, b.String())
		}
		return b.String()
	}
	if err := push(); err != nil {
		t.Fatal(err)
	}

	ask("POST", "/$faults", `{"operation":"send","entity":"plain","action":"throttle","count":2}`, 201)
	if err := push(); err != nil { // the client tries three times more
		t.Errorf("throttled twice: %v", err)
	}
	if left := ask("GET", "/$faults", "", 200); strings.TrimSpace(left) != "[]" {
		t.Errorf("left on: %s", left)
	}
	ask("POST", "/$faults", `{"operation":"send","action":"refuse","condition":"amqp:not-allowed"}`, 201)
	if err := push(); err == nil || !strings.Contains(err.Error(), "amqp:not-allowed") {
		t.Errorf("refused: %v", err)
	}
	ask("DELETE", "/$faults", "", 204)
	ask("POST", "/$faults", `{"operation":"send","action":"delay","delayMs":150,"count":1}`, 201)
	start := time.Now()
	if err := push(); err != nil || time.Since(start) < 150*time.Millisecond {
		t.Errorf("delayed: %v after %s", err, time.Since(start))
	}
	ask("POST", "/$faults", `{"operation":"send","action":"drop","count":1}`, 201)
	if err := push(); err != nil {
		t.Errorf("dropped once: %v", err)
	}
	if n := ask("POST", "/$faults/drop", "", 200); !strings.Contains(n, `"connections":`) {
		t.Errorf("drop says %s", n)
	}
	if err := push(); err != nil {
		t.Errorf("after the drop: %v", err)
	}
	for body, path := range map[string]string{`{"action":"explode"}`: "/$faults", `{"operation":"receive","action":"drop"}`: "/$faults", `{`: "/$faults", `{"entity":"none"}`: "/$faults/expire"} {
		ask("POST", path, body, 400)
	}
	ask("GET", "/$faults/other", "", 404)

	r := receiver(t, c, "plain", nil)
	m := receive(t, r, 1)[0]
	if n := ask("POST", "/$faults/expire", fmt.Sprintf(`{"entity":"plain","sequence":%d}`, *m.SequenceNumber), 200); strings.TrimSpace(n) != `{"expired":1}` {
		t.Errorf("expire says %s", n)
	}
	if again := receive(t, r, 1)[0]; *again.SequenceNumber != *m.SequenceNumber || again.DeliveryCount != 2 {
		t.Errorf("message %d with count %d came", *again.SequenceNumber, again.DeliveryCount)
	}
	var counts map[string]struct{ Active, Locked int }
	if err := json.Unmarshal([]byte(ask("GET", "/$counts", "", 200)), &counts); err != nil || counts["plain"].Active == 0 {
		t.Errorf("counts %v, %v", counts, err)
	}
}

func TestReceivingCanBeSlowedDown(t *testing.T) {
	s := withAdmin(t)
	if err := s.Faults().Set(fault.Switch{Operation: "receive", Entity: "plain", Action: fault.Delay, DelayMS: 30}); err != nil {
		t.Fatal(err)
	}
	c := connect(t, s)
	for range 5 {
		send(t, c, "plain", &azservicebus.Message{Body: []byte("x")})
	}
	start := time.Now()
	if receive(t, receiver(t, c, "plain", nil), 5); time.Since(start) < 100*time.Millisecond {
		t.Errorf("five messages came in %s", time.Since(start))
	}
}

func TestPortInUseIsOneClearLine(t *testing.T) {
	s := withAdmin(t)
	for addr, flag := range map[string]string{s.Addr(): "-port-servicebus", s.AdminAddr(): "-port-servicebus-admin"} {
		o := servicebus.Options{Addr: addr}
		if addr == s.AdminAddr() {
			o = servicebus.Options{Addr: "127.0.0.1:0", AdminAddr: addr}
		}
		_, err := servicebus.Start(context.Background(), o)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), addr) || !strings.HasSuffix(err.Error(), flag) {
			t.Errorf("got %v", err)
		}
	}
}

func TestQueuesThatCannotBeMade(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).Close()
	for name, content := range map[string]string{
		"no JSON":          `{`,
		"no duration":      `{"queues":[{"name":"x","lockDuration":"a minute"}]}`,
		"no such property": `{"queues":[{"name":"x","lockDurations":"PT1M"}]}`,
		"other sessions":   `{"queues":[{"name":"plain","requiresSession":true}]}`,
	} {
		_, err := servicebus.Start(context.Background(), servicebus.Options{Addr: "127.0.0.1:0", Dir: dir, Queues: []byte(content)})
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s, err := servicebus.Start(ctx, servicebus.Options{Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	idle, err := net.Dial("tcp", s.Addr()) // says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	cancel()
	until := time.Now().Add(5 * time.Second)
	for {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			break
		}
		c.Close()
		if time.Now().After(until) {
			t.Fatal("it still listens")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestIdleConnectionsCostLittle keeps connections open that have a link each and say nothing.
func TestIdleConnectionsCostLittle(t *testing.T) {
	n := 200
	if os.Getenv("THROUGHLINE_LONG") != "" {
		n = 1000
	}
	c := spawn(t, "", propertyQueues)
	before := residentOf(t, c)
	for i := range n {
		x, err := azservicebus.NewClientFromConnectionString(c.connection, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close(context.Background())
		r, err := x.NewReceiverForQueue("plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.PeekMessages(deadline(t), 1, nil); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	runtime.GC()
	if each := (residentOf(t, c) - before) / int64(n); each > 512<<10 {
		t.Errorf("an idle connection costs %d KB", each>>10)
	} else {
		t.Logf("an idle connection costs %d KB", each>>10)
	}
}
