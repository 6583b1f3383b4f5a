package cosmosdb_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
	"github.com/google/go-cmp/cmp"
)

func TestItem(t *testing.T) {
	for name, dir := range map[string]string{"in memory": "", "on disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			k := container(t, connect(t, start(t, dir)), "graph", "/pk")
			create(t, k, "a", doc{"id": "1", "pk": "a", "n": 1, "text": "x"})

			t.Run("a second create conflicts", func(t *testing.T) {
				_, err := k.CreateItem(ctx, key("a"), doc{"id": "1", "pk": "a"}.json(t), nil)
				wantStatus(t, err, http.StatusConflict)
			})
			t.Run("the same id lives in another partition", func(t *testing.T) {
				create(t, k, "b", doc{"id": "1", "pk": "b", "n": 2})
				r, err := k.ReadItem(ctx, key("b"), "1", nil)
				if err != nil || decode(t, r.Value)["n"] != 2.0 {
					t.Fatalf("%v %s", err, r.Value)
				}
			})
			t.Run("reading gives body, etag, charge", func(t *testing.T) {
				r, err := k.ReadItem(ctx, key("a"), "1", nil)
				if err != nil {
					t.Fatal(err)
				}
				d := decode(t, r.Value)
				if d["n"] != 1.0 || d["text"] != "x" || d["_etag"] != string(r.ETag) || r.RequestCharge < 1 {
					t.Fatalf("%v etag %s charge %v", d, r.ETag, r.RequestCharge)
				}
			})
			t.Run("a stale etag is refused by replace, upsert, patch and delete", func(t *testing.T) {
				r, err := k.ReadItem(ctx, key("a"), "1", nil)
				if err != nil {
					t.Fatal(err)
				}
				old := &azcosmos.ItemOptions{IfMatchEtag: &r.ETag}
				if _, err := k.ReplaceItem(ctx, key("a"), "1", doc{"id": "1", "pk": "a", "n": 5}.json(t), old); err != nil {
					t.Fatal(err)
				}
				_, err = k.ReplaceItem(ctx, key("a"), "1", doc{"id": "1", "pk": "a", "n": 6}.json(t), old)
				wantStatus(t, err, http.StatusPreconditionFailed)
				_, err = k.UpsertItem(ctx, key("a"), doc{"id": "1", "pk": "a", "n": 6}.json(t), old)
				wantStatus(t, err, http.StatusPreconditionFailed)
				var p azcosmos.PatchOperations
				p.AppendSet("/n", 7)
				_, err = k.PatchItem(ctx, key("a"), "1", p, old)
				wantStatus(t, err, http.StatusPreconditionFailed)
				_, err = k.DeleteItem(ctx, key("a"), "1", old)
				wantStatus(t, err, http.StatusPreconditionFailed)
				if r, err = k.ReadItem(ctx, key("a"), "1", nil); err != nil || decode(t, r.Value)["n"] != 5.0 {
					t.Fatalf("%v %s", err, r.Value)
				}
			})
			t.Run("upsert tells created from replaced", func(t *testing.T) {
				for _, want := range []int{http.StatusCreated, http.StatusOK} {
					r, err := k.UpsertItem(ctx, key("a"), doc{"id": "u", "pk": "a"}.json(t), nil)
					if err != nil || r.RawResponse.StatusCode != want {
						t.Fatalf("%v %v, want %d", err, r.RawResponse.StatusCode, want)
					}
				}
			})
			t.Run("what is not there is 404", func(t *testing.T) {
				_, err := k.ReadItem(ctx, key("a"), "none", nil)
				wantStatus(t, err, http.StatusNotFound)
				_, err = k.ReplaceItem(ctx, key("a"), "none", doc{"id": "none", "pk": "a"}.json(t), nil)
				wantStatus(t, err, http.StatusNotFound)
				_, err = k.DeleteItem(ctx, key("a"), "none", nil)
				wantStatus(t, err, http.StatusNotFound)
			})
			t.Run("a partition key unlike the document's is 400", func(t *testing.T) {
				_, err := k.CreateItem(ctx, key("other"), doc{"id": "9", "pk": "a"}.json(t), nil)
				wantStatus(t, err, http.StatusBadRequest)
			})
			t.Run("deleting ends it", func(t *testing.T) {
				if _, err := k.DeleteItem(ctx, key("a"), "1", nil); err != nil {
					t.Fatal(err)
				}
				_, err := k.ReadItem(ctx, key("a"), "1", nil)
				wantStatus(t, err, http.StatusNotFound)
			})
		})
	}
}

func TestPatch(t *testing.T) {
	ctx := context.Background()
	k := container(t, connect(t, start(t, "")), "graph", "/pk")
	create(t, k, "a", doc{"id": "1", "pk": "a", "n": 1, "list": []int{1, 2, 3}, "deep": doc{"x": 1}, "gone": true})
	var p azcosmos.PatchOperations
	p.SetCondition("from c where c.n = 1 and c.gone = true")
	p.AppendIncrement("/n", 4)
	p.AppendSet("/deep/y", "new")
	p.AppendReplace("/deep/x", 2)
	p.AppendAdd("/list/1", 9)
	p.AppendAdd("/list/-", 7)
	p.AppendRemove("/gone")
	r, err := k.PatchItem(ctx, key("a"), "1", p, &azcosmos.ItemOptions{EnableContentResponseOnWrite: true})
	if err != nil {
		t.Fatal(err)
	}
	got := decode(t, r.Value)
	for _, name := range []string{"_rid", "_self", "_etag", "_attachments", "_ts"} {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s in the answer", name)
		}
		delete(got, name)
	}
	want := doc{"id": "1", "pk": "a", "n": 5.0, "list": []any{1.0, 9.0, 2.0, 3.0, 7.0}, "deep": map[string]any{"x": 2.0, "y": "new"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	_, err = k.PatchItem(ctx, key("a"), "1", p, nil)
	wantStatus(t, err, http.StatusPreconditionFailed)

	var bad azcosmos.PatchOperations
	bad.AppendSet("/n", 100)
	bad.AppendReplace("/missing", 1)
	_, err = k.PatchItem(ctx, key("a"), "1", bad, nil)
	wantStatus(t, err, http.StatusBadRequest)
	if r, err := k.ReadItem(ctx, key("a"), "1", nil); err != nil || decode(t, r.Value)["n"] != 5.0 {
		t.Fatalf("half a patch was kept: %v %s", err, r.Value)
	}
	var move azcosmos.PatchOperations
	move.AppendSet("/pk", "b")
	_, err = k.PatchItem(ctx, key("a"), "1", move, nil)
	wantStatus(t, err, http.StatusBadRequest)
}

func TestBatch(t *testing.T) {
	ctx := context.Background()
	k := container(t, connect(t, start(t, "")), "graph", "/pk")
	create(t, k, "a", doc{"id": "old", "pk": "a", "n": 1})
	old, err := k.ReadItem(ctx, key("a"), "old", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("all or nothing", func(t *testing.T) {
		stale := azcore.ETag(`"not-the-etag"`)
		b := k.NewTransactionalBatch(key("a"))
		b.CreateItem(doc{"id": "new", "pk": "a"}.json(t), nil)
		b.DeleteItem("old", nil)
		b.ReplaceItem("new", doc{"id": "new", "pk": "a", "n": 2}.json(t), &azcosmos.TransactionalBatchItemOptions{IfMatchETag: &stale})
		r, err := k.ExecuteTransactionalBatch(ctx, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		var codes []int32
		for _, o := range r.OperationResults {
			codes = append(codes, o.StatusCode)
		}
		if diff := cmp.Diff([]int32{424, 424, 412}, codes); diff != "" || r.Success || r.RawResponse.StatusCode != http.StatusMultiStatus {
			t.Fatalf("%s success %v status %d", diff, r.Success, r.RawResponse.StatusCode)
		}
		_, err = k.ReadItem(ctx, key("a"), "new", nil)
		wantStatus(t, err, http.StatusNotFound)
		if again, err := k.ReadItem(ctx, key("a"), "old", nil); err != nil || again.ETag != old.ETag {
			t.Fatalf("%v %s", err, again.ETag)
		}
	})
	t.Run("operations see each other", func(t *testing.T) {
		b := k.NewTransactionalBatch(key("a"))
		b.CreateItem(doc{"id": "new", "pk": "a", "n": 1}.json(t), nil)
		var p azcosmos.PatchOperations
		p.AppendIncrement("/n", 1)
		b.PatchItem("new", p, nil)
		b.ReadItem("new", nil)
		b.DeleteItem("old", &azcosmos.TransactionalBatchItemOptions{IfMatchETag: &old.ETag})
		r, err := k.ExecuteTransactionalBatch(ctx, b, nil)
		if err != nil || !r.Success {
			t.Fatalf("%v %+v", err, r)
		}
		if n := decode(t, r.OperationResults[2].ResourceBody)["n"]; n != 2.0 {
			t.Fatalf("n = %v", n)
		}
		if r.RequestCharge < 15 {
			t.Fatalf("four operations cost %v", r.RequestCharge)
		}
	})
}
