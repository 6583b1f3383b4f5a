package functionapp

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// acceptTimeout is how long one attempt waits for a session with messages.
const acceptTimeout = time.Minute

// receiveSessions is one of the loops on a queue with sessions: it takes the next
// free session, works through it and goes on to another one.
func (t *queueTrigger) receiveSessions(during spans, r *ramp) {
	pause := backoff{log: t.log, function: t.function.name}
	for during.begin.Err() == nil {
		waiting, cancel := context.WithTimeout(during.begin, acceptTimeout)
		accepted, err := t.from.accept(waiting)
		cancel()
		if err != nil {
			if !isTimeout(err) {
				pause.after(during.begin, err)
			}
			continue
		}
		pause.reset()
		r.enter()
		t.workThrough(during, accepted)
		r.leave()
	}
}

// isTimeout tells that no session became free in time, which is no failure.
func isTimeout(err error) bool {
	var bus *azservicebus.Error
	return errors.As(err, &bus) && bus.Code == azservicebus.CodeTimeout || errors.Is(err, context.DeadlineExceeded)
}

// session is one accepted session while its lock holds.
type session struct {
	sessionReceiver
	until atomic.Pointer[time.Time]
	lost  atomic.Bool
}

// workThrough handles the messages of a session until it has been idle for
// sessionIdleTimeout, its lock is lost, or the trigger stops.
func (t *queueTrigger) workThrough(during spans, accepted sessionReceiver) {
	s := &session{sessionReceiver: accepted}
	until := accepted.LockedUntil()
	s.until.Store(&until)
	held, drop := context.WithCancel(during.receive)
	defer drop()
	renewing := t.keepSession(s, drop)
	defer func() { renewing.stop(); t.release(accepted) }()

	var calls sync.WaitGroup
	defer calls.Wait()
	slots := make(chan struct{}, t.bus.MaxConcurrentCallsPerSession)
	for held.Err() == nil && during.begin.Err() == nil {
		select {
		case slots <- struct{}{}:
		case <-held.Done():
			return
		}
		messages := t.nextInSession(held, s)
		if len(messages) == 0 {
			return
		}
		renewing.extend(t.bus.MaxAutoLockRenewalDuration.duration())
		calls.Go(func() {
			defer func() { <-slots }()
			if !t.handle(during.work, s, messages, *s.until.Load()) {
				drop() // given back, the session and its message come again in order
			}
		})
	}
}

func (t *queueTrigger) nextInSession(ctx context.Context, s *session) []*azservicebus.ReceivedMessage {
	idle, cancel := context.WithTimeout(ctx, t.bus.SessionIdleTimeout.duration())
	defer cancel()
	messages, err := t.receive(idle, s)
	if err != nil && idle.Err() == nil {
		t.log.Warn("session ended", "function", t.function.name, "session", s.SessionID(), "reason", err)
	}
	return messages
}

// keepSession renews the session lock. When it is lost the session takes no more
// messages, and what is in flight is not settled: the client would try for long,
// and the message comes again anyway.
func (t *queueTrigger) keepSession(s *session, drop func()) *lease {
	l := &lease{
		renew: func(ctx context.Context) (time.Time, error) {
			if err := s.RenewSessionLock(ctx, nil); err != nil {
				return time.Time{}, err
			}
			until := s.LockedUntil()
			s.until.Store(&until)
			return until, nil
		},
		lost: func(err error) {
			t.log.Warn("session lock lost", "function", t.function.name, "session", s.SessionID(), "reason", err)
			s.lost.Store(true)
			drop()
		},
	}
	l.hold(*s.until.Load(), t.bus.MaxAutoLockRenewalDuration.duration())
	return l
}

var errSessionLost = errors.New("the session lock is lost")

func (s *session) isLost() bool { return s.lost.Load() || time.Now().After(*s.until.Load()) }

// CompleteMessage refuses at once when the session lock is known to be lost.
func (s *session) CompleteMessage(ctx context.Context, m *azservicebus.ReceivedMessage, o *azservicebus.CompleteMessageOptions) error {
	if s.isLost() {
		return errSessionLost
	}
	return s.sessionReceiver.CompleteMessage(ctx, m, o)
}

// AbandonMessage refuses at once when the session lock is known to be lost.
func (s *session) AbandonMessage(ctx context.Context, m *azservicebus.ReceivedMessage, o *azservicebus.AbandonMessageOptions) error {
	if s.isLost() {
		return errSessionLost
	}
	return s.sessionReceiver.AbandonMessage(ctx, m, o)
}
