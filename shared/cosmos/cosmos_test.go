package cosmos_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"throughline/infra/local/cosmosdb"
	"throughline/shared/cosmos"
	"throughline/shared/graph"
	"throughline/shared/graph/graphtest"
)

// start runs Cosmos DB on a free port.
func start(t *testing.T) *cosmosdb.Server {
	t.Helper()
	s, err := cosmosdb.Start(t.Context(), cosmosdb.Options{Addr: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(t *testing.T, connection, database string) *cosmos.Store {
	t.Helper()
	s, err := cosmos.Open(cosmos.Options{ConnectionString: connection, Database: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestStore(t *testing.T) {
	server := start(t)
	var databases atomic.Int32
	graphtest.Run(t, func(t *testing.T) graph.Store {
		return open(t, server.ConnectionString(), fmt.Sprint("test", databases.Add(1)))
	})
}

func TestStoresMeetInOneDatabase(t *testing.T) {
	connection := start(t).ConnectionString()
	first, second := open(t, connection, "shared"), open(t, connection, "shared")
	k := graph.StateKey("p", "a")
	w, err := graph.NewWrite(k, "k", "", map[string]int{"n": 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if d, err := second.Read(t.Context(), k); err != nil || string(d.Data) != `{"n":1}` {
		t.Fatalf("%s, %v", d.Data, err)
	}
	if first.Charge() < 5 || second.Charge() < 1 {
		t.Errorf("charges %g and %g", first.Charge(), second.Charge())
	}
	if err := second.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
