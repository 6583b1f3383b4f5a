package decision

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openvex/go-vex/pkg/vex"
)

// Statements are OpenVEX documents that have been read; the zero value has none.
type Statements struct {
	docs []*vex.VEX
}

// ReadVEX reads OpenVEX documents as JSON. A document that is no OpenVEX, or names no author or
// no time, is an error.
func ReadVEX(texts ...[]byte) (Statements, error) {
	var s Statements
	for i, text := range texts {
		doc, err := vex.Parse(text)
		switch {
		case err != nil:
			return Statements{}, fmt.Errorf("read VEX document %d: %w", i, err)
		case !strings.HasPrefix(doc.Context, vex.Context):
			return Statements{}, fmt.Errorf("read VEX document %d: context %q is not OpenVEX", i, doc.Context)
		case doc.Author == "":
			return Statements{}, fmt.Errorf("read VEX document %d: no author", i)
		case doc.Timestamp == nil || doc.Timestamp.IsZero():
			return Statements{}, fmt.Errorf("read VEX document %d: no timestamp", i)
		}
		s.docs = append(s.docs, doc)
	}
	return s, nil
}

// VEXSubject is what a statement must be about: one of the vulnerability's names, in one of the product's, and, where
// the statement names components, in one of the packages.
type VEXSubject struct {
	Vulnerabilities []string // CVE, GHSA
	Products        []string // purl or digest of the image, purl of the repository
	Packages        []string // purl of the vulnerable package
}

// About is the fact for Inputs.VEX: the newest statement about the subject by an author whom the policy trusts. Without
// such a statement it is the zero fact. A not_affected without an OpenVEX justification has no value either, because an
// impact statement alone changes nothing; its source says so. Of statements of one time the cautious one counts.
func (s Statements) About(about VEXSubject, p *Policy) Fact {
	var best Fact
	for _, doc := range s.docs {
		if !slices.Contains(p.Acceptance.VEXAuthors, doc.Author) {
			continue
		}
		for i := range doc.Statements {
			stmt := &doc.Statements[i]
			if !about.matches(stmt) {
				continue
			}
			f := stated(doc, stmt)
			if f.At.After(best.At) || f.At.Equal(best.At) && best.Value == NotAffected {
				best = f
			}
		}
	}
	return best
}

func (a VEXSubject) matches(stmt *vex.Statement) bool {
	// The library lets an empty name match a statement that has none.
	packages := named(a.Packages)
	for _, vulnerability := range named(a.Vulnerabilities) {
		for _, product := range named(a.Products) {
			if stmt.Matches(vulnerability, product, packages) {
				return true
			}
		}
	}
	return false
}

func named(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" })
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
