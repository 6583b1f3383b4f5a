package functionapp

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkQueue measures messages per second from the queue through the handler
// and settled, broker and handler on the same machine: plain, in 50 sessions, and
// each in a session of its own, where sessionIdleTimeout decides.
func BenchmarkQueue(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkQueue(b, plainHost, "plain", 0) })
	b.Run("50 sessions", func(b *testing.B) { benchmarkQueue(b, plainHost, "sessions", 50) })
	for _, idle := range []string{"00:00:01", "00:00:00.1"} {
		for _, most := range []string{"8", "32"} {
			host := strings.NewReplacer(`"sessionIdleTimeout":"00:00:01"`, `"sessionIdleTimeout":"`+idle+`","maxConcurrentSessions":`+most).Replace(plainHost)
			b.Run("own sessions/idle "+idle+"/at once "+most, func(b *testing.B) { benchmarkQueue(b, host, "sessions", b.N) })
		}
	}
}

func benchmarkQueue(b *testing.B, host, queue string, sessions int) {
	bus := newBroker(b, "127.0.0.1:0", b.TempDir())
	messages := texts(b.N)
	function := queueFunction(queue, isBinary)
	if sessions > 0 {
		function = queueFunction(queue, isBinary, isSessions)
		for i, m := range messages {
			m.SessionID = ptr(fmt.Sprint(i % sessions))
		}
	}
	a := newApp(b, host, map[string]string{"work": function}, nil)
	bus.send(queue, messages...)
	b.ResetTimer()
	h := a.start(a.options(bus.env(), "PUPPET_FAST=1"))
	for h.Status().of("work").Executed < int64(b.N) || bus.active(queue) > 0 {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
