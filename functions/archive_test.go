package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"throughline/infra/local/cosmosdb"
	"throughline/shared/graph"
)

// storeAt runs Cosmos DB on a free port and makes it the store of the settings.
func storeAt(t *testing.T) {
	t.Helper()
	s, err := cosmosdb.Start(t.Context(), cosmosdb.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("CosmosConnection", s.ConnectionString())
}

func TestExportAndImportCommands(t *testing.T) {
	storeAt(t)
	s, err := openArchive(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k := graph.StateKey("p", "a")
	for i := range 3 {
		w, err := graph.NewWrite(graph.StateKey("p", fmt.Sprint("a", i)), "k", "", i)
		if err == nil {
			err = s.Write(t.Context(), w)
		}
		if err != nil {
			t.Fatal(err)
		}
		k = w.Key
	}
	file := filepath.Join(t.TempDir(), "graph.ndjson")
	said(t, export, "3 documents in "+file, "", file)
	said(t, export, "", file+" is there already; name a new file", file)
	storeAt(t)
	said(t, imports, "3 documents written, 0 were there already, 0 differ", "", file)
	to, err := openArchive(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if err := to.Write(t.Context(), graph.Write{Key: k, Kind: "k", ETag: graph.Any, Data: []byte(`"mine"`)}); err != nil {
		t.Fatal(err)
	}
	said(t, imports, "0 documents written, 2 were there already, 1 differ", "overwrite it with -replace", file)
	said(t, imports, "1 documents written, 2 were there already, 0 differ", "", "-replace", file)
	cut := filepath.Join(t.TempDir(), "cut.ndjson")
	if err := os.WriteFile(cut, []byte("{\"throughlineArchive\":1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said(t, imports, "", "it is cut off after 0 documents", cut)
	said(t, imports, "", "name one file, like make import FILE=graph.ndjson")
	said(t, export, "", "name one file, like make export FILE=graph.ndjson", "")
}

// said runs a command and looks for what it prints and how it fails; empty: it does not.
func said(t *testing.T, command func(func(string) string, []string, io.Writer) error, printed, failed string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	err := command(os.Getenv, args, &out)
	if !strings.Contains(out.String(), printed) || failed == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), failed) {
		t.Errorf("%v: printed %q, failed %v; want %q, %q", args, out.String(), err, printed, failed)
	}
}
