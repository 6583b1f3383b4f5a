package broker

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestLineGivesTheLowestSequence pushes, takes, gives back and loses messages beside a sorted list.
func TestLineGivesTheLowestSequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l line
		var waiting, taken []*message
		next := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if l.n != len(waiting) {
					t.Fatalf("counts %d, %d wait", l.n, len(waiting))
				}
			},
			"push": func(*rapid.T) {
				next++
				m := &message{seq: next}
				l.push(m)
				waiting = append(waiting, m)
			},
			"pop": func(t *rapid.T) {
				m := l.pop()
				if len(waiting) == 0 {
					if m != nil {
						t.Fatalf("took %d from nothing", m.seq)
					}
					t.Skip()
				}
				if m != waiting[0] {
					t.Fatalf("took %v, want %d", m, waiting[0].seq)
				}
				waiting, taken = waiting[1:], append(taken, m)
			},
			"give back": func(t *rapid.T) {
				if len(taken) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(taken)-1).Draw(t, "which")
				l.giveBack(taken[i])
				waiting = append(waiting, taken[i])
				taken = slices.Delete(taken, i, i+1)
				slices.SortFunc(waiting, func(a, b *message) int { return int(a.seq - b.seq) })
			},
			"lose": func(t *rapid.T) {
				if len(waiting) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(waiting)-1).Draw(t, "which")
				waiting[i].gone = true
				l.lost()
				waiting = slices.Delete(waiting, i, i+1)
			},
		})
	})
}

// TestRollFindsWhatIsThere adds and removes messages beside a map.
func TestRollFindsWhatIsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r roll
		there := map[int64]*message{}
		next := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if r.len() != len(there) {
					t.Fatalf("%d are there, want %d", r.len(), len(there))
				}
			},
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "n") {
					next += rapid.Int64Range(1, 3).Draw(t, "gap")
					there[next] = &message{seq: next}
					r.add(there[next])
				}
			},
			"remove": func(t *rapid.T) {
				for seq := rapid.Int64Range(0, next).Draw(t, "from"); seq <= next; seq += 2 {
					if m := there[seq]; m != nil {
						r.remove(m)
						delete(there, seq)
					}
				}
			},
			"look": func(t *rapid.T) {
				seq := rapid.Int64Range(0, next+1).Draw(t, "seq")
				if r.get(seq) != there[seq] {
					t.Fatalf("%d: %v, want %v", seq, r.get(seq), there[seq])
				}
				last := int64(-1)
				r.from(seq, func(m *message) bool {
					if m.seq < seq || m.seq <= last || there[m.seq] != m {
						t.Fatalf("%d came after %d from %d", m.seq, last, seq)
					}
					last = m.seq
					return true
				})
			},
		})
	})
}

// TestLocksEndInOrder sets, renews and removes locks beside a list.
func TestLocksEndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l locks
		var held []*lock
		n := byte(0)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				count, last := 0, int64(-1)
				for k := l.first; k != nil; k = k.next {
					if k.until < last || k.next == nil && l.last != k || k.next != nil && k.next.prev != k {
						t.Fatalf("out of order or badly linked at %d", k.until)
					}
					last = k.until
					count++
				}
				if count != len(held) || len(l.byToken) != len(held) || len(held) == 0 && l.last != nil {
					t.Fatalf("%d in the list, %d by token, want %d", count, len(l.byToken), len(held))
				}
			},
			"add": func(t *rapid.T) {
				n++
				k := &lock{token: Token{n, byte(len(held))}, until: rapid.Int64Range(0, 20).Draw(t, "until")}
				if l.byToken[k.token] != nil {
					t.Skip()
				}
				l.add(k)
				held = append(held, k)
			},
			"renew": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip()
				}
				l.renew(rapid.SampledFrom(held).Draw(t, "which"), rapid.Int64Range(0, 20).Draw(t, "until"))
			},
			"remove": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				l.remove(held[i])
				held = slices.Delete(held, i, i+1)
			},
		})
	})
}
