package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/infra/local/cosmosdb"
	"throughline/shared/cosmos"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// What a release stored and what it had on the way, written once when it came out. A later release reads it: change the
// code, never these files; -samples writes those of a new release.
const (
	storedDocuments = "testdata/release/v1-documents.jsonl"
	storedMessages  = "testdata/release/v1-messages.jsonl"
)

var samples = flag.Bool("samples", false, "write the samples of this release")

// stored is a document as Cosmos DB holds it, and where.
type stored struct {
	Container graph.Container `json:"container"`
	Document  json.RawMessage `json:"document"`
}

// recording keeps what was written last.
type recording struct {
	graph.Store
	mu    sync.Mutex
	wrote map[graph.Key]graph.Write
}

func (r *recording) Write(ctx context.Context, changes ...graph.Write) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range changes {
		r.wrote[c.Key] = c
	}
	return r.Store.Write(ctx, changes...)
}

// sample plays the story that the samples hold: an alert with its path to production, its issue, and what was said.
func sample(t *testing.T) (documents map[graph.Key]graph.Write, messages []event.Event) {
	t.Helper()
	r := &recording{Store: graph.NewMemory(), wrote: map[graph.Key]graph.Write{}}
	p := newPipelineOver(t, r)
	p.said = func(e event.Event) {
		e.Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		messages = append(messages, e)
	}
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Alerts: []graph.Alert{log4shell()},
		Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{running()}})
	p.answer(digestAPI)
	return r.wrote, messages
}

func writeSamples(t *testing.T) {
	t.Helper()
	documents, messages := sample(t)
	var out bytes.Buffer
	for _, k := range slices.SortedFunc(maps.Keys(documents), func(a, b graph.Key) int { return strings.Compare(a.String(), b.String()) }) {
		if documents[k].Data == nil {
			continue
		}
		partition := "pk"
		if k.Container == graph.WorklistContainer {
			partition = "org"
		}
		line, err := json.Marshal(map[string]any{"container": k.Container,
			"document": map[string]any{"id": k.ID, partition: k.Partition, "kind": documents[k].Kind, "v": 1, "data": documents[k].Data}})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(line, '\n'))
	}
	if err := os.WriteFile(storedDocuments, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	for _, e := range messages {
		line, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(line, '\n'))
	}
	if err := os.WriteFile(storedMessages, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, path string) (all [][]byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 4<<20)
	for s.Scan() {
		all = append(all, bytes.Clone(s.Bytes()))
	}
	if len(all) == 0 {
		t.Fatalf("%s is empty", path)
	}
	return all
}

// restored is a Cosmos DB that holds what a former release stored.
func restored(t *testing.T) graph.Store {
	t.Helper()
	server, err := cosmosdb.Start(t.Context(), cosmosdb.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	store, err := cosmos.Open(cosmos.Options{ConnectionString: server.ConnectionString(), Database: "throughline"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(); _ = server.Close() })
	if err := store.Ping(t.Context()); err != nil { // makes the containers
		t.Fatal(err)
	}
	client, err := azcosmos.NewClientFromConnectionString(server.ConnectionString(), &azcosmos.ClientOptions{ClientOptions: azcore.ClientOptions{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines(t, storedDocuments) {
		var s stored
		var where struct{ PK, Org string }
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(s.Document, &where); err != nil {
			t.Fatal(err)
		}
		container, err := client.NewContainer("throughline", string(s.Container))
		if err == nil {
			_, err = container.CreateItem(t.Context(), azcosmos.NewPartitionKeyString(where.PK+where.Org), s.Document, nil)
		}
		if err != nil {
			t.Fatalf("%s: %v", s.Document, err)
		}
	}
	return store
}

// TestFormerReleaseIsRead: what the former release stored is shown as it was, what it had on the way is handled, and
// neither opens a second issue.
func TestFormerReleaseIsRead(t *testing.T) {
	if *samples {
		writeSamples(t)
	}
	p := newPipelineOver(t, restored(t))
	p.tracker.issues = append(p.tracker.issues, graph.Issue{Repository: shop().ID, Number: 1, State: "open"})
	before := p.summary("github-4711-dependabot-88")
	if before.Tier == "" || before.Issue != 1 {
		t.Fatalf("the finding of the former release: %+v", before)
	}
	kinds := map[event.Type]bool{}
	for _, line := range lines(t, storedMessages) {
		e, err := event.Decode(line)
		if err != nil {
			t.Fatalf("a message on the way: %v: %s", err, line)
		}
		kinds[e.Type] = true
		p.settle([]event.Event{e})
	}
	for _, r := range event.Routes {
		if !kinds[r.Type] {
			t.Errorf("no sample of %s", r.Type)
		}
	}
	after := p.summary("github-4711-dependabot-88")
	if after.Tier != before.Tier || after.Issue != before.Issue {
		t.Errorf("after the messages: %+v, before: %+v", after, before)
	}
	if n := len(p.tracker.issues); n != 1 {
		t.Errorf("%d issues", n)
	}
}
