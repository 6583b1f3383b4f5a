package feeds

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"throughline/shared/graph"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// stand publishes the feeds as their publishers do.
type stand struct {
	*httptest.Server
	bodies map[Feed][]byte
	tag    int
	asked  int
	sent   int
	cut    int // bytes to leave off without saying so
}

func newStand(t *testing.T) *stand {
	s := &stand{bodies: map[Feed][]byte{KEV: kevOf(100), EPSS: epssOf("2026-11-20", 100, 0.5), Vulnrichment: archiveOf(t, 100)}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked++
		tag := fmt.Sprintf(`"%d"`, s.tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		body := s.bodies[Feed(strings.TrimPrefix(r.URL.Path, "/"))]
		w.Header().Set("ETag", tag)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		s.sent++
		_, _ = w.Write(body[:len(body)-s.cut])
	}))
	t.Cleanup(s.Close)
	return s
}

func kevOf(n int) []byte {
	var entries []string
	for i := range n {
		entries = append(entries, fmt.Sprintf(`{"cveID":"CVE-2024-%05d","dateAdded":"2024-05-01"}`, 10000+i))
	}
	return []byte(fmt.Sprintf(`{"catalogVersion":"2026.11.20","dateReleased":"2026-11-20T15:00:00Z","count":%d,"vulnerabilities":[%s]}`, n, strings.Join(entries, ",")))
}

func epssOf(day string, n int, value float64) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprintf(z, "#model_version:v2025.03.14,score_date:%sT12:55:00Z\ncve,epss,percentile\n", day)
	for i := range n {
		fmt.Fprintf(z, "CVE-2024-%05d,%.5f,0.5\n", 10000+i, value)
	}
	z.Close()
	return b.Bytes()
}

func archiveOf(t testing.TB, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "0123456789abcdef0123456789abcdef01234567"}}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		id := fmt.Sprintf("CVE-2024-%05d", 10000+i)
		raw := fmt.Sprintf(`{"cveMetadata":{"cveId":%q},"containers":{"adp":[{"metrics":[{"other":{"type":"ssvc","content":{"timestamp":"2026-11-18T09:00:00Z","options":[{"Exploitation":"none"},{"Automatable":"yes"},{"Technical Impact":"partial"}]}}}]}]}}`, id)
		if err := w.WriteHeader(&tar.Header{Name: "vulnrichment-develop/2024/10xxx/" + id + ".json", Size: int64(len(raw)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	z.Close()
	return b.Bytes()
}

// world is a source with its store and shelf.
type world struct {
	*Source
	t     *testing.T
	store *graph.Memory
	shelf *Shelf
	now   time.Time
}

func newWorld(t *testing.T, dir string, s *stand) *world {
	w := &world{t: t, store: graph.NewMemory(), now: noon}
	w.Source = &Source{Store: w.store, Dir: dir, Window: func() int { return 30 }, Thresholds: func() []float64 { return []float64{0.03, 0.10} },
		Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler)}
	if s != nil {
		w.Addresses = map[Feed]string{}
		for _, f := range All {
			w.Addresses[f] = s.URL + "/" + string(f)
		}
	}
	w.shelf = &Shelf{Store: w.store, Now: w.Now}
	return w
}

// collect reads a scope with all that it calls for, and gives the findings it named.
func (w *world) collect(scope string) ([]graph.FindingID, error) {
	w.t.Helper()
	var named []graph.FindingID
	var faults error
	todo := []graph.Collection{{Source: "feeds", Scope: scope}}
	for n := 0; len(todo) > 0; n++ {
		if n > 1000 {
			w.t.Fatal("the collection does not end")
		}
		c := todo[0]
		got, err := w.Read(context.Background(), c)
		faults = errors.Join(faults, err)
		todo = append(todo[1:], got.Follow...)
		if got.Next != "" {
			c.Cursor = got.Next
			todo = append(todo, c)
		}
		for _, l := range got.Lagging {
			named = append(named, l.Findings...)
		}
	}
	if err := w.shelf.Refresh(context.Background(), true); err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(named)
	return slices.Compact(named), faults
}

func (w *world) list(id graph.FindingID, cves ...string) {
	w.t.Helper()
	w.put(graph.StateKey(graph.OrgsPartition, "github-org-1"), "org", graph.Org{ID: "github-org-1", Login: "shop"})
	if err := graph.SaveSummary(context.Background(), w.store, graph.Summary{ID: id, Org: "github-org-1", Repository: "github-1", State: graph.Open, CVEs: cves, Rank: string(id)}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(k graph.Key, kind graph.Kind, v any) {
	w.t.Helper()
	write, err := graph.NewWrite(k, kind, graph.Any, v)
	if err == nil {
		err = w.store.Write(context.Background(), write)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestSampleFolderIsReadWithoutNetwork(t *testing.T) {
	w := newWorld(t, "testdata/sample", nil)
	w.Client = &http.Client{Transport: noNetwork{t}}
	if _, err := w.collect("all"); err != nil {
		t.Fatal(err)
	}
	f := w.shelf.Look("CVE-2021-44228")
	if !f.KEV.Listed || f.KEV.Added.Format(time.DateOnly) != "2021-12-10" || f.EPSS.Highest != 0.94358 || f.SSVC != (SSVC{"active", "yes", "total"}) {
		t.Errorf("Log4Shell: %+v", f)
	}
	if f := w.shelf.Look("CVE-2024-6387"); f.EPSS.Highest != 0.6112 || f.KEV.Listed || f.SSVC.Exploitation != "poc" {
		t.Errorf("the highest value of the window is yesterday's 0.6112: %+v", f)
	}
	if f := w.shelf.Look("CVE-1999-0001"); !f.KEV.Known || f.KEV.Listed || f.EPSS.Known || f.SSVC != (SSVC{}) {
		t.Errorf("a CVE of which the feeds know nothing: %+v", f)
	}
	for feed, want := range map[Feed]string{KEV: "2026.11.20", EPSS: "2026-11-20/v4"} {
		if h := w.shelf.Head(feed); h.Edition.Version != want || h.Alarm != "" || h.Age(noon) <= 0 {
			t.Errorf("%s: %+v", feed, h)
		}
	}
	if h := w.shelf.Head(Vulnrichment); !strings.HasPrefix(h.Edition.Version, "folder-") || h.Edition.Date.Format(time.DateOnly) != "2026-11-18" {
		t.Errorf("Vulnrichment: %+v", h)
	}
}

type noNetwork struct{ t *testing.T }

func (n noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("asked %s although there is a folder", r.URL)
	return nil, errors.New("no network")
}

func TestBadEditionsLeaveTheLastGoodOneInForceWithAnAlarm(t *testing.T) {
	good := newStand(t)
	flip := func(b []byte) []byte { c := bytes.Clone(b); c[len(c)/2] ^= 0xff; return c }
	half := func(b []byte) []byte { return b[:len(b)/2] }
	for _, feed := range All {
		grow := map[Feed][]byte{KEV: kevOf(1000), EPSS: epssOf("2026-11-21", 1000, 0.5), Vulnrichment: archiveOf(t, 1000)}[feed]
		shrink := map[Feed][]byte{KEV: kevOf(10), EPSS: epssOf("2026-11-21", 10, 0.5), Vulnrichment: archiveOf(t, 10)}[feed]
		for name, bad := range map[string][]byte{
			"corrupt": flip(good.bodies[feed]), "truncated": half(good.bodies[feed]), "empty": {}, "a page of HTML": []byte("<html>maintenance</html>"),
			"ten times larger": grow, "ten times smaller": shrink, "no entries": map[Feed][]byte{KEV: kevOf(0), EPSS: epssOf("2026-11-21", 0, 0), Vulnrichment: archiveOf(t, 0)}[feed],
		} {
			t.Run(string(feed)+"/"+name, func(t *testing.T) {
				s := newStand(t)
				w := newWorld(t, "", s)
				if _, err := w.collect("all"); err != nil {
					t.Fatal(err)
				}
				before, facts := w.shelf.Head(feed), w.shelf.Look("CVE-2024-10042")
				s.bodies[feed], s.tag = bad, 1
				w.now = w.now.Add(time.Hour)
				_, err := w.collect(string(feed))
				var refused *Refused
				if !errors.As(err, &refused) || !refused.Permanent() {
					t.Fatalf("got %v, want a refusal", err)
				}
				after := w.shelf.Head(feed)
				if after.Blob != before.Blob || after.Edition != before.Edition || w.shelf.Look("CVE-2024-10042") != facts {
					t.Errorf("the edition in force changed: %+v", after)
				}
				if after.Alarm == "" || !after.AlarmAt.Equal(w.now) {
					t.Errorf("no alarm: %+v", after)
				}
				s.bodies[feed], s.tag = good.bodies[feed], 2
				if _, err := w.collect(string(feed)); err != nil || w.shelf.Head(feed).Alarm != "" {
					t.Errorf("a good edition does not end the alarm: %v, %+v", err, w.shelf.Head(feed))
				}
			})
		}
	}
}

func TestCutAnswerIsRefused(t *testing.T) {
	s := newStand(t)
	s.cut = 7
	w := newWorld(t, "", s)
	if _, err := w.collect("kev"); err == nil {
		t.Error("an answer shorter than its Content-Length was taken")
	}
	if h := w.shelf.Head(KEV); h.Alarm == "" || h.Blob != "" {
		t.Errorf("%+v", h)
	}
	s.Close()
	if _, err := w.collect("kev"); err == nil || w.shelf.Head(KEV).Alarm == "" {
		t.Errorf("an address that does not answer: %v", err)
	}
}

func TestUnchangedFeedIsNeitherSentNorWritten(t *testing.T) {
	s := newStand(t)
	w := newWorld(t, "", s)
	if _, err := w.collect("all"); err != nil {
		t.Fatal(err)
	}
	sent, writes := s.sent, w.store.Writes()
	if _, err := w.collect("all"); err != nil {
		t.Fatal(err)
	}
	if s.sent != sent || s.asked != 6 || w.store.Writes() != writes {
		t.Errorf("asked %d times, sent %d more, wrote %d more", s.asked, s.sent-sent, w.store.Writes()-writes)
	}
}

func TestChangeNamesOnlyTheFindingsWithThatCVE(t *testing.T) {
	s := newStand(t)
	w := newWorld(t, "", s)
	w.list("github-1-dependabot-1", "CVE-2024-10001")
	w.list("github-1-dependabot-2", "CVE-2024-10002", "CVE-2030-0001")
	w.list("github-1-dependabot-3", "CVE-2030-0002")
	w.list("github-1-secret_scanning-4")
	named, err := w.collect("all")
	if want := []graph.FindingID{"github-1-dependabot-1", "github-1-dependabot-2"}; err != nil || !slices.Equal(named, want) {
		t.Errorf("the first editions name %v, %v, want %v", named, err, want)
	}
	if named, err := w.collect("all"); err != nil || len(named) > 0 {
		t.Errorf("nothing changed and %v are named, %v", named, err)
	}
	day := epssOf("2026-11-21", 101, 0.5) // one more, and no other changes its level
	s.bodies[EPSS], s.tag = day, 1
	w.list("github-1-dependabot-5", "CVE-2024-10100")
	named, err = w.collect("epss")
	if want := []graph.FindingID{"github-1-dependabot-5"}; err != nil || !slices.Equal(named, want) {
		t.Errorf("the new CVE names %v, %v, want %v", named, err, want)
	}
}

func TestChangeSurvivesACrashBeforeItWasSaid(t *testing.T) {
	s := newStand(t)
	w := newWorld(t, "", s)
	w.list("github-1-dependabot-1", "CVE-2024-10001")
	if _, err := w.Read(context.Background(), graph.Collection{Source: "feeds", Scope: "kev"}); err != nil {
		t.Fatal(err) // what it follows is lost
	}
	if _, err := w.Read(context.Background(), graph.Collection{Source: "feeds", Scope: "changes"}); err != nil {
		t.Fatal(err) // and so is the page
	}
	if named, err := w.collect("kev"); err != nil || len(named) != 1 {
		t.Errorf("after the crash %v are named, %v", named, err)
	}
	left, err := w.pending(context.Background())
	if err != nil || len(left) != 0 {
		t.Errorf("still to do: %+v, %v", left, err)
	}
}

func TestHighestOfTheWindowLeavesWithItsDay(t *testing.T) {
	s := newStand(t)
	w := newWorld(t, "", s)
	days := []struct {
		day   string
		value float64
		want  float64
	}{{"2026-10-01", 0.2, 0.2}, {"2026-10-02", 0.9, 0.9}, {"2026-10-03", 0.1, 0.9}, {"2026-10-20", 0.05, 0.9}, {"2026-10-31", 0.01, 0.9}, {"2026-11-01", 0.01, 0.1}, {"2026-11-20", 0.01, 0.01}}
	for i, d := range days {
		s.bodies[EPSS], s.tag = epssOf(d.day, 100, d.value), i
		if _, err := w.collect("epss"); err != nil {
			t.Fatal(err)
		}
		if got := w.shelf.Look("CVE-2024-10007").EPSS.Highest; got != d.want {
			t.Errorf("on %s the highest of 30 days is %v, want %v", d.day, got, d.want)
		}
	}
	s.bodies[EPSS], s.tag = epssOf("2026-11-01", 100, 0.99), 99
	if _, err := w.collect("epss"); err != nil || w.shelf.Look("CVE-2024-10007").EPSS.Highest != 0.01 {
		t.Errorf("an older day changed the table: %v", err)
	}
}

func TestVersionChangesOnlyWithItsOwnCVEs(t *testing.T) {
	s := newStand(t)
	w := newWorld(t, "", s)
	levels := w.Thresholds()
	if v := w.shelf.Version([]string{"CVE-2024-10001"}, levels); v != "" {
		t.Errorf("nothing is known and the version is %q", v)
	}
	if _, err := w.collect("all"); err != nil {
		t.Fatal(err)
	}
	one, far := w.shelf.Version([]string{"CVE-2024-10001"}, levels), w.shelf.Version([]string{"CVE-2030-0001", "GHSA-x"}, levels)
	if one == "" || far != "" {
		t.Errorf("versions %q and %q", one, far)
	}
	s.bodies[EPSS], s.tag = epssOf("2026-11-21", 100, 0.6), 1
	s.bodies[KEV] = kevOf(101)
	if _, err := w.collect("all"); err != nil {
		t.Fatal(err)
	}
	if got := w.shelf.Version([]string{"CVE-2024-10001"}, levels); got != one {
		t.Error("a value that crosses no threshold changes the version")
	}
	s.bodies[KEV], s.tag = []byte(strings.Replace(string(kevOf(101)), "CVE-2024-10001", "CVE-2023-10001", 1)), 2
	if _, err := w.collect("kev"); err != nil {
		t.Fatal(err)
	}
	if got := w.shelf.Version([]string{"CVE-2024-10001"}, levels); got == one {
		t.Error("it left KEV and the version is the same")
	}
}

func TestLargeChangeGoesThroughTheWorklistOnce(t *testing.T) {
	w := newWorld(t, "testdata/sample", nil)
	for i := range 1200 {
		w.list(graph.FindingID(fmt.Sprintf("github-1-dependabot-%d", i+1)), fmt.Sprintf("CVE-2024-%05d", 20000+i))
	}
	if err := NoteChange(context.Background(), w.store, Change{ID: "policy-x", Cause: "policy"}); err != nil {
		t.Fatal(err)
	}
	named, err := w.collect("changes")
	if err != nil || len(named) != 1200 {
		t.Errorf("%d findings named, %v, want all 1200", len(named), err)
	}
}

func TestReadRefusesWhatItDoesNotKnow(t *testing.T) {
	w := newWorld(t, "testdata/sample", nil)
	if _, err := w.collect("nvd"); err == nil {
		t.Error("an unknown feed was read")
	}
	if err := NoteChange(context.Background(), w.store, Change{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Read(context.Background(), graph.Collection{Source: "feeds", Scope: "changes", Cursor: "garbage"}); err == nil {
		t.Error("a garbled cursor was taken")
	}
	w.Dir = t.TempDir()
	if _, err := w.collect("kev"); err == nil || !strings.Contains(err.Error(), "known_exploited_vulnerabilities.json") {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestHeadsTellPeopleTheAge(t *testing.T) {
	w := newWorld(t, "testdata/sample", nil)
	if _, err := w.collect("all"); err != nil {
		t.Fatal(err)
	}
	heads, err := Heads(context.Background(), w.store)
	if err != nil || len(heads) != 3 {
		t.Fatalf("%d heads, %v", len(heads), err)
	}
	for _, h := range heads {
		raw, err := json.Marshal(h)
		if err != nil || h.Age(noon) < 3*24*time.Hour || h.Age(noon) > 7*24*time.Hour {
			t.Errorf("%s: %v, %v", raw, h.Age(noon), err)
		}
	}
}
