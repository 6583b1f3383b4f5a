package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"throughline/shared/event"
)

// MostDead is how many dead letters of a queue are shown.
const MostDead = 50

// mostReplay is how many are sent again at a time.
const mostReplay = 500

// deadLetters shows what Service Bus gave up, the oldest of each queue.
func (a *API) deadLetters(r *http.Request) (any, error) {
	var all []Letter
	for _, queue := range queues() {
		found, err := a.Letters.Dead(r.Context(), queue, MostDead)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return page(all, ""), nil
}

// replayDead sends the dead letters of one queue again, the oldest first.
func (a *API) replayDead(r *http.Request) (any, error) {
	queue := r.PathValue("queue")
	if !slices.Contains(queues(), queue) {
		return nil, userError{http.StatusNotFound, "there is no queue " + queue + "; there are " + strings.Join(queues(), ", ")}
	}
	n, err := a.Letters.ReplayDead(r.Context(), queue, mostReplay)
	return map[string]string{"replayed": strconv.Itoa(n)}, err
}

func queues() []string {
	var names []string
	for _, r := range event.Routes {
		names = append(names, r.HeardBy)
	}
	return names
}

// dead are the letters that Service Bus gave up.
type dead interface {
	Dead(ctx context.Context, queue string, most int) ([]Letter, error)
	ReplayDead(ctx context.Context, queue string, most int) (int, error)
}
