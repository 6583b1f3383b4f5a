package cosmosdb_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
	"github.com/google/go-cmp/cmp"
)

func TestQuery(t *testing.T) {
	k := container(t, connect(t, start(t, "")), "graph", "/pk")
	for i := range 10 {
		create(t, k, "p", doc{"id": fmt.Sprint(i), "pk": "p", "kind": []string{"alert", "edge"}[i%2], "rank": (i * 7) % 10, "remediation": "r1",
			"tags": []string{"t" + fmt.Sprint(i%3)}, "maybe": map[bool]any{true: nil, false: i}[i == 4]})
	}
	create(t, k, "q", doc{"id": "other", "pk": "q", "kind": "alert", "rank": 0})
	param := func(pairs ...any) []azcosmos.QueryParameter {
		var list []azcosmos.QueryParameter
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, azcosmos.QueryParameter{Name: pairs[i].(string), Value: pairs[i+1]})
		}
		return list
	}
	for _, c := range []struct {
		query  string
		params []azcosmos.QueryParameter
		want   []string
	}{
		{"SELECT * FROM c WHERE c.kind = @kind AND c.remediation = @r ORDER BY c.rank ASC", param("@kind", "alert", "@r", "r1"), []string{"0", "6", "2", "8", "4"}},
		{"SELECT * FROM c WHERE c.kind = @kind ORDER BY c.rank DESC", param("@kind", "edge"), []string{"7", "1", "5", "9", "3"}},
		{"SELECT * FROM c WHERE STARTSWITH(c.kind, 'al') AND c.rank > 4", nil, []string{"4", "8"}},
		{"SELECT * FROM c WHERE CONTAINS(c.kind, 'DG', true) AND NOT c.rank < 5", nil, []string{"1", "5", "7"}},
		{"SELECT * FROM c WHERE ARRAY_CONTAINS(c.tags, 't1')", nil, []string{"1", "4", "7"}},
		{"SELECT * FROM c WHERE c.id IN ('3', '9', 'x')", nil, []string{"3", "9"}},
		{"SELECT * FROM c WHERE c.rank = 3 OR c.rank = 7", nil, []string{"1", "9"}},
		{"SELECT * FROM c WHERE c.maybe = null", nil, []string{"4"}},
		{"SELECT * FROM c WHERE c.none != 1", nil, []string{}},
		{"SELECT * FROM c WHERE NOT (c.none = 1)", nil, []string{}},
		{"SELECT * FROM c ORDER BY c.id OFFSET 3 LIMIT 2", nil, []string{"3", "4"}},
		{"SELECT TOP 2 * FROM c ORDER BY c.id DESC", nil, []string{"9", "8"}},
		{"SELECT c.id FROM c WHERE c.rank BETWEEN 2 AND 3", nil, []string{"6", "9"}},
		{"SELECT c.id FROM c JOIN t IN c.tags WHERE t = 't2'", nil, []string{"2", "5", "8"}},
		{"SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t = 't2')", nil, []string{"2", "5", "8"}},
	} {
		t.Run(c.query, func(t *testing.T) {
			for _, size := range []int32{0, 1, 3} {
				got, _ := ids(t, k, key("p"), c.query, &azcosmos.QueryOptions{QueryParameters: c.params, PageSizeHint: size})
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Fatalf("page size %d: %s", size, diff)
				}
			}
		})
	}
}

func TestQueryCounts(t *testing.T) {
	k := container(t, connect(t, start(t, "")), "graph", "/pk")
	for i := range 7 {
		create(t, k, "p", doc{"id": fmt.Sprint(i), "pk": "p", "n": i})
	}
	for query, want := range map[string]string{
		"SELECT VALUE COUNT(1) FROM c WHERE c.n > 2":             "4",
		"SELECT COUNT(1) AS n, SUM(c.n) AS s FROM c":             `{"n":7,"s":21}`,
		"SELECT VALUE MAX(c.n) FROM c":                           "6",
		"SELECT VALUE COUNT(1) FROM c WHERE c.id = 'none'":       "0",
		"SELECT VALUE {'id': c.id, 'n': c.n} FROM c WHERE c.n=2": `{"id":"2","n":2}`,
	} {
		p, err := k.NewQueryItemsPager(query, key("p"), nil).NextPage(context.Background())
		if err != nil || len(p.Items) != 1 || string(p.Items[0]) != want {
			t.Errorf("%s: %q %v, want %s", query, p.Items, err, want)
		}
	}
}

func TestQueryRefused(t *testing.T) {
	k := container(t, connect(t, start(t, "")), "graph", "/pk")
	create(t, k, "p", doc{"id": "1", "pk": "p"})
	for _, query := range []string{
		"", "SELECT", "SELECT * FROM", "SELEKT * FROM c", "SELECT * FROM c WHERE", "SELECT * FROM c WHERE c.a =", "SELECT * FROM c WHERE c.a = 'x",
		"SELECT * FROM c WHERE NOSUCH(c.a)", "SELECT * FROM c WHERE d.a = 1", "SELECT * FROM c ORDER BY", "SELECT * FROM c extra words",
		"SELECT * FROM c WHERE c.a = @missing", "SELECT * FROM c; DROP", "SELECT c.value FROM c", "SELECT * FROM c ORDER BY c.a, c.b", "SELECT * FROM c WHERE COUNT(1) > 0",
	} {
		_, err := k.NewQueryItemsPager(query, key("p"), nil).NextPage(context.Background())
		if got := status(err); got != http.StatusBadRequest {
			t.Errorf("%q: status %d, want 400 (%v)", query, got, err)
		}
	}
	for _, query := range []string{"SELECT * FROM c ORDER BY c.id", "SELECT VALUE COUNT(1) FROM c", "SELECT TOP 1 * FROM c", "SELECT DISTINCT c.id FROM c", "SELECT * FROM c WHERE c.pk = 'p' OR c.id = '1' ORDER BY c.id"} {
		_, err := k.NewQueryItemsPager(query, azcosmos.NewPartitionKey(), nil).NextPage(context.Background())
		if got := status(err); got != http.StatusBadRequest {
			t.Errorf("across partitions %q: status %d, want 400 (%v)", query, got, err)
		}
	}
}
