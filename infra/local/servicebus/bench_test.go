package servicebus_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// stores runs a benchmark durable and in memory.
func stores(b *testing.B, f func(b *testing.B, c *azservicebus.Client)) {
	b.Run("durable", func(b *testing.B) { f(b, connect(b, start(b, b.TempDir()))) })
	b.Run("memory", func(b *testing.B) { f(b, connect(b, start(b, ""))) })
}

var kilobyte = []byte(strings.Repeat("x", 1024))

func sendMany(b *testing.B, c *azservicebus.Client, n, inFlight int) {
	ctx := context.Background()
	s, err := c.NewSender("plain", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close(ctx)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range inFlight {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for next.Add(1) <= int64(n) {
				if err := s.SendMessage(ctx, &azservicebus.Message{Body: kilobyte}, nil); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
}

func receiveMany(b *testing.B, c *azservicebus.Client, n, inFlight int) {
	ctx := context.Background()
	r, err := c.NewReceiverForQueue("plain", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close(ctx)
	for left := n; left > 0; {
		got, err := r.ReceiveMessages(ctx, min(inFlight, left), &azservicebus.ReceiveMessagesOptions{TimeAfterFirstMessage: time.Millisecond})
		if err != nil {
			b.Error(err)
			return
		}
		var wg sync.WaitGroup
		for _, m := range got {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if err := r.CompleteMessage(ctx, m, nil); err != nil {
					b.Error(err)
				}
			}()
		}
		wg.Wait()
		left -= len(got)
	}
}

func perSecond(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s") }

// BenchmarkSend sends 1 KB messages and waits for each to be confirmed.
func BenchmarkSend(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(inFlightName(n), func(b *testing.B) {
			stores(b, func(b *testing.B, c *azservicebus.Client) {
				sendMany(b, c, 1, 1)
				b.ResetTimer()
				sendMany(b, c, b.N, n)
				perSecond(b)
			})
		})
	}
}

// BenchmarkReceive receives 1 KB messages and waits for each to be settled.
func BenchmarkReceive(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(inFlightName(n), func(b *testing.B) {
			stores(b, func(b *testing.B, c *azservicebus.Client) {
				sendMany(b, c, b.N, 64)
				b.ResetTimer()
				receiveMany(b, c, b.N, n)
				perSecond(b)
			})
		})
	}
}

// BenchmarkFlow sends and receives at the same time.
func BenchmarkFlow(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(inFlightName(n), func(b *testing.B) {
			stores(b, func(b *testing.B, c *azservicebus.Client) {
				var wg sync.WaitGroup
				wg.Add(2)
				go func() { defer wg.Done(); sendMany(b, c, b.N, n) }()
				go func() { defer wg.Done(); receiveMany(b, c, b.N, n) }()
				wg.Wait()
				perSecond(b)
			})
		})
	}
}

func inFlightName(n int) string {
	if n == 1 {
		return "in_flight=1"
	}
	return "in_flight=32"
}
