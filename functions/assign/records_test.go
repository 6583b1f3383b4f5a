package assign

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"throughline/shared/graph"
)

// office keeps records as GitHub does: by cluster and name.
type office struct {
	deployed map[string]graph.Deployment
	stored   map[graph.Digest]int
	calls    int
	fault    error
}

func (o *office) RecordDeployments(_ context.Context, _, cluster string, all []graph.Deployment) error {
	o.calls++
	for _, d := range all {
		o.deployed[cluster+"/"+d.Name] = d
	}
	return o.fault
}

func (o *office) RecordStorage(_ context.Context, _ string, d graph.Deployment) error {
	o.stored[d.Digest]++
	return nil
}

func (o *office) running() int {
	n := 0
	for _, d := range o.deployed {
		if !d.Gone {
			n++
		}
	}
	return n
}

func TestRecords(t *testing.T) {
	b := newBench(t)
	b.repository(nil)
	put(b, graph.StateKey(graph.RepositoriesPartition, string(repositoryID)), "name", graph.Name{Repository: repositoryID, FullName: "shop/api", Org: "github-org-1"})
	o := &office{deployed: map[string]graph.Deployment{}, stored: map[graph.Digest]int{}}
	r := Records{Store: b.store, Registrar: o, Mode: Auto, Now: b.stage.Now, Log: slog.New(slog.DiscardHandler)}
	tick := func() {
		t.Helper()
		if err := r.Tick(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	b.runs(map[int]int{1: 1, 2: 1})
	tick()
	if o.running() != 2 || o.stored[imageOf(1)] != 1 || o.calls != 1 {
		t.Fatalf("%+v %v, %d calls", o.deployed, o.stored, o.calls)
	}
	if tick(); o.calls != 1 {
		t.Errorf("nothing changed, and GitHub was told %d times", o.calls)
	}
	b.runs(map[int]int{1: 2})
	if tick(); o.running() != 1 || len(o.deployed) != 2 || o.stored[imageOf(2)] != 1 {
		t.Errorf("after a change: %+v", o.deployed)
	}
	b.runs(nil)
	o.fault = errBroken
	if err := r.Tick(context.Background()); err == nil {
		t.Error("a failure was not told")
	}
	o.fault, o.deployed = nil, map[string]graph.Deployment{}
	if tick(); len(o.deployed) != 1 || o.running() != 0 {
		t.Errorf("after a failure: %+v", o.deployed)
	}
	r.Mode = Observe
	b.runs(map[int]int{1: 1})
	if tick(); o.running() != 0 {
		t.Error("observe mode writes")
	}
}

func TestRecordsTakeTurns(t *testing.T) {
	names := make([]graph.Name, 1001)
	for i := range names {
		names[i].FullName = fmt.Sprint("shop/", i)
	}
	now, seen := noon, map[string]bool{}
	r := Records{Now: func() time.Time { return now }}
	for range 3 {
		for _, n := range r.turn(names) {
			seen[n.FullName] = true
		}
		now = now.Add(5 * time.Minute)
	}
	if len(seen) != len(names) {
		t.Errorf("%d of %d repositories had their turn", len(seen), len(names))
	}
}

// board keeps campaigns; an answer can be lost after the effect.
type board struct {
	all   []graph.Campaign
	fault error
}

func (b *board) CreateCampaign(_ context.Context, k graph.Campaign) (graph.Campaign, error) {
	k.Number, k.State, k.Progress = len(b.all)+1, graph.CampaignOpen, graph.Progress{Open: 3}
	b.all = append(b.all, k)
	return k, b.fault
}

func (b *board) ListCampaigns(context.Context, string) ([]graph.Campaign, error) { return b.all, nil }

func TestCampaigns(t *testing.T) {
	b := newBench(t)
	k := graph.Campaign{ID: "abc", Name: "n", Description: "d", Login: "shop", State: graph.CampaignAsked, At: b.now}
	put(b, graph.CampaignKey(k.ID), graph.KindCampaign, k)
	g := &board{fault: errBroken}
	c := Campaigns{Store: b.store, Organiser: g, Mode: Observe, Now: b.stage.Now, Log: slog.New(slog.DiscardHandler)}
	if err := c.Tick(context.Background()); err != nil || len(g.all) != 0 {
		t.Errorf("observe mode: %v, %d campaigns", err, len(g.all))
	}
	c.Mode = Auto
	if err := c.Tick(context.Background()); err == nil {
		t.Error("a failure was not told")
	}
	g.fault = nil
	g.all[0].Progress = graph.Progress{Open: 1, Done: 2}
	if err := c.Tick(context.Background()); err != nil {
		t.Fatal(err)
	}
	all, err := graph.Campaigns(context.Background(), b.store)
	if err != nil || len(g.all) != 1 || len(all) != 1 || all[0].Number != 1 || all[0].State != graph.CampaignOpen || all[0].Progress.Done != 2 {
		t.Errorf("%v, on GitHub %+v, ours %+v", err, g.all, all)
	}
}
