package graph

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// The measures of a picture, in pixels.
const (
	boxWidth, boxHeight = 244, 46
	columnStep, rowStep = 304, 58
	top, side           = 34, 2
	shownRunes          = 29
)

var columnNames = [columns]string{"Repository", "Image", "Workload", "Exposed to"}

// SVG draws the picture in columns from the source to the running system. Every text is escaped; boxes link to pages.
// Colours are attributes, so that a style sheet can overrule them for a dark page.
func (p Picture) SVG() []byte {
	at, rows := p.places()
	var b strings.Builder
	width, height := columnStep*(columns-1)+boxWidth+2*side, top+rows*rowStep
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="0 0 %d %d" width="%d" height="%d" role="group" aria-label="%s" font-family="system-ui, sans-serif">`,
		width, height, width, height, escape("Mapping of "+p.Title))
	for c, name := range columnNames {
		fmt.Fprintf(&b, `<text class="column" x="%d" y="16" font-size="12" font-weight="600" fill="#555e6b">%s</text>`, side+c*columnStep, name)
	}
	for _, e := range p.Edges {
		drawEdge(&b, at[e.From], at[e.To], e.Label)
	}
	for _, n := range p.Nodes {
		drawNode(&b, n, at[n.ID])
	}
	b.WriteString("</svg>")
	return []byte(b.String())
}

type spot struct{ x, y int }

// places gives each node its corner: columns from the left, in the order of the nodes, each column in the middle.
func (p Picture) places() (map[string]spot, int) {
	var count [columns]int
	for _, n := range p.Nodes {
		count[n.Column]++
	}
	rows := max(count[0], count[1], count[2], count[3], 1)
	var used [columns]int
	at := map[string]spot{}
	for _, n := range p.Nodes {
		c := n.Column
		at[n.ID] = spot{side + c*columnStep, top + (rows-count[c])*rowStep/2 + used[c]*rowStep}
		used[c]++
	}
	return at, rows
}

func drawEdge(b *strings.Builder, from, to spot, label string) {
	x1, y1, x2, y2 := from.x+boxWidth, from.y+boxHeight/2, to.x, to.y+boxHeight/2
	bend := (x2 - x1) / 2
	dash := ""
	if Method(label) == NameMatch {
		dash = ` stroke-dasharray="4 4"`
	}
	fmt.Fprintf(b, `<path class="edge" d="M%d %dC%d %d %d %d %d %d" fill="none" stroke="#8a94a3" stroke-width="1.5"%s><title>%s</title></path>`,
		x1, y1, x1+bend, y1, x2-bend, y2, x2, y2, dash, escape(label))
}

func drawNode(b *strings.Builder, n Node, at spot) {
	if n.Link != "" {
		fmt.Fprintf(b, `<a href="%s">`, escape(n.Link))
	}
	fmt.Fprintf(b, `<g class="node c%d"><title>%s</title>`, n.Column, escape(n.Label+" "+n.Sub))
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="#ffffff" stroke="#8a94a3"/>`, at.x, at.y, boxWidth, boxHeight)
	fmt.Fprintf(b, `<text class="label" x="%d" y="%d" font-size="13" font-weight="600" fill="#15202b">%s</text>`, at.x+10, at.y+20, escape(clip(n.Label)))
	fmt.Fprintf(b, `<text class="sub" x="%d" y="%d" font-size="11" fill="#555e6b">%s</text></g>`, at.x+10, at.y+36, escape(clip(n.Sub)))
	if n.Link != "" {
		b.WriteString("</a>")
	}
}

// clip keeps the end of a long text: the names of images differ there.
func clip(s string) string {
	r := []rune(s)
	if len(r) <= shownRunes {
		return s
	}
	return "…" + string(r[len(r)-shownRunes+1:])
}

// escape makes a text of unknown origin safe inside XML, without marks that turn the direction of the text around it.
func escape(s string) string {
	plain := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s)
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(plain)); err != nil {
		return "" // a strings.Builder takes everything
	}
	return b.String()
}

// DOT gives the picture in the language of Graphviz.
func (p Picture) DOT() []byte {
	var b strings.Builder
	b.WriteString("digraph throughline {\n  rankdir=LR;\n  node [shape=box];\n")
	for _, n := range p.Nodes {
		fmt.Fprintf(&b, "  %s [label=%s];\n", quote(n.ID), quote(n.Label+"\n"+n.Sub))
	}
	for _, e := range p.Edges {
		fmt.Fprintf(&b, "  %s -> %s [label=%s];\n", quote(e.From), quote(e.To), quote(e.Label))
	}
	b.WriteString("}\n")
	return []byte(b.String())
}

func quote(s string) string {
	return strconv.Quote(strings.ToValidUTF8(s, "\ufffd"))
}
