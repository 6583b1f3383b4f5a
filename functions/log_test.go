package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"throughline/shared/graph"
)

// logged is a pipeline with a repository whose decision log has segments, records and a decision that no segment holds.
func logged(t *testing.T) *pipeline {
	t.Helper()
	p := newPipeline(t)
	o := graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{running()}}
	for i := range 5 {
		o.Alerts = append(o.Alerts, alertNo(1000+i))
	}
	p.observe(o)
	p.answer(digestAPI)
	p.appendLog(10 * time.Minute)
	for i := range 3 { // the same alerts, each time more severe or less: other decisions, records of those before
		p.now = p.now.Add(time.Hour)
		a := alertNo(1000)
		a.UpdatedAt = p.now
		a.Severity = []string{"low", "medium", "high"}[i]
		d := *a.Dependency
		d.CVSS = nil
		a.Dependency = &d
		p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Alerts: []graph.Alert{a}})
		p.appendLog(10 * time.Minute)
	}
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Alerts: []graph.Alert{alertNo(2000)}})
	return p
}

func (p *pipeline) appendLog(later time.Duration) {
	p.t.Helper()
	p.now = p.now.Add(later)
	if err := (graph.Logbook{Store: p.store}).Append(context.Background(), p.now); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipeline) checkLog() graph.LogReport {
	p.t.Helper()
	report, err := graph.LogCheck{Store: p.store}.Of(context.Background(), shop().ID)
	if err != nil {
		p.t.Fatal(err)
	}
	return report
}

// TestLogIsWhole holds that what the stages write is a log without faults, and that appending with nothing new adds nothing.
func TestLogIsWhole(t *testing.T) {
	p := logged(t)
	report := p.checkLog()
	if len(report.Faults) > 0 || report.Segments != 4 || report.Entries != 8 || report.Decisions != 6 || report.Records < 2 || report.Waiting != 1 {
		t.Errorf("%+v, want four segments with eight lines, six decisions, records, one decision that waits, no fault", report)
	}
	p.appendLog(time.Hour)
	p.appendLog(time.Hour)
	if again := p.checkLog(); again.Segments != 5 || again.Waiting != 0 || len(again.Faults) > 0 {
		t.Errorf("%+v, want one more segment and nothing that waits", again)
	}
}

// TestChangedByteIsFound changes one byte at a time of every document of the log: of the segments, of the decisions that
// stand and of the records. Each change that leaves the document readable as JSON is found, in the document it was made in.
func TestChangedByteIsFound(t *testing.T) {
	p := logged(t)
	ctx := context.Background()
	changed := 0
	for _, kind := range []graph.Kind{graph.KindLog, graph.KindRecord, graph.KindFinding} {
		page, err := p.store.Query(ctx, graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(shop().ID), Kind: kind})
		if err != nil || len(page.Documents) == 0 {
			t.Fatalf("no %s: %v", kind, err)
		}
		for _, d := range page.Documents {
			from, to := logBytes(t, kind, d.Data)
			for i := from; i < to; i += 1 + (to-from)/60 {
				forged := bytes.Clone(d.Data)
				forged[i] ^= 1
				if !json.Valid(forged) || same(forged, d.Data) {
					continue
				}
				changed++
				p.put(d, forged)
				if report := p.checkLog(); !names(report, d.Key) {
					t.Fatalf("%s byte %d of %d, %q for %q: not found, faults %v", d.Key, i, len(d.Data), forged[max(0, i-20):i+20], d.Data[max(0, i-20):i+20], report.Faults)
				}
			}
			p.put(d, d.Data)
		}
	}
	if report := p.checkLog(); len(report.Faults) > 0 || changed < 300 {
		t.Errorf("%d changes tried; put back: %v", changed, report.Faults)
	}
}

// logBytes are the bytes of a document that belong to the log: all of a segment and a record, the decision of a finding.
func logBytes(t *testing.T, kind graph.Kind, data []byte) (int, int) {
	t.Helper()
	if kind != graph.KindFinding {
		return 0, len(data)
	}
	var f struct{ Decision json.RawMessage }
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	from := bytes.Index(data, f.Decision)
	return from, from + len(f.Decision)
}

// same tells whether two texts are the same JSON.
func same(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

func names(r graph.LogReport, k graph.Key) bool {
	for _, f := range r.Faults {
		if f.Place == k.String() {
			return true
		}
	}
	return false
}

func (p *pipeline) put(d graph.Document, data []byte) {
	p.t.Helper()
	if err := p.store.Write(context.Background(), graph.Write{Key: d.Key, Kind: d.Kind, ETag: graph.Any, Data: data}); err != nil {
		p.t.Fatal(err)
	}
}

// TestMissingPartsAreFound takes documents out of the log.
func TestMissingPartsAreFound(t *testing.T) {
	for _, kind := range []graph.Kind{graph.KindLog, graph.KindRecord} {
		p := logged(t)
		page, err := p.store.Query(context.Background(), graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(shop().ID), Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Documents {
			if err := p.store.Write(context.Background(), graph.Write{Key: d.Key, ETag: graph.Any, Kind: d.Kind}); err != nil {
				t.Fatal(err)
			}
			if report := p.checkLog(); !names(report, d.Key) || !strings.Contains(fmt.Sprint(report.Faults), "missing") {
				t.Errorf("%s is missing: %v", d.Key, report.Faults)
			}
			p.put(d, d.Data)
		}
	}
}

// TestForgedWithItsLinkIsFound changes a decision together with its link: the segment that holds it tells.
func TestForgedWithItsLinkIsFound(t *testing.T) {
	p := logged(t)
	k := graph.FindingKey(shop().ID, graph.NewAlertID(shop().ID, graph.Dependabot, 1003))
	f, err := graph.Get[graph.Finding](context.Background(), p.store, k)
	if err != nil || !f.Exists() {
		t.Fatal(err)
	}
	forged := *f.Value.Decision
	forged.Rule = "R9"
	if forged, err = forged.Chained(forged.After); err != nil {
		t.Fatal(err)
	}
	f.Value.Decision = &forged
	data, err := json.Marshal(f.Value)
	if err != nil {
		t.Fatal(err)
	}
	p.put(graph.Document{Key: k, Kind: graph.KindFinding}, data)
	if report := p.checkLog(); !names(report, k) {
		t.Errorf("a forged decision passes: %v", report.Faults)
	}
}
