package functionapp

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// settleTimeout bounds every settlement. Without it the client tries for about
// 38 seconds to settle a message whose session lock is lost.
const settleTimeout = 10 * time.Second

const releasePause = 20 * time.Millisecond

// queueTrigger receives from one queue or subscription and settles what it got:
// complete when the function succeeds, abandon at once when it fails.
type queueTrigger struct {
	function *function
	from     namespace
	host     string
	bus      serviceBusConfig
	caller   *caller
	log      *slog.Logger
}

// listen receives until ctx ends and returns when everything in flight has been
// settled. When work ends first, what is in flight is left as it is, as when the
// machine disappears.
func (t *queueTrigger) listen(ctx, work context.Context) {
	receiving, cancel := lingering(ctx, work)
	defer cancel()
	spans := spans{ctx, receiving, work}
	loop, most := t.receivePlain, t.bus.MaxConcurrentCalls
	switch {
	case t.function.trigger.IsSessionsEnabled:
		loop, most = t.receiveSessions, t.bus.MaxConcurrentSessions
	case t.function.trigger.isMany():
		most = 1 // one batch at a time
	}
	r := &ramp{most: most, loop: func(r *ramp) { loop(spans, r) }}
	r.start()
	r.wait()
	closing, done := context.WithTimeout(context.Background(), settleTimeout)
	defer done()
	if err := t.from.close(closing); err != nil {
		t.log.Debug("closing the connection", "function", t.function.name, "reason", err)
	}
}

// spans are the times of a trigger: while it begins something new, while it may
// still receive what has been asked for, and while anything may go on at all.
type spans struct{ begin, receive, work context.Context }

// linger is how long a stopping trigger still takes what it has asked for: on a
// busy queue that message is on its way already, and left alone it would stay
// locked and count as delivered.
const linger = 250 * time.Millisecond

// lingering ends a little after ctx, and at once with work.
func lingering(ctx, work context.Context) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stopBegin := context.AfterFunc(ctx, func() {
		_ = sleep(work, linger) // work ends it sooner
		cancel()
	})
	return late, func() { stopBegin(); cancel() }
}

// ramp runs up to most loops; a further one starts only when all of them are
// busy, so that an idle queue holds one link and a full one holds all.
type ramp struct {
	most int
	loop func(*ramp)

	mu            sync.Mutex
	started, busy int
	running       sync.WaitGroup
}

func (r *ramp) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started++
	r.running.Go(func() { r.loop(r) })
}

func (r *ramp) enter() {
	r.mu.Lock()
	r.busy++
	more := r.busy == r.started && r.started < r.most
	r.mu.Unlock()
	if more {
		r.start()
	}
}

func (r *ramp) leave() {
	r.mu.Lock()
	r.busy--
	r.mu.Unlock()
}

func (r *ramp) wait() { r.running.Wait() }

// receivePlain is one of the loops on a queue without sessions. It asks for
// exactly what it can handle: a credit left over would let a message arrive that
// nobody waits for, and giving it back may count as a delivery.
func (t *queueTrigger) receivePlain(during spans, r *ramp) {
	var from plainReceiver
	defer func() {
		if from != nil {
			t.release(from)
		}
	}()
	pause := backoff{log: t.log, function: t.function.name}
	for during.begin.Err() == nil {
		if from == nil {
			opened, err := t.from.open()
			if err != nil {
				pause.after(during.begin, err)
				continue
			}
			from = opened
		}
		messages, err := t.receive(during.receive, from)
		if len(messages) == 0 {
			if pause.after(during.begin, err); err != nil {
				t.release(from)
				from = nil
			}
			continue
		}
		pause.reset()
		r.enter()
		t.handlePlain(during.work, from, messages)
		r.leave()
	}
}

// release closes a receiver, a moment after its last receiving: the client gives
// back what has come too late to be returned.
func (t *queueTrigger) release(r receiver) {
	time.Sleep(releasePause)
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	_ = r.Close(ctx) // the link may be broken already, which is why it is closed
}

// receive waits for one message, or for a batch where the function takes many.
func (t *queueTrigger) receive(ctx context.Context, from receiver) ([]*azservicebus.ReceivedMessage, error) {
	if !t.function.trigger.isMany() {
		return from.ReceiveMessages(ctx, 1, nil)
	}
	most := t.bus.MaxMessageBatchSize
	if own := t.function.trigger.MaxMessageBatchSize; own > 0 {
		most = own
	}
	options := &azservicebus.ReceiveMessagesOptions{}
	if t.bus.MinMessageBatchSize > 1 {
		options.TimeAfterFirstMessage = t.bus.MaxBatchWaitTime.duration()
	}
	return from.ReceiveMessages(ctx, min(most, 5000), options)
}

func (t *queueTrigger) handlePlain(work context.Context, from plainReceiver, messages []*azservicebus.ReceivedMessage) {
	if t.function.trigger.isMany() {
		t.handle(work, from, messages, time.Time{})
		return
	}
	m := messages[0]
	p := single(t.function, m, busObjects(t.host, 0, t.identifier(), time.Time{}), t.caller.now())
	held := &lease{
		renew: func(ctx context.Context) (time.Time, error) {
			err := from.RenewMessageLock(ctx, m, nil)
			return timeOr(m.LockedUntil, time.Now()), err
		},
		lost: func(err error) {
			t.log.Warn("message lock lost", "function", t.function.name, "message", m.MessageID, "reason", err)
		},
	}
	if m.LockedUntil != nil {
		held.hold(*m.LockedUntil, t.bus.MaxAutoLockRenewalDuration.duration())
	}
	failed := t.invoke(work, p)
	held.stop()
	t.settle(work, from, messages, failed)
}

// handle invokes the function for messages whose locks nobody has to renew here,
// and tells whether all of them were settled.
func (t *queueTrigger) handle(work context.Context, from settler, messages []*azservicebus.ReceivedMessage, sessionUntil time.Time) bool {
	objects := busObjects(t.host, 0, t.identifier(), sessionUntil)
	var p payload
	var err error
	if t.function.trigger.isMany() {
		p, err = batch(t.function, messages, objects, t.caller.now())
	} else {
		p = single(t.function, messages[0], objects, t.caller.now())
	}
	if err == nil {
		err = t.invoke(work, p)
	}
	return t.settle(work, from, messages, err)
}

func (t *queueTrigger) identifier() string { return t.host + "-" + t.function.name }

func (t *queueTrigger) invoke(work context.Context, p payload) error {
	result, err := t.caller.call(work, t.function, p)
	if err == nil {
		err = t.caller.deliver(work, t.function, result)
	}
	if err != nil && work.Err() == nil {
		t.log.Error("invocation failed", "function", t.function.name, "reason", err)
	}
	return err
}

// settle completes or abandons every message, each under its own deadline, and
// tells whether that worked.
func (t *queueTrigger) settle(work context.Context, from settler, messages []*azservicebus.ReceivedMessage, failed error) bool {
	auto := t.bus.AutoCompleteMessages
	if own := t.function.trigger.AutoCompleteMessages; own != nil {
		auto = *own
	}
	if work.Err() != nil || failed == nil && !auto {
		return true
	}
	var all sync.WaitGroup
	var unsettled atomic.Int64
	one := func(m *azservicebus.ReceivedMessage) {
		if !t.settleOne(from, m, failed) {
			unsettled.Add(1)
		}
	}
	for _, m := range messages[1:] {
		all.Go(func() { one(m) })
	}
	one(messages[0])
	all.Wait()
	return unsettled.Load() == 0
}

func (t *queueTrigger) settleOne(from settler, m *azservicebus.ReceivedMessage, failed error) bool {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	var err error
	if failed == nil {
		err = from.CompleteMessage(ctx, m, nil)
	} else {
		err = from.AbandonMessage(ctx, m, nil)
	}
	if err != nil {
		t.log.Warn("message not settled, it will come again", "function", t.function.name, "message", m.MessageID,
			"complete", failed == nil, "reason", err)
	}
	return err == nil
}

// backoff spaces the attempts on a broker that does not answer, and logs the
// first failure of a row.
type backoff struct {
	log      *slog.Logger
	function string
	failures int
}

const (
	backoffStart = 20 * time.Millisecond
	backoffMost  = 5 * time.Second
)

// after waits a little longer each time; err may be nil for an empty answer.
func (b *backoff) after(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if err != nil && b.failures == 0 && !errors.Is(err, context.Canceled) {
		b.log.Warn("receiving failed, trying again", "function", b.function, "reason", err)
	}
	wait := min(backoffStart<<min(b.failures, 10), backoffMost)
	b.failures++
	_ = sleep(ctx, wait) // the caller looks at ctx
}

func (b *backoff) reset() {
	if b.failures > 3 {
		b.log.Info("receiving again", "function", b.function)
	}
	b.failures = 0
}
