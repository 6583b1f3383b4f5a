package azure

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"throughline/infra/local/demo/fault"
)

// quota is Resource Graph's limit: 15 queries in every 5 seconds. POST /_limits {"queries":0} switches it off; "speed" and
// "forward" move its clock. GET shows what was asked.
type quota struct {
	mu      sync.Mutex
	clock   *fault.Clock
	Queries int `json:"queries"`
	Asked   int `json:"asked"`
	Refused int `json:"refused"`
	window  time.Time
	used    int
}

const quotaWindow = 5 * time.Second

func newQuota(clock *fault.Clock) *quota { return &quota{clock: clock, Queries: 15} }

// admit counts a query and sets the quota headers; false means that it is too much.
func (q *quota) admit(w http.ResponseWriter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	if now.Sub(q.window) >= quotaWindow {
		q.window, q.used = now, 0
	}
	q.Asked++
	limit, fine := q.Queries, true
	if limit <= 0 {
		limit = 15
	} else if q.used >= limit {
		q.Refused++
		fine = false
	}
	if fine {
		q.used++
	}
	seconds := int(math.Ceil(q.clock.Wall(quotaWindow - now.Sub(q.window)).Seconds()))
	w.Header().Set("X-Ms-User-Quota-Remaining", strconv.Itoa(max(limit-q.used, 0)))
	w.Header().Set("X-Ms-User-Quota-Resets-After", fmt.Sprintf("00:00:%02d", max(seconds, 1)))
	return fine
}

func (q *quota) serve(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.Method == http.MethodPost {
		ask := struct {
			Queries *int    `json:"queries"`
			Speed   float64 `json:"speed"`
			Forward string  `json:"forward"`
		}{}
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			fail(w, http.StatusBadRequest, "InvalidRequest", err.Error())
			return
		}
		var forward time.Duration
		if ask.Forward != "" {
			d, err := time.ParseDuration(ask.Forward)
			if err != nil {
				fail(w, http.StatusBadRequest, "InvalidRequest", err.Error())
				return
			}
			forward = d
		}
		if ask.Queries != nil {
			q.Queries = *ask.Queries
		}
		q.clock.Set(ask.Speed, forward)
	}
	write(w, http.StatusOK, q)
}
