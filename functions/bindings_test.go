package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"throughline/shared/event"
)

type binding struct {
	Type              string `json:"type"`
	QueueName         string `json:"queueName"`
	DataType          string `json:"dataType"`
	Connection        string `json:"connection"`
	IsSessionsEnabled bool   `json:"isSessionsEnabled"`
}

type queueProperties struct {
	Name            string `json:"name"`
	RequiresSession bool   `json:"requiresSession"`
}

// What is drawn in function.json, queues.json and the table of events is what main wires.
func TestBindingsAgree(t *testing.T) {
	folders := functionFolders(t)
	var wired []string
	for _, f := range table {
		wired = append(wired, f.name)
	}
	slices.Sort(wired)
	if !slices.Equal(folders, wired) {
		t.Errorf("folders with a function.json %v, main wires %v", folders, wired)
	}
	queues := readQueues(t)
	for _, route := range event.Routes {
		q, ok := queues[route.HeardBy]
		if !ok {
			t.Errorf("queue %s of %s is not in infra/queues.json", route.HeardBy, route.Type)
		}
		if q.RequiresSession != route.Sessions {
			t.Errorf("queue %s: sessions %v in infra/queues.json, %v in the table of events", q.Name, q.RequiresSession, route.Sessions)
		}
	}
	for _, name := range folders {
		checkBinding(t, name, queues)
	}
	if len(queues) != len(event.Routes) {
		t.Errorf("infra/queues.json has %d queues, the table of events %d", len(queues), len(event.Routes))
	}
}

func checkBinding(t *testing.T, name string, queues map[string]queueProperties) {
	t.Helper()
	b := readBinding(t, name)
	kind := kindOf(name)
	if b.Type != kind {
		t.Errorf("%s: function.json has a %s, main wires a %s", name, b.Type, kind)
	}
	if kind != queueTrigger {
		return
	}
	q, ok := queues[name]
	switch {
	case !ok:
		t.Errorf("%s: no queue of that name", name)
	case b.QueueName != name, b.DataType != "binary", b.Connection != "ServiceBusConnection", b.IsSessionsEnabled != q.RequiresSession:
		t.Errorf("%s: binding %+v does not fit queue %+v", name, b, q)
	}
}

func kindOf(name string) string {
	for _, f := range table {
		if f.name == name {
			return f.kind
		}
	}
	return ""
}

func functionFolders(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*/function.json")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range found {
		names = append(names, filepath.Dir(f))
	}
	slices.Sort(names)
	return names
}

func readBinding(t *testing.T, name string) binding {
	t.Helper()
	var file struct {
		Bindings []binding `json:"bindings"`
	}
	readJSON(t, filepath.Join(name, "function.json"), &file)
	if len(file.Bindings) == 0 {
		t.Fatalf("%s: no binding", name)
	}
	return file.Bindings[0]
}

func readQueues(t *testing.T) map[string]queueProperties {
	t.Helper()
	var file struct {
		Queues []queueProperties `json:"queues"`
	}
	readJSON(t, filepath.Join("..", "infra", "queues.json"), &file)
	queues := map[string]queueProperties{}
	for _, q := range file.Queues {
		queues[q.Name] = q
	}
	return queues
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
