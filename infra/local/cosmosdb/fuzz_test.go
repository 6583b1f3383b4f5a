package cosmosdb_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"throughline/infra/local/cosmosdb"
)

// sign writes the Authorization header of a request by the published protocol, apart from the server's own code.
func sign(t testing.TB, r *http.Request, kind, link string) {
	t.Helper()
	secret, err := base64.StdEncoding.DecodeString(cosmosdb.EmulatorKey)
	if err != nil {
		t.Fatal(err)
	}
	date := time.Now().UTC().Format(http.TimeFormat)
	h := hmac.New(sha256.New, secret)
	_, _ = io.WriteString(h, strings.ToLower(r.Method)+"\n"+kind+"\n"+link+"\n"+strings.ToLower(date)+"\n\n")
	r.Header.Set("X-Ms-Date", date)
	r.Header.Set("Authorization", url.QueryEscape("type=master&ver=1.0&sig="+base64.StdEncoding.EncodeToString(h.Sum(nil))))
}

// FuzzBody sends hostile bodies, partition keys and continuation tokens to every operation on documents. The server may refuse
// them with 4xx; it must not fail, and a reply with a body is JSON.
func FuzzBody(f *testing.F) {
	for _, seed := range []struct{ op, pk, token, body string }{
		{"create", `["a"]`, "", `{"id":"1","pk":"a"}`},
		{"create", `[{}]`, "", `{"id":""}`},
		{"upsert", `["a"]`, "", `{"id":"1","pk":"a","_etag":1,"ttl":"x"}`},
		{"patch", `["a"]`, "", `{"condition":"from c where c.n = 1","operations":[{"op":"add","path":"/a/-","value":[1]}]}`},
		{"patch", `["a"]`, "", `{"operations":[{"op":"move","from":"/n","path":"/a~1b"},{"op":"incr","path":"/n","value":1e308}]}`},
		{"batch", `["a"]`, "", `[{"operationType":"Upsert","resourceBody":{"id":"1","pk":"a"}},{"operationType":"Read","id":"1"},{"operationType":"Patch","id":"1","resourceBody":{}}]`},
		{"query", `["a"]`, "", `{"query":"SELECT * FROM c WHERE c.n = @n ORDER BY c.n","parameters":[{"name":"@n","value":1}]}`},
		{"query", `[null]`, "e30", `{"query":"SELECT TOP 1 * FROM c"}`},
		{"query", `[]`, "!", `{"query":1}`},
		{"feed", `["a",1]`, `"12"`, ``},
		{"list", ``, "eyJjIjoiIn0", ``},
		{"container", ``, ``, `{"id":"x","partitionKey":{"paths":["/a/\"b\""]},"indexingPolicy":{"compositeIndexes":[[{"path":"/a"}]]}}`},
		{"offer", ``, ``, `{"query":"SELECT * FROM c WHERE c.offerResourceId = 'x'"}`},
	} {
		f.Add(seed.op, seed.pk, seed.token, seed.body)
	}
	s := start(f, "")
	k := container(f, connect(f, s), "graph", "/pk")
	create(f, k, "a", doc{"id": "seed", "pk": "a", "n": 1, "a": []int{1}})
	docs, item := "dbs/db/colls/graph", "dbs/db/colls/graph/docs/seed"
	f.Fuzz(func(t *testing.T, op, pk, token, body string) {
		method, path, kind, link, headers := http.MethodPost, "/"+docs+"/docs", "docs", docs, map[string]string{}
		switch op {
		case "create":
		case "upsert":
			headers["x-ms-documentdb-is-upsert"] = "true"
		case "patch":
			method, path, link = http.MethodPatch, "/"+item, item
		case "batch":
			headers["x-ms-cosmos-is-batch-request"] = "True"
		case "query":
			headers["x-ms-documentdb-query"] = "True"
			headers["x-ms-documentdb-query-enablecrosspartition"] = "true"
			headers["x-ms-continuation"] = token
		case "feed":
			method, headers["A-IM"], headers["If-None-Match"] = http.MethodGet, "Incremental Feed", token
		case "list":
			method, headers["x-ms-continuation"] = http.MethodGet, token
		case "container":
			path, kind, link = "/dbs/db/colls", "colls", "dbs/db"
		case "offer":
			path, kind, link, headers["x-ms-documentdb-query"] = "/offers", "offers", "", "True"
		default:
			return
		}
		r, err := http.NewRequest(method, "http://"+s.Addr()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		headers["x-ms-documentdb-partitionkey"] = pk
		for name, text := range headers {
			if text != "" && !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
				r.Header.Set(name, text)
			}
		}
		sign(t, r, kind, link)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode >= 500 || answer.StatusCode == http.StatusUnauthorized {
			t.Fatalf("%d %s", answer.StatusCode, text)
		}
		if len(text) > 0 && !json.Valid(text) {
			t.Fatalf("%d with a body that is no JSON: %s", answer.StatusCode, text)
		}
	})
}
