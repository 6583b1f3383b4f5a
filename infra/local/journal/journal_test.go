package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// reopen opens a journal and returns its records.
func reopen(t testing.TB, o Options) (*Journal, []string) {
	t.Helper()
	var got []string
	j, err := Open(o, func(_ Pos, rec []byte) error {
		got = append(got, string(rec))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return j, got
}

// add appends and waits for the commit.
func add(t testing.TB, j *Journal, rec string) Pos {
	t.Helper()
	done := make(chan error, 1)
	p := j.Append([]byte(rec), func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return p
}

func closed(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestConfirmedRecordsAreThereAgain(t *testing.T) {
	o := Options{Dir: t.TempDir(), Segment: 4096}
	j, _ := reopen(t, o)
	var want []string
	places := map[string]Pos{}
	for i := range 200 {
		rec := fmt.Sprintf("record %d %s", i, strings.Repeat("x", i))
		places[rec] = add(t, j, rec)
		want = append(want, rec)
	}
	for rec, p := range places {
		buf := make([]byte, len(rec))
		if err := j.ReadAt(buf, p); err != nil || string(buf) != rec {
			t.Fatalf("read %q, %v, want %q", buf, err, rec)
		}
	}
	if oldest, newest := j.Segments(); oldest != 1 || newest < 3 {
		t.Errorf("segments %d to %d", oldest, newest)
	}
	closed(t, j)
	j, got := reopen(t, o)
	defer closed(t, j)
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %d records, want %d", len(got), len(want))
	}
	add(t, j, "more")
}

func TestEmptyRecordsLeaveNoTrace(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	j, _ := reopen(t, o)
	add(t, j, "before")
	add(t, j, "")
	add(t, j, "after")
	closed(t, j)
	j, got := reopen(t, o)
	defer closed(t, j)
	if strings.Join(got, "|") != "before|after" {
		t.Errorf("got %q", got)
	}
}

func TestRecordLargerThanASegment(t *testing.T) {
	o := Options{Dir: t.TempDir(), Segment: 4096}
	j, _ := reopen(t, o)
	large := strings.Repeat("large", 5000)
	add(t, j, "before")
	add(t, j, large)
	add(t, j, "after")
	closed(t, j)
	j, got := reopen(t, o)
	defer closed(t, j)
	if len(got) != 3 || got[1] != large {
		t.Errorf("%d records", len(got))
	}
}

// TestTornTail cuts the file after every byte of the last record, and turns every byte of it over: what was
// confirmed before it must be there, and the journal must go on.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	j, _ := reopen(t, Options{Dir: dir, Segment: 4096})
	add(t, j, "first")
	p := add(t, j, "second")
	last := add(t, j, "the last one")
	closed(t, j)
	file := filepath.Join(dir, "0000000001.log")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	from, to := int(p.Offset)+len("second"), int(last.Offset)+len("the last one")
	for i := from; i < to; i++ {
		for _, damage := range []func([]byte) []byte{
			func(b []byte) []byte { return b[:i] },
			func(b []byte) []byte { b[i] ^= 0x55; return b },
			func(b []byte) []byte { clear(b[i:]); return b },
		} {
			b := damage(bytes.Clone(whole))
			if bytes.Equal(b, whole) {
				continue
			}
			mended(t, b)
		}
	}
}

func mended(t *testing.T, content []byte) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "0000000001.log"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: dir, Segment: 4096}
	j, got := reopen(t, o)
	if len(got) != 2 || got[0] != "first" || got[1] != "second" {
		t.Fatalf("after the damage: %q", got)
	}
	add(t, j, "third")
	closed(t, j)
	j, got = reopen(t, o)
	closed(t, j)
	if len(got) != 3 || got[2] != "third" {
		t.Fatalf("after the mending: %q", got)
	}
}

func TestDamageInTheMiddleIsNotPassedOver(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, Segment: 4096}
	j, _ := reopen(t, o)
	p := add(t, j, strings.Repeat("a", 3000))
	add(t, j, strings.Repeat("b", 3000))
	closed(t, j)
	file := filepath.Join(dir, "0000000001.log")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[p.Offset+5] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o, func(Pos, []byte) error { return nil }); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("opened a damaged journal: %v", err)
	}
}

func TestASegmentThatIsMissingIsNoticed(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, Segment: 4096}
	j, _ := reopen(t, o)
	for range 3 {
		add(t, j, strings.Repeat("a", 3000))
	}
	closed(t, j)
	if err := os.Remove(filepath.Join(dir, "0000000002.log")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o, func(Pos, []byte) error { return nil }); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("opened a journal with a hole: %v", err)
	}
}

func TestDropGivesSpaceBack(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, Segment: 4096}
	j, _ := reopen(t, o)
	for i := range 5 {
		add(t, j, fmt.Sprintf("%d%s", i, strings.Repeat("a", 3000)))
	}
	before := j.Size()
	if err := j.Drop(); err != nil {
		t.Fatal(err)
	}
	if j.Size() >= before {
		t.Errorf("size %d, before %d", j.Size(), before)
	}
	closed(t, j)
	j, got := reopen(t, o)
	defer closed(t, j)
	if len(got) != 4 || got[0][0] != '1' {
		t.Errorf("%d records, the first is %.1q", len(got), got[0])
	}
}

func TestDropLeavesTheSegmentThatIsWritten(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	j, _ := reopen(t, o)
	add(t, j, "only")
	if err := j.Drop(); err != nil {
		t.Fatal(err)
	}
	closed(t, j)
	j, got := reopen(t, o)
	defer closed(t, j)
	if len(got) != 1 {
		t.Errorf("records: %q", got)
	}
}

func TestTwoProcessesCannotShareAJournal(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	j, _ := reopen(t, o)
	defer closed(t, j)
	if _, err := Open(o, func(Pos, []byte) error { return nil }); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened twice: %v", err)
	}
}

func TestCallbacksComeInOrderAndShareSyncs(t *testing.T) {
	var batches int
	j, _ := reopen(t, Options{Dir: t.TempDir(), Around: func(run func()) { batches++; run() }})
	const n = 5000
	var got []int
	var wg sync.WaitGroup
	wg.Add(n)
	for i := range n {
		rec := []byte("x")
		if i%10 == 0 {
			rec = nil
		}
		j.Append(rec, func(err error) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, i)
			wg.Done()
		})
	}
	wg.Wait()
	closed(t, j)
	for i := range got {
		if got[i] != i {
			t.Fatalf("callback %d came in place %d", got[i], i)
		}
	}
	if batches > n/2 {
		t.Errorf("%d batches for %d records", batches, n)
	}
}

func TestNothingIsConfirmedAfterAFailure(t *testing.T) {
	j, _ := reopen(t, Options{Dir: t.TempDir()})
	add(t, j, "good")
	j.segments[j.newest].file.Close() // the disk is gone
	for i := range 3 {
		done := make(chan error, 1)
		rec := []byte("bad")
		if i == 2 {
			rec = nil
		}
		j.Append(rec, func(err error) { done <- err })
		if err := <-done; err == nil {
			t.Fatalf("record %d was confirmed", i)
		}
	}
	if err := j.Close(); err == nil {
		t.Error("closing a closed file is an error that must be told")
	}
}

// TestNoRoomForASegment puts something in the way of the next segment: what belongs there fails, the rest stays, and when the way
// is free again records are taken where they had failed.
func TestNoRoomForASegment(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, Segment: 4096}
	j, _ := reopen(t, o)
	add(t, j, "first")
	obstacle := filepath.Join(dir, "0000000002.log")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		errs := make(chan error, 2)
		for range 2 {
			j.Append([]byte(strings.Repeat("refused", 500+i)), func(err error) { errs <- err })
		}
		if first, second := <-errs, <-errs; first == nil || second == nil {
			t.Fatalf("no segment, no error: %v, %v", first, second)
		}
	}
	add(t, j, "second")
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("large", 2000)
	add(t, j, large)
	add(t, j, "last")
	closed(t, j)
	j, got := reopen(t, o)
	closed(t, j)
	if strings.Join(got, "|") != "first|second|"+large+"|last" {
		t.Errorf("got %.40q", got)
	}
}

func TestAppendAfterClose(t *testing.T) {
	j, _ := reopen(t, Options{Dir: t.TempDir()})
	closed(t, j)
	done := make(chan error, 1)
	j.Append([]byte("late"), func(err error) { done <- err })
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	closed(t, j)
}

// TestAnyHistory appends, drops and reopens at random beside a list.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "journal")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		o := Options{Dir: dir, Segment: 2048, NoSync: true}
		type record struct {
			text string
			at   Pos
		}
		var want []record
		open := func() *Journal {
			i := 0
			j, err := Open(o, func(p Pos, rec []byte) error {
				if i >= len(want) || want[i].text != string(rec) || want[i].at != p {
					return fmt.Errorf("record %d is %.20q at %v", i, rec, p)
				}
				i++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if i != len(want) {
				t.Fatalf("%d records, want %d", i, len(want))
			}
			return j
		}
		j := open()
		defer func() { j.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				text := rapid.StringMatching(`[a-z]{1,900}`).Draw(t, "text")
				done := make(chan error, 1)
				p := j.Append([]byte(text), func(err error) { done <- err })
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				want = append(want, record{text, p})
			},
			"drop": func(t *rapid.T) {
				oldest, newest := j.Segments()
				if oldest >= newest {
					t.Skip()
				}
				if err := j.Drop(); err != nil {
					t.Fatal(err)
				}
				for len(want) > 0 && want[0].at.Segment == oldest {
					want = want[1:]
				}
			},
			"reopen": func(t *rapid.T) {
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				j = open()
			},
		})
	})
}

// FuzzOpen opens a journal of any content: it is mended or refused, and never a surprise.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	j, _ := reopen(f, Options{Dir: dir, Segment: 512})
	add(f, j, "hello")
	add(f, j, "world")
	closed(f, j)
	seed, err := os.ReadFile(filepath.Join(dir, "0000000001.log"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:30])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000001.log"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		o := Options{Dir: dir, Segment: 512, NoSync: true}
		j, first := reopen(t, o)
		closed(t, j)
		j, second := reopen(t, o)
		closed(t, j)
		if strings.Join(first, "|") != strings.Join(second, "|") {
			t.Errorf("first %q, then %q", first, second)
		}
	})
}
