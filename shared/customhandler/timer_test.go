package customhandler

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"throughline/shared/event"
)

func postTimer(body string, run func(context.Context, Tick) ([]event.Event, error), publish Publish) *httptest.ResponseRecorder {
	res := httptest.NewRecorder()
	Timer("resync", run, publish, slog.New(slog.DiscardHandler)).ServeHTTP(res,
		httptest.NewRequest(http.MethodPost, "/resync", strings.NewReader(body)))
	return res
}

func TestTimer(t *testing.T) {
	last, next := time.Date(2026, 1, 2, 3, 0, 0, 123456700, time.UTC), time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC)
	tests := map[string]struct {
		body string
		want Tick
	}{
		"with status": {`{"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":{"Last":"2026-01-02T03:00:00.1234567+00:00",
 "Next":"2026-01-02T04:05:00+01:00","LastUpdated":"2026-01-02T03:00:00+00:00"},"IsPastDue":true}},"Metadata":{"sys":{"MethodName":"resync"}}}`,
			Tick{PastDue: true, Last: last, Next: next}},
		"without status": {`{"Data":{"timer":{"Schedule":{},"ScheduleStatus":null,"IsPastDue":false}},"Metadata":{"sys":{}}}`, Tick{}},
		"first run": {`{"Data":{"timer":{"ScheduleStatus":{"Last":"0001-01-01T00:00:00","Next":"2026-01-02T03:05:00"},"IsPastDue":false}},"Metadata":{}}`,
			Tick{Next: next}},
		"retried":                   {`{"Data":{"timer":{"IsPastDue":false}},"Metadata":{"RetryContext":{"RetryCount":2,"MaxRetryCount":3}}}`, Tick{Retry: 2}},
		"as a string":               {`{"Data":{"timer":"{\"IsPastDue\":true}"}}`, Tick{PastDue: true}},
		"as a string encoded twice": {`{"Data":{"timer":"\"{\\\"IsPastDue\\\":true}\""}}`, Tick{PastDue: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got Tick
			checkReply(t, postTimer(test.body, func(_ context.Context, tick Tick) ([]event.Event, error) {
				got = tick
				return nil, nil
			}, nil), 200)
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestTimerFailures(t *testing.T) {
	const body = `{"Data":{"timer":{"IsPastDue":false}}}`
	e, _ := anEvent(t)
	said := func(context.Context, Tick) ([]event.Event, error) { return []event.Event{e}, nil }
	fails := func(context.Context, Tick) ([]event.Event, error) { return nil, errors.New("no") }
	published := 0
	publish := func(_ context.Context, events []event.Event) error { published += len(events); return nil }
	checkReply(t, postTimer(body, said, publish), 200)
	if published != 1 {
		t.Errorf("published %d", published)
	}
	checkReply(t, postTimer(body, fails, publish), 500)
	checkReply(t, postTimer(body, said, func(context.Context, []event.Event) error { return errors.New("no broker") }), 500)
	checkReply(t, postTimer(`{"Data":{"timer":7}}`, said, publish), 500)
	checkReply(t, postTimer(`x`, said, publish), 400)
	if published != 1 {
		t.Errorf("a failed tick published: %d", published)
	}
}

func FuzzTimer(f *testing.F) {
	f.Add([]byte(`{"Data":{"timer":{"ScheduleStatus":{"Last":"2026-01-02T03:00:00"},"IsPastDue":true}},"Metadata":{"RetryContext":{}}}`))
	f.Add([]byte(`{"Data":{"timer":"\"\""}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		res := postTimer(string(body), func(context.Context, Tick) ([]event.Event, error) { return nil, nil }, nil)
		checkReply(t, res, res.Code)
	})
}
