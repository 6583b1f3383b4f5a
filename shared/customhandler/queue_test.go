package customhandler

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"throughline/shared/event"

	"github.com/google/go-cmp/cmp"
)

// hostPayload is what the host posts for one message with dataType binary.
const hostPayload = `{"Data":{"msg":%q},
 "Metadata":{"MessageReceiver":{},"MessageSession":{},"MessageActions":{},"SessionActions":{},"ReceiveActions":{},
  "Client":{"FullyQualifiedNamespace":"ns.servicebus.windows.net","IsClosed":false,"TransportType":0,"Identifier":"ns-1"},
  "DeliveryCount":"3","LockToken":"\"4e77e5a0-0000-0000-0000-000000000000\"","ExpiresAtUtc":"2026-01-02T03:04:05","ExpiresAt":"2026-01-02T03:04:05+00:00",
  "EnqueuedTimeUtc":"2026-01-01T03:04:05","EnqueuedTime":"2026-01-01T03:04:05+00:00","MessageId":"\"m1\"","ContentType":"\"application/json\"","SequenceNumber":"42",
  "Subject":"\"finding\"","Label":"\"finding\"","CorrelationId":"\"c1\"","SessionId":"\"repo-1\"","PartitionKey":"\"repo-1\"",
  "ApplicationProperties":{"source":"ghas"},"UserProperties":{"source":"ghas"},
  "sys":{"MethodName":"correlate","UtcNow":"2026-01-01T03:04:06Z","RandGuid":"5b1c"}}}`

func binaryPayload(body []byte) string {
	return fmt.Sprintf(hostPayload, base64.StdEncoding.EncodeToString(body))
}

// stage plays everything around a queue function and notes what it is given.
type stage struct {
	said       []event.Event
	err        error
	publishErr error
	parkErr    error

	handled   []event.Event
	published []event.Event
	parked    []Parked
	deadline  time.Time
	log       bytes.Buffer
}

func (s *stage) handler(name string) http.Handler {
	log := slog.New(LogContext(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return Queue(name, func(ctx context.Context, e event.Event) ([]event.Event, error) {
		s.deadline, _ = ctx.Deadline()
		s.handled = append(s.handled, e)
		return s.said, s.err
	}, func(_ context.Context, said []event.Event) error {
		s.published = append(s.published, said...)
		return s.publishErr
	}, func(_ context.Context, p Parked) error {
		s.parked = append(s.parked, p)
		return s.parkErr
	}, log)
}

func (s *stage) post(name, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/"+name, strings.NewReader(body))
	req.Header.Set(headerInvocation, "inv-1")
	res := httptest.NewRecorder()
	s.handler(name).ServeHTTP(res, req)
	return res
}

func anEvent(t *testing.T) (event.Event, []byte) {
	t.Helper()
	e, err := event.New(event.Observed, "/functions/ingest", "github-1", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	e.Time = e.Time.Truncate(time.Second)
	body, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return e, body
}

// checkReply holds a reply to the protocol: JSON, and an object on success.
func checkReply(t *testing.T, res *httptest.ResponseRecorder, want int) {
	t.Helper()
	if res.Code != want {
		t.Fatalf("status %d, want %d: %s", res.Code, want, res.Body)
	}
	var reply map[string]json.RawMessage
	if err := json.Unmarshal(res.Body.Bytes(), &reply); err != nil || reply == nil || res.Header().Get("Content-Type") != "application/json" {
		t.Errorf("reply %q of type %q is no JSON object: %v", res.Body, res.Header().Get("Content-Type"), err)
	}
	if _, ok := reply["Outputs"]; want == 200 && !ok {
		t.Errorf("reply %s has no Outputs", res.Body)
	}
}

func TestQueue(t *testing.T) {
	e, body := anEvent(t)
	next, err := event.New(event.Correlated, "/functions/correlate", "github-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a handled event is published and completes the message", func(t *testing.T) {
		s := &stage{said: []event.Event{next}}
		checkReply(t, s.post("correlate", binaryPayload(body)), 200)
		if diff := cmp.Diff([]event.Event{e}, s.handled); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]event.Event{next}, s.published); diff != "" {
			t.Error(diff)
		}
		if left := time.Until(s.deadline); left < time.Minute || left > deadline {
			t.Errorf("deadline in %s", left)
		}
	})
	t.Run("every encoding of the body is read", func(t *testing.T) {
		twice, _ := json.Marshal(string(body))
		for name, value := range map[string]string{"encoded twice": string(twice), "encoded once": string(body)} {
			s := &stage{}
			checkReply(t, s.post("correlate", fmt.Sprintf(`{"Data":{"m":%s},"Metadata":{}}`, quote(value))), 200)
			if len(s.handled) != 1 || s.handled[0].ID != e.ID {
				t.Errorf("%s: handled %v", name, s.handled)
			}
		}
		s := &stage{}
		checkReply(t, s.post("correlate", fmt.Sprintf(`{"Data":{"m":%s},"Metadata":{}}`, body)), 200)
		if len(s.handled) != 1 {
			t.Error("an object was not read")
		}
	})
	t.Run("a transient error abandons", func(t *testing.T) {
		s := &stage{err: errors.New("the graph is slow"), said: []event.Event{next}}
		checkReply(t, s.post("correlate", binaryPayload(body)), 500)
		if len(s.published)+len(s.parked) != 0 {
			t.Errorf("published %v, parked %v", s.published, s.parked)
		}
	})
	t.Run("a publish that fails abandons", func(t *testing.T) {
		s := &stage{said: []event.Event{next}, publishErr: errors.New("no broker")}
		checkReply(t, s.post("correlate", binaryPayload(body)), 500)
	})
	t.Run("a permanent error parks and completes", func(t *testing.T) {
		s := &stage{err: event.Permanent(errors.New("contradicts itself"))}
		checkReply(t, s.post("correlate", binaryPayload(body)), 200)
		want := []Parked{{Queue: "correlate", MessageID: "m1", Session: "repo-1", Body: body, Reason: "contradicts itself", DeliveryCount: 3,
			EnqueuedAt: time.Date(2026, 1, 1, 3, 4, 5, 0, time.UTC), EventID: e.ID, EventType: e.Type, Subject: e.Subject}}
		s.parked[0].At = time.Time{}
		if diff := cmp.Diff(want, s.parked); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a failed parking abandons", func(t *testing.T) {
		s := &stage{err: event.Permanent(errors.New("no")), parkErr: errors.New("no store")}
		checkReply(t, s.post("correlate", binaryPayload(body)), 500)
	})
	t.Run("what is no event is parked byte for byte", func(t *testing.T) {
		for _, junk := range [][]byte{{}, {0xff, 0}, []byte("{}"), []byte("null"), []byte(`"x"`)} {
			s := &stage{}
			checkReply(t, s.post("correlate", binaryPayload(junk)), 200)
			if len(s.parked) != 1 || !bytes.Equal(s.parked[0].Body, junk) || len(s.handled) != 0 {
				t.Errorf("%q: parked %+v", junk, s.parked)
			}
		}
	})
	t.Run("an event for another queue is parked", func(t *testing.T) {
		s := &stage{}
		checkReply(t, s.post("assign", binaryPayload(body)), 200)
		if len(s.parked) != 1 || !strings.Contains(s.parked[0].Reason, "is for correlate") {
			t.Errorf("parked %+v", s.parked)
		}
	})
	t.Run("what is no invocation is refused", func(t *testing.T) {
		for _, bad := range []string{"", "null", "[]", "{", `{"Data":{}}`, `{"Data":{"a":"","b":""}}`} {
			s := &stage{}
			checkReply(t, s.post("correlate", bad), 400)
			if len(s.handled)+len(s.parked) != 0 {
				t.Errorf("%q was taken", bad)
			}
		}
	})
	t.Run("only POST is an invocation", func(t *testing.T) {
		s := &stage{}
		res := httptest.NewRecorder()
		s.handler("correlate").ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/correlate", nil))
		checkReply(t, res, 405)
	})
	t.Run("log lines bear the ids once", func(t *testing.T) {
		s := &stage{err: errors.New("the graph is slow")}
		s.post("correlate", binaryPayload(body))
		for _, want := range []string{`"invocation":"inv-1"`, `"function":"correlate"`, `"event":"` + e.ID + `"`, `"delivery":3`} {
			if strings.Count(s.log.String(), want) != 1 {
				t.Errorf("want %s once in %s", want, s.log.String())
			}
		}
	})
}

func TestQueueParksAfterTheCallerHasGone(t *testing.T) {
	_, body := anEvent(t)
	ctx, cancel := context.WithCancel(context.Background())
	var parkable error
	handler := Queue("correlate", func(context.Context, event.Event) ([]event.Event, error) {
		cancel()
		return nil, event.Permanent(errors.New("no"))
	}, nil, func(ctx context.Context, _ Parked) error {
		parkable = ctx.Err()
		return nil
	}, slog.New(slog.DiscardHandler))
	res := httptest.NewRecorder()
	handler.ServeHTTP(res, httptest.NewRequest(http.MethodPost, "/correlate", strings.NewReader(binaryPayload(body))).WithContext(ctx))
	if parkable != nil {
		t.Errorf("parking was given a context that is over: %v", parkable)
	}
}

func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func FuzzQueue(f *testing.F) {
	f.Add([]byte(binaryPayload([]byte(`{"specversion":"1.0"}`))))
	f.Add([]byte(`{"Data":{"m":"\"{}\""},"Metadata":{"DeliveryCount":7,"MessageId":null,"EnqueuedTimeUtc":"x"}}`))
	f.Add([]byte(`{"Data":{"m":null}}`))
	f.Add([]byte(`{"Data":{"m":[1]},"Metadata":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := &stage{err: event.Permanent(errors.New("no"))}
		res := s.post("correlate", string(body))
		checkReply(t, res, res.Code)
		if res.Code == 200 && len(s.parked) != 1 {
			t.Errorf("completed without parking: %s", body)
		}
		if res.Code != 200 && res.Code != 400 {
			t.Errorf("status %d", res.Code)
		}
	})
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte{0xff, 0x00})
	f.Add([]byte(`"quoted"`))
	f.Fuzz(func(t *testing.T, want []byte) {
		in, err := decodeInvocation([]byte(binaryPayload(want)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := in.body(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %q, want %q (%v)", got, want, err)
		}
	})
}
