package functionapp

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// constraint tells whether a route value is acceptable, as ASP.NET's inline
// constraints do.
type constraint func(value string) bool

var (
	guidForm    = regexp.MustCompile(`(?i)^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}|\([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\))$`)
	alphaForm   = regexp.MustCompile(`(?i)^[a-z]*$`)
	decimalForm = regexp.MustCompile(`^[+-]?(?:\d[\d,]*(?:\.\d*)?|\.\d+)$`)
	fileForm    = regexp.MustCompile(`(?:^|/)[^/]*\.[^/]+$`)
)

// plainConstraints are those without arguments.
var plainConstraints = map[string]constraint{
	"int":      func(v string) bool { _, err := strconv.ParseInt(v, 10, 32); return err == nil },
	"long":     func(v string) bool { _, err := strconv.ParseInt(v, 10, 64); return err == nil },
	"bool":     func(v string) bool { return strings.EqualFold(v, "true") || strings.EqualFold(v, "false") },
	"double":   isFloat,
	"float":    isFloat,
	"decimal":  decimalForm.MatchString,
	"guid":     guidForm.MatchString,
	"alpha":    alphaForm.MatchString,
	"datetime": isDate,
	"required": func(v string) bool { return v != "" },
	"file":     fileForm.MatchString,
	"nonfile":  func(v string) bool { return !fileForm.MatchString(v) },
}

func isFloat(v string) bool {
	_, err := strconv.ParseFloat(strings.ReplaceAll(v, ",", ""), 64)
	return err == nil && !strings.ContainsAny(v, "xXpP_")
}

func isDate(v string) bool {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04",
		"2006-01-02 15:04", "2006-01-02", "01/02/2006", "1/2/2006", "1/2/2006 3:04:05 PM"} {
		if _, err := time.Parse(form, v); err == nil {
			return true
		}
	}
	return false
}

// parseConstraint reads "int", "length(2,5)", "regex(^a+$)" and their like.
func parseConstraint(text string) (constraint, error) {
	name, args, called := strings.Cut(text, "(")
	name = strings.ToLower(strings.TrimSpace(name))
	if !called {
		if c, ok := plainConstraints[name]; ok {
			return c, nil
		}
		return nil, fmt.Errorf("the constraint %q is unknown", text)
	}
	args, ok := strings.CutSuffix(args, ")")
	if !ok {
		return nil, fmt.Errorf("the constraint %q has no closing parenthesis", text)
	}
	if name == "regex" {
		// In a template a brace is doubled, because a single one is a parameter.
		pattern := strings.NewReplacer("{{", "{", "}}", "}").Replace(args)
		re, err := regexp.Compile("(?i)" + pattern)
		if err != nil {
			return nil, fmt.Errorf("the constraint %q: %w", text, err)
		}
		return re.MatchString, nil
	}
	return numericConstraint(name, text, args)
}

func numericConstraint(name, text, args string) (constraint, error) {
	var n []int64
	for part := range strings.SplitSeq(args, ",") {
		v, err := strconv.ParseInt(strings.TrimSpace(part), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the constraint %q: %w", text, err)
		}
		n = append(n, v)
	}
	switch {
	case name == "minlength" && len(n) == 1:
		return length(n[0], math.MaxInt64), nil
	case name == "maxlength" && len(n) == 1:
		return length(0, n[0]), nil
	case name == "length" && len(n) == 1:
		return length(n[0], n[0]), nil
	case name == "length" && len(n) == 2:
		return length(n[0], n[1]), nil
	case name == "min" && len(n) == 1:
		return between(n[0], math.MaxInt64), nil
	case name == "max" && len(n) == 1:
		return between(math.MinInt64, n[0]), nil
	case name == "range" && len(n) == 2:
		return between(n[0], n[1]), nil
	}
	return nil, fmt.Errorf("the constraint %q is unknown", text)
}

func length(low, high int64) constraint {
	return func(v string) bool {
		n := int64(utf8.RuneCountInString(v))
		return low <= n && n <= high
	}
}

func between(low, high int64) constraint {
	return func(v string) bool {
		n, err := strconv.ParseInt(v, 10, 64)
		return err == nil && low <= n && n <= high
	}
}
