package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Reminder is what is overdue and what is due within the week, for each person who has it.
type Reminder struct {
	At      time.Time `json:"at"`
	Overdue int       `json:"overdue"`
	Soon    int       `json:"soon"`
	People  []Due     `json:"people"` // who has most overdue first; an empty name: nobody
}

// Due is what one person has.
type Due struct {
	Who     string `json:"who"`
	Overdue []Fix  `json:"overdue"`
	Soon    []Fix  `json:"soon"`
}

// Reminder gathers the fixes that are open and have a date by who has them. A fix that several have is told to each.
func (o Overview) Reminder() Reminder {
	d := Reminder{At: o.At, People: []Due{}}
	shares := map[string]*Due{}
	for _, f := range o.Fixes {
		if f.Open == 0 || f.DueAt.IsZero() || !f.DueAt.Before(o.At.Add(week)) {
			continue
		}
		late := f.DueAt.Before(o.At)
		if late {
			d.Overdue++
		} else {
			d.Soon++
		}
		who := f.Assignees
		if len(who) == 0 {
			who = []string{""}
		}
		for _, name := range who {
			s := shares[name]
			if s == nil {
				s = &Due{Who: name, Overdue: []Fix{}, Soon: []Fix{}}
				shares[name] = s
			}
			if late {
				s.Overdue = append(s.Overdue, f)
			} else {
				s.Soon = append(s.Soon, f)
			}
		}
	}
	for _, s := range shares {
		d.People = append(d.People, *s)
	}
	slices.SortFunc(d.People, func(a, b Due) int {
		return cmp.Or(len(b.Overdue)-len(a.Overdue), len(b.Soon)-len(a.Soon), cmp.Compare(a.Who, b.Who))
	})
	return d
}

// The bounds of a reminder as text.
const (
	remindedPeople = 20
	remindedFixes  = 5
)

// Text is the reminder for a chat: plain lines without any markup, in which nothing that came from outside means anything.
func (d Reminder) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Throughline, %s: %d overdue, %d due within seven days.\n", d.At.UTC().Format("2 January 2006"), d.Overdue, d.Soon)
	for i, p := range d.People {
		if i == remindedPeople {
			fmt.Fprintf(&b, "… and %d more people.\n", len(d.People)-remindedPeople)
			break
		}
		fmt.Fprintf(&b, "%s: %d overdue, %d due soon\n", inert(cmp.Or(p.Who, "nobody")), len(p.Overdue), len(p.Soon))
		for n, f := range append(slices.Clone(p.Overdue), p.Soon...) {
			if n == remindedFixes {
				break
			}
			fmt.Fprintf(&b, "  %s %s %s, due %s\n", f.Tier, inert(f.FullName), inert(f.Title), f.DueAt.UTC().Format("2 January"))
		}
	}
	return b.String()
}

// inert takes from a text what a chat would act on: markup, mentions, links and control characters.
func inert(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x2069 || r == 0xfeff:
			return -1
		case strings.ContainsRune("<>&@*_`~|[]()", r):
			return ' '
		}
		return r
	}, s)
	return clipped(strings.Join(strings.Fields(strings.ReplaceAll(s, "://", " ")), " "), 120)
}
