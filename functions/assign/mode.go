package assign

import (
	"fmt"
	"path"
	"strings"

	"throughline/shared/graph"
)

// Modes are the modes of repositories that differ from the others: the first rule whose pattern matches holds.
type Modes []ModeRule

// ModeRule gives the repositories that a pattern matches a mode. In owner/name, * stands for any text without a slash.
type ModeRule struct {
	Pattern string
	Mode    Mode
}

// ParseModes reads rules like "shop/legacy-*=observe, shop/*=auto".
func ParseModes(text string) (Modes, error) {
	var rules Modes
	for rule := range strings.SplitSeq(text, ",") {
		rule = strings.TrimSpace(rule)
		if rule == "" {
			continue
		}
		pattern, mode, found := strings.Cut(rule, "=")
		pattern, mode = strings.ToLower(strings.TrimSpace(pattern)), strings.TrimSpace(mode)
		if _, err := path.Match(pattern, "a/b"); !found || err != nil || strings.Count(pattern, "/") != 1 {
			return nil, fmt.Errorf("%q: want owner/name=mode, with * for any text", rule)
		}
		switch Mode(mode) {
		case Observe, Approve, Auto:
			rules = append(rules, ModeRule{pattern, Mode(mode)})
		default:
			return nil, fmt.Errorf("%q: the mode is %s, %s or %s", rule, Observe, Approve, Auto)
		}
	}
	return rules, nil
}

// Of is the mode of a repository, or the one that holds otherwise.
func (m Modes) Of(r graph.Repository, otherwise Mode) Mode {
	for _, rule := range m {
		// A pattern was checked when it was read.
		if ok, err := path.Match(rule.Pattern, strings.ToLower(r.FullName())); ok && err == nil {
			return rule.Mode
		}
	}
	return otherwise
}
