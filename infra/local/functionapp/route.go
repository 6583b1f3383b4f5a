package functionapp

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// route is a template such as "api/findings/{id:int}" with the function behind it.
type route struct {
	function *function
	template string
	methods  []string // upper case; empty = all
	segments []segment
}

// segment is one part of a template between slashes: a literal, one parameter,
// or a pattern of several.
type segment struct {
	literal     string
	name        string
	catchAll    bool
	optional    bool
	fallback    *string
	constraints []constraint
	pattern     *regexp.Regexp
}

func (s segment) isParameter() bool { return s.name != "" || s.pattern != nil && s.literal == "" }

// newRoute builds the route of an httpTrigger; without a template it is the name
// of the function.
func newRoute(f *function, prefix string) (*route, error) {
	template := f.trigger.Route
	if template == "" {
		template = f.name
	}
	if prefix != "" {
		template = strings.TrimSuffix(prefix, "/") + "/" + template
	}
	segments, err := parseTemplate(template)
	if err != nil {
		return nil, fmt.Errorf("route %q: %w", template, err)
	}
	r := &route{function: f, template: template, segments: segments}
	for _, m := range f.trigger.Methods {
		r.methods = append(r.methods, strings.ToUpper(m))
	}
	return r, nil
}

func parseTemplate(template string) ([]segment, error) {
	if strings.HasPrefix(template, "/") || strings.HasPrefix(template, "~") {
		return nil, fmt.Errorf("must not begin with / or ~")
	}
	if template = strings.TrimSuffix(template, "/"); template == "" {
		return nil, nil
	}
	var out []segment
	seen := map[string]bool{}
	for i, text := range splitTemplate(template) {
		s, err := parseSegment(text)
		if err != nil {
			return nil, err
		}
		if i > 0 && out[i-1].catchAll {
			return nil, fmt.Errorf("a catch-all parameter must be the last segment")
		}
		if i > 0 && out[i-1].optional && !s.optional && !s.catchAll {
			return nil, fmt.Errorf("an optional parameter must be at the end")
		}
		if key := strings.ToLower(s.name); key != "" && seen[key] {
			return nil, fmt.Errorf("the parameter %q appears twice", s.name)
		} else if key != "" {
			seen[key] = true
		}
		out = append(out, s)
	}
	return out, nil
}

// splitTemplate splits at slashes outside braces (a regex constraint may hold one).
func splitTemplate(template string) []string {
	var out []string
	depth, start := 0, 0
	for i, r := range template {
		switch {
		case r == '{':
			depth++
		case r == '}':
			depth--
		case r == '/' && depth == 0:
			out = append(out, template[start:i])
			start = i + 1
		}
	}
	return append(out, template[start:])
}

func parseSegment(text string) (segment, error) {
	if text == "" {
		return segment{}, fmt.Errorf("an empty segment")
	}
	if !strings.ContainsAny(text, "{}") {
		if strings.ContainsAny(text, "?*") {
			return segment{}, fmt.Errorf("the literal segment %q contains ? or *", text)
		}
		return segment{literal: text}, nil
	}
	if strings.HasPrefix(text, "{") && closing(text) == len(text)-1 {
		return parseParameter(text[1 : len(text)-1])
	}
	return parseMixed(text)
}

// closing is the index of the brace that closes the one at the start, or -1.
func closing(text string) int {
	depth := 0
	for i, r := range text {
		switch r {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

var parameterName = regexp.MustCompile(`^[^/{}?*:=]+$`)

// parseParameter reads what stands between the braces: *name:constraint(args)=default?
func parseParameter(text string) (segment, error) {
	var s segment
	for strings.HasPrefix(text, "*") {
		s.catchAll, text = true, text[1:]
	}
	if strings.HasSuffix(text, "?") {
		s.optional, text = true, strings.TrimSuffix(text, "?")
	}
	name, rest := cutTop(text, ':')
	name, fallback := cutTop(name, '=')
	for rest != "" {
		var one string
		one, rest = cutTop(rest, ':')
		one, value := cutTop(one, '=')
		if value != "" {
			fallback = value
		}
		c, err := parseConstraint(one)
		if err != nil {
			return s, err
		}
		s.constraints = append(s.constraints, c)
	}
	if !parameterName.MatchString(name) {
		return s, fmt.Errorf("the parameter name %q is invalid", name)
	}
	if fallback != "" {
		s.fallback = &fallback
	}
	if s.optional && (s.catchAll || s.fallback != nil) {
		return s, fmt.Errorf("the parameter %q cannot be optional as well", name)
	}
	s.name = name
	return s, nil
}

// cutTop cuts at the first sep outside parentheses.
func cutTop(text string, sep rune) (before, after string) {
	depth := 0
	for i, r := range text {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == sep && depth == 0:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

// parseMixed reads a segment such as "{name}.json": parameters without
// constraints between literals.
func parseMixed(text string) (segment, error) {
	var pattern strings.Builder
	pattern.WriteString("(?is)^")
	n := 0
	for text != "" {
		open := strings.IndexByte(text, '{')
		if open != 0 {
			if open < 0 {
				open = len(text)
			}
			if strings.Contains(text[:open], "}") {
				return segment{}, fmt.Errorf("an unmatched brace in %q", text)
			}
			pattern.WriteString(regexp.QuoteMeta(text[:open]))
			text = text[open:]
			continue
		}
		end := closing(text)
		if end < 0 {
			return segment{}, fmt.Errorf("an unmatched brace in %q", text)
		}
		s, err := parseParameter(text[1:end])
		if err != nil {
			return s, err
		}
		if s.catchAll || s.optional || s.fallback != nil || len(s.constraints) > 0 {
			return s, fmt.Errorf("%q: a parameter beside a literal can have no constraint, default, ? or *", text[:end+1])
		}
		fmt.Fprintf(&pattern, "(?P<p%d_%x>.+)", n, s.name)
		n++
		text = text[end+1:]
	}
	compiled, err := regexp.Compile(pattern.String() + "$")
	return segment{pattern: compiled}, err
}

// match returns the route's values for a path, or false. Literals ignore case; a
// trailing slash does not matter.
func (r *route) match(path string) (map[string]string, bool) {
	parts, ok := splitPath(path)
	if !ok {
		return nil, false
	}
	values := map[string]string{}
	for i, s := range r.segments {
		if s.catchAll {
			return values, s.bind(strings.Join(parts[min(i, len(parts)):], "/"), values)
		}
		part := ""
		if i < len(parts) {
			part = parts[i]
		}
		if !s.bind(part, values) {
			return nil, false
		}
	}
	return values, len(parts) <= len(r.segments)
}

// splitPath splits an escaped path; an empty segment inside matches no route.
func splitPath(path string) ([]string, bool) {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil, true
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil || part == "" {
			return nil, false
		}
		parts[i] = plain
	}
	return parts, true
}

// bind matches one part; "" stands for an absent one.
func (s segment) bind(part string, values map[string]string) bool {
	switch {
	case s.literal != "":
		return strings.EqualFold(s.literal, part)
	case s.pattern != nil:
		return s.bindPattern(part, values)
	case part == "" && s.fallback != nil:
		part = *s.fallback
	case part == "":
		return s.optional || s.catchAll && len(s.constraints) == 0
	}
	for _, c := range s.constraints {
		if !c(part) {
			return false
		}
	}
	values[s.name] = part
	return true
}

func (s segment) bindPattern(part string, values map[string]string) bool {
	m := s.pattern.FindStringSubmatch(part)
	if m == nil {
		return false
	}
	for i, group := range s.pattern.SubexpNames()[1:] {
		var name string
		if _, hex, ok := strings.Cut(group, "_"); ok {
			if _, err := fmt.Sscanf(hex, "%x", &name); err != nil {
				return false
			}
		}
		values[name] = m[i+1]
	}
	return true
}

// sortRoutes puts them into the order in which the host tries them: literal
// before parameter, more constraints first, longer before shorter.
func sortRoutes(routes []*route) {
	slices.SortStableFunc(routes, compareRoutes)
}

func compareRoutes(x, y *route) int {
	for i, a := range x.segments {
		if i >= len(y.segments) {
			return -1
		}
		b := y.segments[i]
		var order int
		switch {
		case !a.isParameter() && b.isParameter():
			order = -1
		case a.isParameter() && !b.isParameter():
			order = 1
		case a.isParameter():
			order = cmp.Compare(len(b.constraints), len(a.constraints))
		default:
			order = strings.Compare(strings.ToLower(a.literal), strings.ToLower(b.literal))
		}
		if order != 0 {
			return order
		}
	}
	return cmp.Compare(len(y.segments), len(x.segments))
}
