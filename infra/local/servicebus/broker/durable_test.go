package broker

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestEverythingConfirmedIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	b := opened(t, Options{Dir: t.TempDir()})
	create(t, b, Description{Name: "q", MaxDeliveryCount: 5, RequiresDuplicateDetection: true}, Description{Name: "s", RequiresSession: true},
		Description{Name: "t", Kind: KindTopic}, Description{Name: "gone"})
	if err := b.Create(Description{Name: "sub", Topic: "t", Kind: KindSubscription}, Rule{Name: "r", Filter: sql("n = 1")}); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		send(t, b, "q", note{body: name(i), id: name(i)})
	}
	soon := time.Now().Add(time.Second)
	send(t, b, "q", note{body: "scheduled", due: soon}, note{body: "far", due: time.Now().Add(time.Hour)})
	send(t, b, "s", note{body: "in", session: "a"})
	send(t, b, "gone", note{body: "x"})
	r := attach(t, b, "q", Mode{}, 5)
	d := []*Delivery{r.next(t), r.next(t), r.next(t), r.next(t), r.next(t)}
	r.settle(t, d[0], Outcome{})
	r.settle(t, d[1], Outcome{Verdict: Defer})
	r.settle(t, d[2], Outcome{Verdict: DeadLetter, Reason: "why"})
	r.settle(t, d[3], Outcome{Verdict: Abandon}) // d[4] stays locked
	s := attach(t, b, "s", named("a"), 0)
	done := make(chan error, 1)
	b.SetSessionState(s.q, "a", []byte("state"), func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := b.Delete("gone"); err != nil {
		t.Fatal(err)
	}

	b = reopened(t, b)
	if n := b.Counts()["q"]; n.Active != 3 || n.Deferred != 1 || n.Scheduled != 2 || n.DeadLetter != 1 || n.Locked != 0 {
		t.Errorf("counts %+v", n)
	}
	r = attach(t, b, "q", Mode{}, 10)
	for _, want := range []struct {
		body  string
		count uint32
	}{{"m3", 1}, {"m4", 0}, {"m5", 0}, {"scheduled", 0}} {
		d := r.next(t)
		if bodyOf(t, d) != want.body || d.Count != want.count {
			t.Errorf("got %s with count %d, want %+v", bodyOf(t, d), d.Count, want)
		}
	}
	if time.Now().Before(soon) {
		t.Error("the scheduled message came before it was due")
	}
	send(t, b, "q", note{body: "duplicate", id: "m0"})
	r.nothing(t)
	send(t, b, "q", note{body: "fresh", id: "fresh"})
	if d := r.next(t); d.Sequence <= 8 {
		t.Errorf("a sequence number came twice: %d", d.Sequence)
	}
	s = attach(t, b, "s", Mode{Next: true}, 1)
	if state, err := b.SessionState(s.q, "a"); err != nil || string(state) != "state" {
		t.Errorf("state %q, %v", state, err)
	}
	send(t, b, "t", note{body: "yes", props: map[string]any{"n": int64(1)}}, note{body: "no", props: map[string]any{"n": int64(2)}})
	if got := all(t, b, "t/Subscriptions/sub"); got != "yes" {
		t.Errorf("the rule let through %q", got)
	}
	if _, err := b.Find("gone"); err == nil {
		t.Error("a deleted queue is there again")
	}
}

func TestTheJournalDoesNotGrowForEver(t *testing.T) {
	t.Parallel()
	b := opened(t, Options{Dir: t.TempDir(), Segment: 64 << 10, NoSync: true, Resident: 1 << 10})
	create(t, b, Description{Name: "q", RequiresDuplicateDetection: true}, Description{Name: "s", RequiresSession: true}, Description{Name: "old"})
	send(t, b, "old", note{body: "kept"}, note{body: "later", due: time.Now().Add(time.Hour)})
	holder := attach(t, b, "s", named("a"), 0)
	b.SetSessionState(holder.q, "a", []byte("state"), func(error) {})
	r := attach(t, b, "q", Mode{}, 1)
	for i := range 2000 {
		send(t, b, "q", note{body: strings.Repeat("x", 1000), id: name(i)})
		r.settle(t, r.next(t), Outcome{})
		b.Credit(r.c, uint32(i+2))
	}
	if size := b.journal.Size(); size > 512<<10 {
		t.Errorf("the journal holds %d bytes, %d are alive", size, b.live)
	}
	oldest, _ := b.journal.Segments()
	if oldest == 1 {
		t.Error("no segment was ever dropped")
	}
	b = reopened(t, b)
	if got := all(t, b, "old"); got != "kept" {
		t.Errorf("old holds %q", got)
	}
	if n := b.Counts()["old"].Scheduled; n != 1 {
		t.Errorf("%d scheduled", n)
	}
	send(t, b, "q", note{body: "duplicate", id: "m0"})
	if n := b.Counts()["q"].Active; n != 0 {
		t.Error("the duplicate history was lost")
	}
	holder = attach(t, b, "s", named("a"), 0)
	if state, _ := b.SessionState(holder.q, "a"); string(state) != "state" {
		t.Errorf("state %q", state)
	}
	send(t, b, "q", note{body: "x", id: "fresh"})
	if d := attach(t, b, "q", Mode{}, 1).next(t); d.Sequence != 2001 {
		t.Errorf("the next sequence number is %d", d.Sequence)
	}
}

// TestMemoryIsBoundedWithABacklog keeps far more on disk than it may keep in memory.
func TestMemoryIsBoundedWithABacklog(t *testing.T) {
	messages, size := 600, 100_000 // 60 MB
	if os.Getenv("THROUGHLINE_LONG") != "" {
		messages, size = 10_000, 100_000 // 1 GB
	}
	b := opened(t, Options{Dir: t.TempDir(), NoSync: true, Resident: 4 << 20})
	create(t, b, Description{Name: "q", MaxSizeInMegabytes: 4096})
	before := heapBytes()
	pad := strings.Repeat("x", size)
	for i := range messages {
		send(t, b, "q", note{body: fmt.Sprintf("%06d%s", i, pad)})
	}
	if grown := heapBytes() - before; grown > 30<<20 {
		t.Errorf("%d MB in memory for a backlog of %d MB", grown>>20, messages*size>>20)
	}
	b = reopened(t, b)
	r := attach(t, b, "q", Mode{}, 1)
	for i := range messages {
		d := r.next(t)
		if got := bodyOf(t, d); len(got) != size+6 || got[:6] != fmt.Sprintf("%06d", i) {
			t.Fatalf("message %d is %.6s with %d bytes", i, got, len(got))
		}
		r.settle(t, d, Outcome{})
		b.Credit(r.c, uint32(i+2))
	}
	if b.live != 0 || b.resident != 0 {
		t.Errorf("of nothing %d bytes are alive, %d in memory", b.live, b.resident)
	}
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestAJournalThatFailsConfirmsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := Open(Options{Dir: dir, Segment: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	create(t, b, Description{Name: "q"})
	if err := os.RemoveAll(dir); err != nil { // the next segment cannot be made
		t.Fatal(err)
	}
	failed := false
	for i := range 20 {
		err := trySend(t, b, "q", note{body: strings.Repeat("x", 1000)})
		if failed && err == nil {
			t.Fatalf("send %d was confirmed after a failure", i)
		}
		failed = failed || err != nil
	}
	if !failed {
		t.Error("nothing failed")
	}
	if _, err := tryAttach(t, b, "q", Mode{}, 1); err == nil {
		t.Error("attached to a broker that has failed")
	}
}

func TestOpenRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	b := opened(t, Options{Dir: t.TempDir()})
	create(t, b, Description{Name: "q"})
	done := make(chan error, 1)
	b.journal.Append([]byte{99, 1}, func(err error) { done <- err })
	<-done
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if x, err := Open(b.o); err == nil {
		x.Close()
		t.Error("a record of no known kind was read")
	}
}
