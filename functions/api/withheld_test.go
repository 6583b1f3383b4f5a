package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

func TestApprovalIsNotedAndTheScopeReadAgain(t *testing.T) {
	store, now := graph.NewMemory(), time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	w, err := graph.NewWrite(graph.WithheldKey("azure workloads"), graph.KindWithheld, graph.Any, graph.Withheld{Scope: "azure workloads", Missing: 300, Held: 400, At: now})
	if err == nil {
		err = store.Write(context.Background(), w)
	}
	if err != nil {
		t.Fatal(err)
	}
	var said []event.Event
	a := &API{Store: store, Now: func() time.Time { return now }, Publish: func(_ context.Context, all []event.Event) error {
		said = append(said, all...)
		return nil
	}}
	ask := func(body string) error {
		_, err := a.letRetire(httptest.NewRequest(http.MethodPost, "/api/withheld/approve", strings.NewReader(body)))
		return err
	}
	if err := ask(`{"scope":"azure findings"}`); err == nil || len(said) != 0 {
		t.Errorf("nothing waits there: %v, %d said", err, len(said))
	}
	if err := ask(`{}`); err == nil {
		t.Error("an approval of nothing is taken")
	}
	if err := ask(`{"scope":"azure workloads"}`); err != nil {
		t.Fatal(err)
	}
	all, err := graph.AllWithheld(context.Background(), store)
	if err != nil || len(all) != 1 || !all[0].Covers(300, now) || all[0].Covers(400, now) || all[0].Covers(300, now.Add(25*time.Hour)) {
		t.Errorf("%+v, %v", all, err)
	}
	var c graph.Collection
	if len(said) != 1 || said[0].Into(&c) != nil || c.Source != "azure" || c.Scope != "workloads" || c.Run == "" {
		t.Errorf("said %+v", said)
	}
}
