package servicebus_test

import (
	"context"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"throughline/infra/local/servicebus"
)

const queues = `{"queues":[
	{"name":"plain","lockDuration":"PT1M"},
	{"name":"hasty","lockDuration":"PT1S","maxDeliveryCount":3},
	{"name":"once","requiresDuplicateDetection":true,"duplicateDetectionHistoryTimeWindow":"PT10M"},
	{"name":"sessions","requiresSession":true,"lockDuration":"PT1M"},
	{"name":"fleeting","requiresSession":true,"lockDuration":"PT1S"},
	{"name":"brief","defaultMessageTimeToLive":"PT1S","deadLetteringOnMessageExpiration":true}
]}`

func start(t testing.TB, dir string) *servicebus.Server {
	t.Helper()
	s, err := servicebus.Start(context.Background(), servicebus.Options{Addr: "127.0.0.1:0", Dir: dir, Queues: []byte(queues)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func connect(t testing.TB, s *servicebus.Server) *azservicebus.Client {
	t.Helper()
	c, err := azservicebus.NewClientFromConnectionString(s.ConnectionString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func send(t testing.TB, c *azservicebus.Client, queue string, messages ...*azservicebus.Message) {
	t.Helper()
	ctx := deadline(t)
	s, err := c.NewSender(queue, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(ctx)
	for _, m := range messages {
		if err := s.SendMessage(ctx, m, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// modes runs a test with a store on disk and in memory.
func modes(t *testing.T, f func(t *testing.T, s *servicebus.Server)) {
	t.Run("durable", func(t *testing.T) { f(t, start(t, t.TempDir())) })
	t.Run("memory", func(t *testing.T) { f(t, start(t, "")) })
}

func TestSendAndComplete(t *testing.T) {
	modes(t, func(t *testing.T, s *servicebus.Server) {
		ctx, c := deadline(t), connect(t, s)
		send(t, c, "plain", &azservicebus.Message{Body: []byte("hello"), MessageID: to.Ptr("m1")})
		r, err := c.NewReceiverForQueue("plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.ReceiveMessages(ctx, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if string(got[0].Body) != "hello" || got[0].MessageID != "m1" || got[0].DeliveryCount != 1 {
			t.Errorf("got %q, id %q, count %d", got[0].Body, got[0].MessageID, got[0].DeliveryCount)
		}
		if n := s.Counts()["plain"]; n.Active != 1 || n.Locked != 1 {
			t.Errorf("while locked: %+v", n)
		}
		if err := r.CompleteMessage(ctx, got[0], nil); err != nil {
			t.Fatal(err)
		}
		if n := s.Counts()["plain"]; n != (servicebus.Counts{}) {
			t.Errorf("after complete: %+v", n)
		}
	})
}
