package decision

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openvex/go-vex/pkg/vex"
	"github.com/package-url/packageurl-go"

	"throughline/shared/graph"
)

// Statements are OpenVEX documents that have been read; the zero value has none.
type Statements struct {
	about map[string][]statement // by every name of their vulnerability
}

type statement struct {
	doc *vex.VEX
	*vex.Statement
}

// ReadVEX reads OpenVEX documents as JSON. A document that is no OpenVEX, or names no author or
// no time, is an error.
func ReadVEX(texts ...[]byte) (Statements, error) {
	s := Statements{about: make(map[string][]statement)}
	for i, text := range texts {
		doc, err := parseVEX(text)
		if err != nil {
			return Statements{}, fmt.Errorf("read VEX document %d: %w", i, err)
		}
		for k := range doc.Statements {
			stmt := &doc.Statements[k]
			for _, name := range namesOf(stmt) {
				s.about[name] = append(s.about[name], statement{doc, stmt})
			}
		}
	}
	return s, nil
}

func parseVEX(text []byte) (*vex.VEX, error) {
	doc, err := vex.Parse(text)
	switch {
	case err != nil:
		return nil, err
	case !strings.HasPrefix(doc.Context, vex.Context):
		return nil, fmt.Errorf("context %q is not OpenVEX", doc.Context)
	case doc.Author == "":
		return nil, errors.New("no author")
	case doc.Timestamp == nil || doc.Timestamp.IsZero():
		return nil, errors.New("no timestamp")
	}
	return doc, nil
}

// CheckVEX names the vulnerabilities that one document speaks of. Besides what ReadVEX refuses it refuses statements that
// can never count, in words for the person who wrote them.
func CheckVEX(text []byte) ([]string, error) {
	doc, err := parseVEX(text)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range doc.Statements {
		stmt := &doc.Statements[i]
		own := namesOf(stmt)
		switch {
		case len(own) == 0:
			return nil, fmt.Errorf("statement %d names no vulnerability", i+1)
		case len(stmt.Products) == 0:
			return nil, fmt.Errorf("statement %d, about %s, names no product", i+1, own[0])
		case !stmt.Status.Valid():
			return nil, fmt.Errorf("statement %d, about %s: status %q is not one of not_affected, affected, fixed, under_investigation", i+1, own[0], stmt.Status)
		}
		names = append(names, own...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// namesOf are the names of a statement's vulnerability, each once.
func namesOf(stmt *vex.Statement) []string {
	names := []string{stmt.Vulnerability.ID, string(stmt.Vulnerability.Name)}
	for _, alias := range stmt.Vulnerability.Aliases {
		names = append(names, string(alias))
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" })
	slices.Sort(names)
	return slices.Compact(names)
}

// VEXSubject is what a statement must be about: one of the vulnerability's names, in one of the product's, and, where
// the statement names components, in one of the packages.
type VEXSubject struct {
	Vulnerabilities []string // CVE, GHSA
	Products        []string // purl of the repository
	// Images are purls and digests of one image. What is in an image does not change, so that a statement about it may
	// name a version of a package that we do not know.
	Images   []string
	Packages []string // purl of the vulnerable package
	Software []string // names of it where no purl is known
}

// About is the fact for Inputs.VEX: the newest statement about the subject by an author whom the policy trusts. Without
// such a statement it is the zero fact. A not_affected without an OpenVEX justification has no value either, because an
// impact statement alone changes nothing; its source says so. Of statements of one time the cautious one counts.
func (s Statements) About(about VEXSubject, p *Policy) Fact {
	var best Fact
	for _, name := range about.Vulnerabilities {
		for _, st := range s.about[name] {
			if !slices.Contains(p.Acceptance.VEXAuthors, st.doc.Author) || !about.matches(st.Statement) {
				continue
			}
			f := stated(st.doc, st.Statement)
			if f.At.After(best.At) || f.At.Equal(best.At) && best.Value == NotAffected {
				best = f
			}
		}
	}
	return best
}

// Version names what is said of a vulnerability with these names by those whom the policy trusts; empty when nothing is.
func (s Statements) Version(names []string, p *Policy) string {
	var said []any
	for _, name := range names {
		for _, st := range s.about[name] {
			if slices.Contains(p.Acceptance.VEXAuthors, st.doc.Author) {
				said = append(said, st.doc.ID, st.doc.Author, statedAt(st.doc, st.Statement), st.Statement)
			}
		}
	}
	if len(said) == 0 {
		return ""
	}
	return graph.Version(said...)
}

func (a *VEXSubject) matches(stmt *vex.Statement) bool {
	return slices.ContainsFunc(stmt.Products, func(p vex.Product) bool {
		image := anyOf(a.Images, p.Component.Matches)
		if !image && !anyOf(a.Products, p.Component.Matches) {
			return false
		}
		return len(p.Subcomponents) == 0 || slices.ContainsFunc(p.Subcomponents, func(c vex.Subcomponent) bool {
			return anyOf(a.Packages, c.Component.Matches) || image && a.holds(&c.Component)
		})
	})
}

// holds tells whether a component of an image is the vulnerable package, in whatever version.
func (a *VEXSubject) holds(c *vex.Component) bool {
	u, err := packageurl.FromString(cmp.Or(c.Identifiers[vex.PURL], c.ID))
	if err != nil {
		return false
	}
	u.Version, u.Qualifiers = "", nil
	return anyOf(a.Packages, func(p string) bool { return vex.PurlMatches(u.ToString(), p) }) ||
		anyOf(a.Software, func(name string) bool { return strings.EqualFold(name, u.Name) })
}

func anyOf(names []string, test func(string) bool) bool {
	return slices.ContainsFunc(names, func(n string) bool { return n != "" && test(n) })
}

func stated(doc *vex.VEX, stmt *vex.Statement) Fact {
	f := Fact{Value: string(stmt.Status), Source: "VEX by " + doc.Author, Path: doc.ID, At: statedAt(doc, stmt)}
	switch {
	case !stmt.Status.Valid():
		f.Value, f.Source = "", f.Source+": unknown status"
	case stmt.Status != vex.StatusNotAffected:
	case stmt.Justification.Valid():
		f.Source += ": " + string(stmt.Justification)
	default:
		f.Value, f.Source = "", f.Source+": not_affected without a justification"
	}
	return f
}

// statedAt: a statement without a time of its own has that of its document.
func statedAt(doc *vex.VEX, stmt *vex.Statement) time.Time {
	for _, t := range []*time.Time{stmt.LastUpdated, stmt.Timestamp, doc.LastUpdated} {
		if t != nil && !t.IsZero() {
			return t.UTC()
		}
	}
	return doc.Timestamp.UTC()
}
