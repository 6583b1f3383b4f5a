package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// task is one kind of work, done in portions.
type task[T any] struct {
	name string
	n    int // operations of one portion
	do   func(ctx context.Context, server T, n int) error
}

// results are operations a second: of a task, of a server, in each round.
type results map[string]map[string][]float64

// inTurns lets every server do every task once a round. A warm-up round is not counted.
func inTurns[T any](ctx context.Context, rounds int, names []string, servers map[string]T, tasks []task[T]) (results, error) {
	all := results{}
	for round := -1; round < rounds; round++ {
		for _, t := range tasks {
			for i := range names {
				name := names[(i+max(round, 0))%len(names)] // nobody is always the first
				begin := time.Now()
				if err := t.do(ctx, servers[name], t.n); err != nil {
					return nil, fmt.Errorf("%s: %s: %w", name, t.name, err)
				}
				if round >= 0 {
					all.add(t.name, name, float64(t.n)/time.Since(begin).Seconds())
				}
			}
		}
	}
	return all, nil
}

func (r results) add(task, server string, rate float64) {
	if r[task] == nil {
		r[task] = map[string][]float64{}
	}
	r[task][server] = append(r[task][server], rate)
}

// ratio is the rates of one server beside those of another in the same rounds, in order.
func (r results) ratio(task, of, beside string) []float64 {
	a, b := r[task][of], r[task][beside]
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = a[i] / b[i]
	}
	slices.Sort(out)
	return out
}

func (r results) rate(task, server string) float64 {
	sorted := slices.Sorted(slices.Values(r[task][server]))
	return sorted[len(sorted)/2]
}

// goal is what a ratio should be: at least low and, unless zero, at most high.
type goal struct{ low, high float64 }

func (g goal) String() string {
	switch {
	case g == goal{}:
		return ""
	case g.high == 0:
		return fmt.Sprintf("≥ %.2f", g.low)
	}
	return fmt.Sprintf("%.2f to %.2f", g.low, g.high)
}

// verdict tells whether the median of the ratios meets the goal.
func (g goal) verdict(median float64) string {
	switch {
	case g == goal{}:
		return ""
	case median < g.low || g.high > 0 && median > g.high:
		return "missed"
	}
	return "met"
}

// row is one ratio to print.
type row struct {
	task, of, beside string
	goal             goal
}

func (r results) print(title string, rows []row) error {
	fmt.Printf("\n%s\n", title)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "task\tserver\tbeside\tper second\tratio\tspread\tgoal\t")
	for _, x := range rows {
		list := r.ratio(x.task, x.of, x.beside)
		median := list[len(list)/2]
		fmt.Fprintf(w, "%s\t%s\t%s\t%.0f : %.0f\t%.2f\t(%.2f to %.2f)\t%s\t%s\n", x.task, x.of, x.beside,
			r.rate(x.task, x.of), r.rate(x.task, x.beside), median, list[0], list[len(list)-1], x.goal, x.goal.verdict(median))
	}
	return w.Flush()
}

// plain prints rates where nothing stands beside.
func (r results) plain(title string, tasks []string, servers []string) error {
	fmt.Printf("\n%s\n", title)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "task, per second\t%s\n", strings.Join(servers, "\t"))
	for _, t := range tasks {
		fmt.Fprint(w, t)
		for _, s := range servers {
			fmt.Fprintf(w, "\t%.0f", r.rate(t, s))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
