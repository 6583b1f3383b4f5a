package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// parameters checks the parameters files of a template: <template>.parameters*.json.
func (c *checker) parameters(s *source) {
	stem := strings.TrimSuffix(s.name, ".bicep")
	files, err := fs.Glob(c.files, stem+".parameters*.json")
	if err != nil {
		c.broken = err
		return
	}
	for _, name := range files {
		text, err := fs.ReadFile(c.files, name)
		if err != nil {
			c.broken = err
			return
		}
		c.parametersFile(s, name, text)
	}
}

func (c *checker) parametersFile(s *source, name string, text []byte) {
	say := func(offset int, path, what, mend string) {
		line := 1 + bytes.Count(text[:offset], []byte("\n"))
		c.faults = append(c.faults, fault{name, line, offset - bytes.LastIndexByte(text[:offset], '\n'), path, what, mend})
	}
	var file struct {
		Schema         string `json:"$schema"`
		ContentVersion string
		Parameters     map[string]struct{ Value, Reference json.RawMessage }
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		say(min(int(decoder.InputOffset()), len(text)), "json", err.Error(), "write {\"$schema\", \"contentVersion\", \"parameters\": {name: {\"value\": …}}}")
		return
	}
	if !strings.HasSuffix(file.Schema, "/deploymentParameters.json#") || file.ContentVersion == "" {
		say(0, "$schema", "is not that of a parameters file", "copy $schema and contentVersion of the example")
	}
	for _, p := range slices.Sorted(maps.Keys(file.Parameters)) {
		at := max(bytes.Index(text, []byte(`"`+p+`"`)), 0)
		y, given := s.symbols[p], file.Parameters[p]
		switch {
		case y == nil || y.kind != "parameter":
			say(at, p, "is no parameter of "+s.name, suggest(p, s.params(), "drop it"))
		case given.Value == nil && given.Reference == nil:
			say(at, p, "has no value", `write {"value": …}`)
		case given.Value != nil:
			if kind, plain := jsonKind(given.Value); kind != "" {
				if wrong := y.misfit(kind, plain); wrong != "" {
					say(at, p, wrong, "give what "+s.name+" declares")
				}
			}
		}
	}
	for _, p := range s.params() {
		if _, given := file.Parameters[p]; s.symbols[p].needed() && !given {
			say(max(bytes.Index(text, []byte(`"parameters"`)), 0), p, "is required and missing", "add "+p)
		}
	}
}

// jsonKind names the kind of a JSON value as a template does.
func jsonKind(v json.RawMessage) (kind, text string) {
	text = string(bytes.TrimSpace(v))
	switch {
	case text == "null":
		return "", ""
	case strings.HasPrefix(text, `"`):
		var s string
		if err := json.Unmarshal(v, &s); err != nil {
			return "", ""
		}
		return "string", s
	case strings.HasPrefix(text, "{"):
		return "object", text
	case strings.HasPrefix(text, "["):
		return "array", text
	case text == "true" || text == "false":
		return "boolean", text
	}
	return "number", text
}
