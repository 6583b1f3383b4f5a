package cosmos_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"throughline/shared/cosmos"
	"throughline/shared/graph"
)

// filled is a store with documents in many partitions of every container.
func filled(t *testing.T, connection string) *cosmos.Store {
	t.Helper()
	s := open(t, connection, "from")
	for i := range 1200 {
		c := []graph.Container{graph.GraphContainer, graph.WorklistContainer, graph.StateContainer}[i%3]
		k := graph.Key{Container: c, Partition: fmt.Sprint("p", i%50), ID: fmt.Sprintf("a/%d ~ é <&>", i)}
		keep(t, s, k, map[string]any{"n": i, "text": strings.Repeat("x", i)})
	}
	return s
}

func keep(t *testing.T, s *cosmos.Store, k graph.Key, noun any) {
	t.Helper()
	w, err := graph.NewWrite(k, "kind", graph.Any, noun)
	if err == nil {
		err = s.Write(t.Context(), w)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func exported(t *testing.T, s *cosmos.Store) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := s.Export(t.Context(), &b)
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(b.Bytes(), []byte("\n")); lines != n+2 {
		t.Fatalf("%d documents in %d lines", n, lines)
	}
	return b.Bytes()
}

func imported(t *testing.T, s *cosmos.Store, archive []byte, replace bool, want cosmos.Imported) {
	t.Helper()
	got, err := s.Import(t.Context(), bytes.NewReader(archive), replace)
	if err != nil || got != want {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
}

func TestAnArchiveComesBack(t *testing.T) {
	connection := start(t).ConnectionString()
	archive := exported(t, filled(t, connection))
	to := open(t, connection, "to")
	imported(t, to, archive, false, cosmos.Imported{Written: 1200})
	again := exported(t, to)
	if sorted(again) != sorted(archive) {
		t.Error("what was imported is not what was exported")
	}
	imported(t, to, archive, false, cosmos.Imported{Same: 1200})
	k := graph.Key{Container: graph.GraphContainer, Partition: "p0", ID: "a/0 ~ é <&>"}
	keep(t, to, k, map[string]any{"n": "changed"})
	imported(t, to, archive, false, cosmos.Imported{Same: 1199, Kept: 1})
	if d, err := to.Read(t.Context(), k); err != nil || string(d.Data) != `{"n":"changed"}` {
		t.Errorf("what was there is now %s, %v", d.Data, err)
	}
	imported(t, to, archive, true, cosmos.Imported{Same: 1199, Written: 1})
	if d, err := to.Read(t.Context(), k); err != nil || string(d.Data) != `{"n":0,"text":""}` {
		t.Errorf("what was replaced is %s, %v", d.Data, err)
	}
}

func sorted(archive []byte) string {
	list := strings.Split(string(archive), "\n")
	byLine := map[string]int{}
	for _, l := range list {
		byLine[l]++
	}
	return fmt.Sprint(len(list), byLine)
}

func TestASpoiledArchiveWritesNothing(t *testing.T) {
	connection := start(t).ConnectionString()
	s := open(t, connection, "from")
	keep(t, s, graph.StateKey("p", "1"), 1)
	keep(t, s, graph.StateKey("p", "2"), 2)
	whole := string(exported(t, s))
	lines := strings.SplitAfter(whole, "\n")
	databases := 0
	for name, c := range map[string]struct{ text, want string }{
		"empty":         {"", "cut off after 0 documents"},
		"cut":           {strings.Join(lines[:3], ""), "cut off after 2 documents"},
		"cut in a line": {whole[:len(whole)-len(lines[3])-5], "line 3: unexpected EOF"},
		"a line less":   {lines[0] + lines[1] + lines[3], "line 3: it should hold 2 documents and holds 1"},
		"a line more":   {whole + lines[1], "line 5: text after the end"},
		"another file":  {`{"items":[]}` + "\n", "line 1: "},
		"no head":       {strings.Join(lines[1:], ""), "line 1: this is no archive"},
		"newer form":    {strings.Replace(whole, `"throughlineArchive":1`, `"throughlineArchive":2`, 1), "line 1: form 2 was written by a newer version"},
		"newer noun":    {strings.Replace(whole, `"v":1`, `"v":9`, 1), "form 9 was written by a newer version"},
		"no data":       {strings.Replace(whole, `"data":1`, `"data":null`, 1), "holds no data"},
		"no such place": {strings.Replace(whole, `"container":"state"`, `"container":"elsewhere"`, 1), `container "elsewhere" does not exist`},
		"empty line":    {lines[0] + "{}\n" + lines[3], "line 2: neither a document nor the end"},
	} {
		t.Run(name, func(t *testing.T) {
			databases++
			to := open(t, connection, fmt.Sprint("to", databases))
			got, err := to.Import(t.Context(), strings.NewReader(c.text), false)
			if err == nil || !strings.Contains(err.Error(), c.want) || got != (cosmos.Imported{}) {
				t.Errorf("%+v, %v; want %q", got, err, c.want)
			}
			if _, err := to.Read(t.Context(), graph.StateKey("p", "1")); !errors.Is(err, graph.ErrNotFound) {
				t.Errorf("a document was written: %v", err)
			}
		})
	}
}
