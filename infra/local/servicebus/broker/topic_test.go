package broker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func topic(t testing.TB, b *Broker, subs map[string][]Rule) {
	t.Helper()
	create(t, b, Description{Name: "t", Kind: KindTopic})
	for name, rules := range subs {
		if err := b.Create(Description{Name: name, Topic: "t", Kind: KindSubscription, MaxDeliveryCount: 2}, rules...); err != nil {
			t.Fatal(err)
		}
	}
}

// all empties a queue and returns the bodies and the property "seen" of its messages.
func all(t testing.TB, b *Broker, path string) string {
	t.Helper()
	r := attach(t, b, path, Mode{Deletes: true}, 100)
	defer b.Detach(r.c)
	var out []string
	for {
		d := r.try(50 * time.Millisecond)
		if d == nil {
			return strings.Join(out, " ")
		}
		m := seen(t, d)
		s := string(m.GetData())
		if v, ok := m.ApplicationProperties["seen"]; ok {
			s += fmt.Sprintf("(%v)", v)
		}
		out = append(out, s)
	}
}

func sql(expression string, parameters ...Parameter) Filter {
	return Filter{Type: SQLFilter, Expression: expression, Parameters: parameters}
}

func TestRulesSelectAndChange(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		topic(t, b, map[string][]Rule{
			"everything": nil,
			"nothing":    {{Name: "r", Filter: Filter{Type: FalseFilter}}},
			"red":        {{Name: "r", Filter: sql("color = @c", Parameter{"@c", "string", "red"})}},
			"label":      {{Name: "r", Filter: Filter{Type: CorrelationFilter, Correlation: map[string]string{"Label": "hot"}, Properties: []Parameter{{"size", "int", "7"}}}}},
			"twice": {{Name: "plain", Filter: sql("size > 0")}, {Name: "also plain", Filter: sql("size < 100")},
				{Name: "changed", Filter: sql("size = 7"), Action: Action{Type: SQLAction, Expression: "SET seen = size + 1; REMOVE color"}}},
			"unknown": {{Name: "r", Filter: Filter{Type: "NewFilter", XML: "<Filter/>"}}},
		})
		send(t, b, "t", note{body: "a", subject: "hot", props: map[string]any{"color": "red", "size": int32(7)}})
		send(t, b, "t", note{body: "b", subject: "cold", props: map[string]any{"color": "blue", "size": int64(7)}})
		send(t, b, "t", note{body: "c"})
		for sub, want := range map[string]string{"everything": "a b c", "nothing": "", "red": "a", "label": "a", "twice": "a a(8) b b(8)", "unknown": ""} {
			if got := all(t, b, "t/Subscriptions/"+sub); got != want {
				t.Errorf("%s has %q, want %q", sub, got, want)
			}
		}
		if err := trySend(t, b, "t/subscriptions/red", note{body: "x"}); !isFault(err, ErrNotSendable) {
			t.Errorf("a send to a subscription: %v", err)
		}
		if _, err := tryAttach(t, b, "t", Mode{}, 1); !isFault(err, ErrNotReceivable) {
			t.Errorf("receiving from a topic: %v", err)
		}
	})
}

func TestRuleThatCannotBeEvaluatedDeadLetters(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		no := false
		create(t, b, Description{Name: "t", Kind: KindTopic})
		for _, d := range []Description{{Name: "strict"}, {Name: "loose", DeadLetteringOnFilterErrors: &no}} {
			d.Kind, d.Topic = KindSubscription, "t"
			if err := b.Create(d, Rule{Name: "r", Filter: sql("color * 2 = 4")}); err != nil {
				t.Fatal(err)
			}
		}
		send(t, b, "t", note{body: "x", props: map[string]any{"color": "red"}})
		if got := all(t, b, "t/Subscriptions/strict/$DeadLetterQueue"); got != "x" {
			t.Errorf("strict: %q", got)
		}
		if got := all(t, b, "t/Subscriptions/loose/$DeadLetterQueue"); got != "" {
			t.Errorf("loose: %q", got)
		}
	})
}

func TestRulesAreAddedChangedAndTakenAway(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		topic(t, b, map[string][]Rule{"s": nil})
		path := "t/Subscriptions/s"
		if _, err := b.AddRule(path, Rule{Name: "$Default", Filter: Filter{Type: TrueFilter}}, false); !errors.Is(err, ErrExists) {
			t.Errorf("adding twice: %v", err)
		}
		if _, err := b.AddRule(path, Rule{Name: "other", Filter: sql("a =")}, false); err == nil {
			t.Error("a rule that cannot be read was taken")
		}
		if _, err := b.AddRule(path, Rule{Name: "$default", Filter: sql("n = 1")}, true); err != nil {
			t.Fatal(err)
		}
		send(t, b, "t", note{body: "one", props: map[string]any{"n": int64(1)}}, note{body: "two", props: map[string]any{"n": int64(2)}})
		if got := all(t, b, path); got != "one" {
			t.Errorf("got %q", got)
		}
		if err := b.DeleteRule(path, "$Default"); err != nil {
			t.Fatal(err)
		}
		if err := b.DeleteRule(path, "$Default"); !errors.Is(err, ErrNoEntity) {
			t.Errorf("deleting twice: %v", err)
		}
		send(t, b, "t", note{body: "three", props: map[string]any{"n": int64(1)}})
		if got := all(t, b, path); got != "" {
			t.Errorf("without rules: %q", got)
		}
	})
}

func TestScheduledMessagesStayWithTheTopic(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		topic(t, b, map[string][]Rule{"s": nil})
		send(t, b, "t", note{body: "late", due: time.Now().Add(150 * time.Millisecond)})
		if n := b.Counts()["t"]; n.Scheduled != 1 || n.Bytes == 0 {
			t.Errorf("topic: %+v", n)
		}
		d := attach(t, b, "t/Subscriptions/s", Mode{}, 1).next(t)
		if bodyOf(t, d) != "late" || b.Counts()["t"].Scheduled != 0 {
			t.Errorf("got %s, topic %+v", bodyOf(t, d), b.Counts()["t"])
		}
	})
}

func TestForwarding(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "end"}, Description{Name: "from", ForwardTo: "sb://host:1/end"}, Description{Name: "lost", ForwardTo: "https://host/nowhere"},
			Description{Name: "circle", ForwardTo: "https://host/circle"}, Description{Name: "dying", ForwardDeadLettersTo: "sb://host/end"})
		send(t, b, "from", note{body: "straight"})
		send(t, b, "from", note{body: "late", due: time.Now().Add(100 * time.Millisecond)})
		send(t, b, "lost", note{body: "lost"})
		send(t, b, "circle", note{body: "round"})
		send(t, b, "dying", note{body: "dead"})
		r := attach(t, b, "dying", Mode{}, 1)
		r.settle(t, r.next(t), Outcome{Verdict: DeadLetter, Reason: "why"})
		end := attach(t, b, "end", Mode{}, 10)
		for _, want := range []string{"straight", "dead", "late"} {
			d := end.next(t)
			m := seen(t, d)
			if got := string(m.GetData()); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if want == "dead" && m.Annotations["x-opt-deadletter-source"] != "dying" {
				t.Errorf("annotations %v", m.Annotations)
			}
			if _, ok := m.Annotations["x-opt-enqueue-sequence-number"].(int64); !ok {
				t.Errorf("annotations %v", m.Annotations)
			}
		}
		for path, want := range map[string]string{"lost": "MessagingEntityNotFound", "circle": "MaxTransferHopCountExceeded"} {
			d := attach(t, b, path+"/$Transfer/$DeadLetterQueue", Mode{}, 1).next(t)
			if got := seen(t, d).ApplicationProperties["DeadLetterReason"]; got != want {
				t.Errorf("%s: %v", path, got)
			}
		}
		if _, err := tryAttach(t, b, "from", Mode{}, 1); !isFault(err, ErrForwards) {
			t.Errorf("receiving from an entity that forwards: %v", err)
		}
	})
}

func TestForwardingBegins(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "end"}, Description{Name: "from"})
		send(t, b, "from", note{body: "one"}, note{body: "two"})
		r := attach(t, b, "from", Mode{}, 1)
		d := r.next(t)
		if err := b.Update(Description{Name: "from", ForwardTo: "end"}); err != nil {
			t.Fatal(err)
		}
		if got := all(t, b, "end"); got != "two" {
			t.Errorf("at once: %q", got)
		}
		r.settle(t, d, Outcome{Verdict: Abandon})
		if got := all(t, b, "end"); got != "one" {
			t.Errorf("after the lock: %q", got)
		}
	})
}

func TestSubscriptionWithSessions(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "t", Kind: KindTopic}, Description{Name: "s", Topic: "t", Kind: KindSubscription, RequiresSession: true})
		send(t, b, "t", note{body: "in", session: "a"}, note{body: "out"})
		if got := bodyOf(t, attach(t, b, "t/Subscriptions/s", Mode{Next: true}, 1).next(t)); got != "in" {
			t.Errorf("got %s", got)
		}
		if got := all(t, b, "t/Subscriptions/s/$DeadLetterQueue"); got != "out" {
			t.Errorf("dead-lettered: %q", got)
		}
	})
}

func TestEntities(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		topic(t, b, map[string][]Rule{"s": nil})
		create(t, b, Description{Name: "q"})
		if err := b.Create(Description{Name: "Q"}); !errors.Is(err, ErrExists) {
			t.Errorf("creating twice: %v", err)
		}
		if err := b.Create(Description{Name: "s", Topic: "q", Kind: KindSubscription}); !errors.Is(err, ErrNoEntity) {
			t.Errorf("a subscription of a queue: %v", err)
		}
		if err := b.Update(Description{Name: "q", RequiresSession: true}); !errors.Is(err, ErrImmutable) {
			t.Errorf("changing what cannot be: %v", err)
		}
		if err := b.Update(Description{Name: "other"}); !errors.Is(err, ErrNoEntity) {
			t.Errorf("updating nothing: %v", err)
		}
		for _, bad := range []Description{{Name: "x", LockDuration: "PT6M"}, {Name: "x", LockDuration: "soon"}, {Name: ""}, {Name: "a b"}, {Name: "$x"}, {Name: "é"}, {Name: "x", MaxDeliveryCount: -1}} {
			if err := b.Create(bad); err == nil {
				t.Errorf("%+v was created", bad)
			}
		}
		r := attach(t, b, "q", Mode{}, 1)
		b.DetachLinks(r.q)
		if f := r.fault(); f != ErrDetached {
			t.Errorf("detached with %v", f)
		}
		r = attach(t, b, "t/Subscriptions/s", Mode{}, 1)
		if err := b.Delete("t"); err != nil {
			t.Fatal(err)
		}
		if f := r.fault(); f != ErrDetached {
			t.Errorf("detached with %v", f)
		}
		if _, err := b.Find("t/Subscriptions/s"); !isFault(err, ErrNotFound) {
			t.Errorf("found a subscription without its topic: %v", err)
		}
		if err := b.Delete("t"); !errors.Is(err, ErrNoEntity) {
			t.Errorf("deleting twice: %v", err)
		}
		if got := len(b.List(KindQueue, "")); got != 1 {
			t.Errorf("%d queues", got)
		}
	})
}

func TestIdleEntitiesAreDeleted(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "idle", AutoDeleteOnIdle: "PT0.2S"}, Description{Name: "used", AutoDeleteOnIdle: "PT0.2S"}, Description{Name: "stays"})
		attach(t, b, "used", Mode{}, 1)
		deadline := time.Now().Add(5 * time.Second)
		for {
			if _, err := b.Find("idle"); err != nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the idle queue is still there")
			}
			time.Sleep(20 * time.Millisecond)
		}
		find(t, b, "used")
		find(t, b, "stays")
	})
}
