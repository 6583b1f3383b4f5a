package functionapp

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkHTTP measures requests per second through the host to a handler that
// reads and answers, beside the same handler asked directly.
func BenchmarkHTTP(b *testing.B) {
	a := newApp(b, plainHost, map[string]string{"webhook": httpFunction("ingest/github", "post")}, nil)
	h := a.start(a.options("PUPPET_FAST=1"))
	h.mu.Lock()
	direct := h.worker.url()
	h.mu.Unlock()
	body := strings.Repeat("x", 10<<10)
	for name, url := range map[string]string{"through the host": "http://" + h.Addr(), "direct": direct} {
		b.Run(name, func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					res, err := client.Post(url+"/ingest/github", "application/json", strings.NewReader(body))
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}
