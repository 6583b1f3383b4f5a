package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"throughline/shared/graph"
)

// coverage is what is not mapped and how to mend it.
type coverage struct {
	graph.Coverage
	Mend     string
	Asking   map[graph.Digest][]string
	Methods  []methodCount
	More     int // images beyond those listed
	Asked    []graph.Inquiry
	Partial  []graph.RunReport
	Refusing []graph.Refusal
}

type methodCount struct {
	Method graph.Method
	Count  int
}

// images is how many images without an origin a page lists.
const images = 200

func (p *pages) coverage(r *http.Request) (content, error) {
	c, err := p.cover(r.Context())
	if err != nil {
		return content{}, err
	}
	v := coverage{Coverage: c, Mend: mend, Asking: map[graph.Digest][]string{}, Asked: c.Inquiries[:min(len(c.Inquiries), images)], Refusing: c.Refusals[:min(len(c.Refusals), images)]}
	for _, i := range c.Inquiries {
		v.Asking[graph.Digest(i.About)] = i.Left
	}
	for _, m := range graph.Methods {
		if n := c.Methods[m]; n > 0 {
			v.Methods = append(v.Methods, methodCount{m, n})
		}
	}
	for _, run := range c.Runs {
		if !run.Complete {
			v.Partial = append(v.Partial, run)
		}
	}
	v.Unmapped = c.Unmapped[:min(len(c.Unmapped), images)]
	v.More = len(c.Unmapped) - len(v.Unmapped)
	return content{"Coverage", v}, nil
}

// reading is the page of what was read, and of what webhooks did not bring.
type reading struct {
	Runs   []graph.RunReport
	Healed []graph.Healing // newest first
}

func (p *pages) runs(r *http.Request) (content, error) {
	runs, err := graph.Runs(r.Context(), p.Store)
	if err != nil {
		return content{}, err
	}
	healed, err := graph.Healings(r.Context(), p.Store)
	slices.SortFunc(healed, func(a, b graph.Healing) int { return strings.Compare(b.Day, a.Day) })
	return content{"Runs", reading{runs, healed}}, err
}

// letter is a parked message as the bus stores it.
type letter struct {
	ID            string    `json:"id"`
	Queue         string    `json:"queue"`
	MessageID     string    `json:"messageId"`
	Reason        string    `json:"reason"`
	DeliveryCount int       `json:"deliveryCount"`
	At            time.Time `json:"at"`
	Body          []byte    `json:"body"`
}

// Text is the message as far as a page shows it.
func (l letter) Text() string {
	const most = 4000
	s := strings.ToValidUTF8(string(l.Body), "\ufffd")
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + " …"
	}
	return s
}

type parked struct {
	Letters []letter
	Next    string
	Dead    map[string]int // by queue
	Silent  bool           // Service Bus does not tell
}

func (p *pages) parked(r *http.Request) (content, error) {
	letters, next, err := graph.List[letter](r.Context(), p.Store, waiting(r.URL.Query().Get("cursor")))
	v := parked{Letters: letters}
	if next != "" {
		q := r.URL.Query()
		q.Set("cursor", next)
		v.Next = "/parked?" + q.Encode()
	}
	if p.Dead != nil {
		dead, wrong := p.Dead(r.Context())
		v.Dead, v.Silent = dead, wrong != nil // the parked ones are shown all the same
	}
	return content{"Parked messages", v}, err
}

func waiting(cursor string) graph.Query {
	return graph.Query{Container: graph.StateContainer, Partition: "parked", Kind: "parked", Where: []graph.Where{{Field: "waiting", Op: graph.Equal, Value: true}},
		OrderBy: "at", Descending: true, Limit: 50, Cursor: cursor}
}

// readiness tells whether the parts answer and how fresh their facts are.
type readiness struct {
	Checks []check
	Needs  []graph.Readiness // permissions and sources, in the order of the report
	Report []entry
}

type check struct {
	Name, Text string
	OK         bool
}

type entry struct{ Name, Value string }

func (p *pages) readiness(r *http.Request) (content, error) {
	var v readiness
	letters, _, err := graph.List[letter](r.Context(), p.Store, waiting(""))
	v.add("The graph answers", err == nil, "every page here comes from it", "no page can be shown until it does")
	runs, e := graph.Runs(r.Context(), p.Store)
	if err == nil && e == nil {
		v.add("No message is parked", len(letters) == 0, "every message was taken in", fmt.Sprintf("%d wait on the page Parked", len(letters)))
		v.freshness(runs, p.Now())
	}
	if p.Readiness != nil {
		needs, e := p.Readiness(r.Context())
		v.add("Every permission and source is known", e == nil, "see below", "they cannot be told now; the log has the reason")
		v.Needs = needs
	}
	if p.Health != nil {
		report, ok := p.Health(r.Context())
		v.add("The parts report health", ok, "the same as /api/health", "the report below names the part that is down")
		v.Report = entries(report)
	}
	return content{"Readiness", v}, nil
}

func (v *readiness) add(name string, ok bool, good, bad string) {
	text := good
	if !ok {
		text = bad
	}
	v.Checks = append(v.Checks, check{name, text, ok})
}

// old is the age at which the last full reading is no longer to be relied on.
const old = 48 * time.Hour

func (v *readiness) freshness(runs []graph.RunReport, now time.Time) {
	var newest time.Time
	partial := 0
	for _, run := range runs {
		if run.Complete && run.StartedAt.After(newest) {
			newest = run.StartedAt
		}
		if !run.Complete {
			partial++
		}
	}
	v.add("A full reading is recent", now.Sub(newest) < old, "the last one began "+age(newest, now), "nothing was read to its end within two days")
	v.add("No reading is unfinished", partial == 0, "every scope was read to its end", plural(partial, "scope")+" not read to the end; see the page Runs")
}

// entries lists a report by name, as far as it can be shown.
func entries(report any) []entry {
	raw, err := json.Marshal(report)
	var fields map[string]json.RawMessage
	if err != nil || json.Unmarshal(raw, &fields) != nil {
		return []entry{{"report", "cannot be shown"}}
	}
	var es []entry
	for name, value := range fields {
		es = append(es, entry{name, strings.Trim(string(value), `"`)})
	}
	slices.SortFunc(es, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	return es
}
