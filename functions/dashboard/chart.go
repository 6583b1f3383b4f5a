package dashboard

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-analyze/charts"

	"throughline/shared/graph"
)

// table is what a chart shows, in words and numbers: the same as a file and for those who cannot see.
type table struct {
	Name    string
	Columns []string // the first names the lines
	Rows    []line
}

type line struct {
	Name   string
	Values []float64
}

// trend is what was open and what was verified on each of the last days.
func trend(o graph.Overview) table {
	t := table{Name: "trend", Columns: []string{"day", "open", "verified"}}
	sum := 0
	for _, d := range o.Trend {
		sum += d.Verified
		t.Rows = append(t.Rows, line{d.Day.Format("2 Jan"), []float64{float64(d.Open), float64(sum)}})
	}
	return t
}

// times is how many days fixes took, by tier.
func times(o graph.Overview) table {
	t := table{Name: "times", Columns: []string{"tier", "mean days", "findings"}}
	for _, tier := range graph.Tiers {
		m := o.Mended[tier]
		t.Rows = append(t.Rows, line{string(tier), []float64{days(m.Time), float64(m.Findings)}})
	}
	return t
}

// days are given to a tenth.
func days(d time.Duration) float64 { return float64(int(d.Hours()/24*10+0.5)) / 10 }

// chart serves one chart as a picture or as a file.
func (p *pages) chart(w http.ResponseWriter, r *http.Request) {
	o, err := p.count(r.Context())
	if err != nil {
		p.Log.ErrorContext(r.Context(), "chart failed", "path", r.URL.Path, "reason", err)
		http.Error(w, "the graph does not answer", http.StatusInternalServerError)
		return
	}
	name, form, _ := strings.Cut(r.PathValue("name"), ".")
	t, draw := trend(o), drawTrend
	if name == "times" {
		t, draw = times(o), drawTimes
	}
	switch {
	case name != t.Name || form != "svg" && form != "csv":
		p.missing(w, r)
	case form == "csv":
		w.Header().Set("Content-Disposition", `attachment; filename="`+t.Name+`.csv"`)
		p.give(w, "text/csv; charset=utf-8", t.file())
	default:
		picture, err := draw(t, paint{dark: r.URL.Query().Get("theme") == "dark", narrow: r.URL.Query().Get("width") == "narrow"})
		if err != nil {
			p.Log.ErrorContext(r.Context(), "chart does not draw", "chart", t.Name, "reason", err)
			http.Error(w, "this chart does not draw; the log has the reason", http.StatusInternalServerError)
			return
		}
		p.give(w, "image/svg+xml", picture)
	}
}

func (p *pages) give(w http.ResponseWriter, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, max-age=30")
	_, _ = w.Write(body) // a browser that has gone away needs no answer
}

// file gives the table as CSV.
func (t table) file() []byte {
	var b strings.Builder
	out := csv.NewWriter(&b)
	_ = out.Write(t.Columns) // a strings.Builder takes everything
	for _, l := range t.Rows {
		cells := []string{l.Name}
		for _, v := range l.Values {
			cells = append(cells, strconv.FormatFloat(v, 'f', -1, 64))
		}
		_ = out.Write(cells)
	}
	out.Flush()
	return []byte(b.String())
}

// column is one series of the table.
func (t table) column(n int) []float64 {
	var vs []float64
	for _, l := range t.Rows {
		vs = append(vs, l.Values[n])
	}
	return vs
}

func (t table) names() []string {
	var ns []string
	for _, l := range t.Rows {
		ns = append(ns, l.Name)
	}
	return ns
}

// paint is how a chart is drawn: to the page around it.
type paint struct{ dark, narrow bool }

func (c paint) painter() *charts.Painter {
	width := 620
	if c.narrow {
		width = 330
	}
	return charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: 240})
}

// theme uses the colours of the style sheet.
func (c paint) theme() charts.ColorPalette {
	if c.dark {
		return charts.GetTheme(charts.ThemeDark).WithBackgroundColor(charts.ColorTransparent).WithTextColor(charts.ColorFromHex("#a3adba")).
			WithAxisSplitLineColor(charts.ColorFromHex("#2e3743")).WithSeriesColors([]charts.Color{charts.ColorFromHex("#5d94dc"), charts.ColorFromHex("#5cc98a")})
	}
	return charts.GetTheme(charts.ThemeLight).WithBackgroundColor(charts.ColorTransparent).WithTextColor(charts.ColorFromHex("#555e6b")).
		WithAxisSplitLineColor(charts.ColorFromHex("#d9dee5")).WithSeriesColors([]charts.Color{charts.ColorFromHex("#3b6fb5"), charts.ColorFromHex("#1a7f45")})
}

func drawTrend(t table, c paint) ([]byte, error) {
	o := charts.NewLineChartOptionWithData([][]float64{t.column(0), t.column(1)})
	o.Theme, o.Symbol.Shape, o.LineStrokeWidth = c.theme(), charts.SymbolNone, 2
	o.Legend.SeriesNames = []string{"open", "verified since then"}
	o.XAxis.Labels = t.names()
	o.XAxis.LabelCount = 5
	if c.narrow {
		o.XAxis.LabelCount = 3
	}
	o.ValueFormatter = whole
	p := c.painter()
	return drawn(p, p.LineChart(o))
}

func drawTimes(t table, c paint) ([]byte, error) {
	o := charts.NewBarChartOptionWithData([][]float64{t.column(0)})
	o.Theme = c.theme()
	o.CategoryAxis.Labels = t.names()
	o.ValueFormatter = func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) + " d" }
	p := c.painter()
	return drawn(p, p.BarChart(o))
}

func whole(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

// inline are the styles that the library writes; our policy lets no inline style through.
var inline = regexp.MustCompile(`style="([^"]*)"`)

// drawn gives the picture with attributes instead of inline styles.
func drawn(p *charts.Painter, err error) ([]byte, error) {
	if err != nil {
		return nil, fmt.Errorf("draw a chart: %w", err)
	}
	raw, err := p.Bytes()
	return inline.ReplaceAllFunc(raw, attributes), err
}

func attributes(style []byte) []byte {
	var out []string
	for pair := range strings.SplitSeq(string(inline.FindSubmatch(style)[1]), ";") {
		if name, value, found := strings.Cut(pair, ":"); found {
			out = append(out, strings.TrimSpace(name)+`="`+cmp.Or(fonts[value], value)+`"`)
		}
	}
	return []byte(strings.Join(out, " "))
}

// fonts replaces the library's fonts by that of the page.
var fonts = map[string]string{"'Roboto Medium',sans-serif": "system-ui, DejaVu Sans, sans-serif"}
