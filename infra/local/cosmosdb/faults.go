package cosmosdb

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault makes the next requests fail or wait. It is set with POST /_faults and a JSON body of this shape; GET lists the
// faults that are left, DELETE clears them. These paths take no authorization.
type Fault struct {
	Status       int    `json:"status,omitempty"`       // answered instead of the real answer: 408, 410, 412, 429, 449, 503 …; 0 = only wait
	Substatus    int    `json:"substatus,omitempty"`    // x-ms-substatus, e.g. 1002 with 410
	Count        int    `json:"count,omitempty"`        // how many requests it meets; 0 = 1, -1 = all until it is cleared
	RetryAfterMS int    `json:"retryAfterMs,omitempty"` // x-ms-retry-after-ms
	DelayMS      int    `json:"delayMs,omitempty"`      // waits before it answers: a slow page
	Percent      int    `json:"percent,omitempty"`      // how many of the matching requests it meets; 0 = all
	Match        string `json:"match,omitempty"`        // the operation (read, query, …), the method, or a part of the path; "" = every request
	After        bool   `json:"after,omitempty"`        // the request is carried out, only its answer is lost
}

type faults struct {
	mu   sync.Mutex
	list []Fault
}

// take is the first fault that meets the request, used once.
func (f *faults) take(operation, method, path string) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.list {
		m := f.list[i].Match
		if m != "" && m != operation && !strings.EqualFold(m, method) && !strings.Contains(path, m) {
			continue
		}
		if p := f.list[i].Percent; p > 0 && rand.IntN(100) >= p {
			continue
		}
		hit := f.list[i]
		if f.list[i].Count > 0 {
			f.list[i].Count--
			if f.list[i].Count == 0 {
				f.list = append(f.list[:i:i], f.list[i+1:]...)
			}
		}
		return hit, true
	}
	return Fault{}, false
}

var faultCodes = map[int]string{
	408: "RequestTimeout", 410: "Gone", 412: "PreconditionFailed", 429: "TooManyRequests", 449: "RetryWith", 503: "ServiceUnavailable",
}

// answer is the reply that the fault gives; nil when it only waits.
func (f Fault) answer() *reply {
	if f.Status == 0 {
		return nil
	}
	code := faultCodes[f.Status]
	if code == "" {
		code = strings.ReplaceAll(http.StatusText(f.Status), " ", "")
	}
	fail := failure{status: f.Status, code: code, message: "A fault switch made this request fail."}
	a := &reply{status: f.Status, body: fail.body()}
	if f.Substatus != 0 {
		a.set("x-ms-substatus", strconv.Itoa(f.Substatus))
	}
	if f.RetryAfterMS > 0 {
		a.set("x-ms-retry-after-ms", strconv.Itoa(f.RetryAfterMS))
	}
	return a
}

func (f Fault) wait(r *http.Request) {
	if f.DelayMS <= 0 {
		return
	}
	t := time.NewTimer(time.Duration(f.DelayMS) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

// serve is the switchboard under /_faults.
func (f *faults) serve(r *http.Request) (*reply, error) {
	switch r.Method {
	case http.MethodPost:
		return f.add(r)
	case http.MethodDelete:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.list = nil
		return &reply{status: http.StatusNoContent}, nil
	case http.MethodGet:
		f.mu.Lock()
		defer f.mu.Unlock()
		body, err := json.Marshal(append([]Fault{}, f.list...))
		return &reply{status: http.StatusOK, body: string(body)}, err
	}
	return nil, &failure{status: http.StatusMethodNotAllowed, code: "MethodNotAllowed", message: "use GET, POST or DELETE"}
}

func (f *faults) add(r *http.Request) (*reply, error) {
	d := json.NewDecoder(io.LimitReader(r.Body, 1<<16))
	d.DisallowUnknownFields()
	var fault Fault
	if err := d.Decode(&fault); err != nil {
		return nil, badRequest("the fault cannot be read: %v", err)
	}
	if fault.Status != 0 && (fault.Status < 400 || fault.Status > 599) || fault.Count < -1 || fault.DelayMS < 0 || fault.DelayMS > 600_000 || fault.Percent < 0 || fault.Percent > 100 {
		return nil, badRequest("status is 400 to 599, count at least -1, delayMs at most 600000, percent 0 to 100")
	}
	if fault.Count == 0 {
		fault.Count = 1
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fault)
	return &reply{status: http.StatusNoContent}, nil
}
