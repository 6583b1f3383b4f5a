package functionapp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// settings are the app settings as the host's configuration sees them: names
// ignore case, and "__" and ":" both separate a section from its key.
type settings map[string]string

var percentName = regexp.MustCompile(`%([^%]*)%`)

// newSettings reads lists of "KEY=value"; a later list wins over an earlier one.
func newSettings(lists ...[]string) settings {
	s := settings{}
	for _, list := range lists {
		for _, entry := range list {
			if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
				s[settingKey(name)] = value
			}
		}
	}
	return s
}

func settingKey(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, "__", ":"))
}

func (s settings) get(name string) string { return s[settingKey(name)] }

func (s settings) isTrue(name string) bool {
	v := strings.ToLower(s.get(name))
	return v == "true" || v == "1"
}

// expand replaces every %Name% by its setting. An unknown name is an error, as
// it is for the bindings of the real host.
func (s settings) expand(text string) (string, error) {
	var missing []string
	out := percentName.ReplaceAllStringFunc(text, func(m string) string {
		name := strings.Trim(m, "%")
		value, ok := s[settingKey(name)]
		if !ok {
			missing = append(missing, name)
		}
		return value
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("%q does not resolve: the setting %s is missing", text, strings.Join(missing, ", "))
	}
	return out, nil
}

// expandEmpty is expand for the handler's arguments, where an unset name becomes empty.
func (s settings) expandEmpty(text string) string {
	return percentName.ReplaceAllStringFunc(text, func(m string) string {
		return s.get(strings.Trim(m, "%"))
	})
}

// under returns the settings below a section, keyed by their path in lower case.
func (s settings) under(section string) map[string]string {
	out := map[string]string{}
	prefix := settingKey(section) + ":"
	for key, value := range s {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			out[rest] = value
		}
	}
	return out
}

// localValues reads "Values" of local.settings.json as "KEY=value", sorted. A
// missing file is no values.
func localValues(root string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(root, "local.settings.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("local.settings.json: %w", err)
	}
	var file struct{ Values map[string]string }
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("local.settings.json: %w", err)
	}
	var out []string
	for name, value := range file.Values {
		out = append(out, name+"="+value)
	}
	sort.Strings(out)
	return out, nil
}
