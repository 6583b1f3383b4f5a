package demo_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"runtime"
	"testing"

	"throughline/infra/local/demo"
)

// TestLargeEstateIsReadToTheEnd reads every list of the large estate as a full resync does, in as many requests as the
// floor allows, and holds the memory of both stand-ins and the test together to a bound.
func TestLargeEstateIsReadToTheEnd(t *testing.T) {
	if os.Getenv("THROUGHLINE_LONG") == "" {
		t.Skip("set THROUGHLINE_LONG=1 for the large estate")
	}
	d := start(t, func(o *demo.Options) { o.Estate = "large" })
	c := newUnchecked(t, d)
	for path, want := range map[string]struct{ items, pages int }{
		"/orgs/throughline-demo/repos?per_page=100":                                              {2000, 20},
		"/orgs/throughline-demo/properties/values?per_page=100":                                  {2000, 20},
		"/orgs/throughline-demo/code-scanning/alerts?per_page=100&state=open":                    {40_000, 400},
		"/orgs/throughline-demo/dependabot/alerts?per_page=100&state=open":                       {18_000, 180},
		"/orgs/throughline-demo/secret-scanning/alerts?per_page=100&state=open&hide_secret=true": {2000, 20},
	} {
		items, pages := readAll(t, c, d.GitHubURL()+path)
		if items != want.items || pages != want.pages {
			t.Errorf("%s: %d items on %d pages, want %d on %d", path, items, pages, want.items, want.pages)
		}
	}
	unlimited(t, d)
	const kql = assessments + "| where properties.metadata.recommendationCategory =~ 'SoftwareUpdate' | project id, properties | order by id asc"
	total, read, last := 0, 0, ""
	options := []any{"$top", 1000}
	for {
		page, status := query(t, d, kql, options...)
		if status != 200 {
			t.Fatal(status)
		}
		for _, r := range page.list(t) {
			if id := r["id"].(string); id <= last {
				t.Fatalf("%s comes after %s", id, last)
			} else {
				last = id
			}
		}
		total, read = page.Total, read+page.Count
		if page.Token == "" {
			break
		}
		options = []any{"$top", 1000, "$skipToken", page.Token}
	}
	if read != total || total < 50_000 {
		t.Errorf("read %d of %d assessments", read, total)
	}
	x := d.Expected()
	if x.Alerts != 60_000 || x.Repositories != 2000 || x.Images != 10_000 || x.Workloads != 50_000 || x.Attested != 5000 {
		t.Errorf("%d alerts, %d repositories, %d images (%d attested), %d workloads", x.Alerts, x.Repositories, x.Images, x.Attested, x.Workloads)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 256<<20 {
		t.Errorf("%d MB are in use", m.HeapAlloc>>20)
	}
}

func readAll(t *testing.T, c *http.Client, url string) (items, pages int) {
	t.Helper()
	for url != "" {
		r, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r.Body)
		r.Body.Close()
		var list []json.RawMessage
		if err == nil {
			err = json.Unmarshal(raw, &list)
		}
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%s: %s %v", url, r.Status, err)
		}
		items, pages, url = items+len(list), pages+1, ""
		if m := nextLink.FindStringSubmatch(r.Header.Get("Link")); m != nil {
			url = m[1]
		}
	}
	return items, pages
}
