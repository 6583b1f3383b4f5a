package provenance

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"throughline/shared/graph"
)

// catalogueReader reads the file and gathers its faults.
type catalogueReader struct {
	out    Catalogue
	faults []error
}

func (c *catalogueReader) fault(n ast.Node, format string, args ...any) {
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			n = m.Values[0].Key
		}
	case *ast.MappingValueNode:
		n = m.Key
	}
	line, column := 1, 1
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		line, column = n.GetToken().Position.Line, n.GetToken().Position.Column
	}
	c.faults = append(c.faults, fmt.Errorf("%d:%d: %s", line, column, fmt.Sprintf(format, args...)))
}

func (c *catalogueReader) document(body ast.Node) {
	for key, value := range c.pairs(body, "images", "workloads", "signers") {
		for _, item := range c.list(value) {
			switch key {
			case "images":
				c.image(item)
			case "workloads":
				c.workload(item)
			case "signers":
				c.signer(item)
			}
		}
	}
}

// pairs yields the known keys of a mapping; unknown and doubled ones are faults.
func (c *catalogueReader) pairs(n ast.Node, keys ...string) func(func(string, ast.Node) bool) {
	return func(yield func(string, ast.Node) bool) {
		var values []*ast.MappingValueNode
		switch m := n.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode:
		case *ast.MappingNode:
			values = m.Values
		case *ast.MappingValueNode:
			values = []*ast.MappingValueNode{m}
		default:
			c.fault(n, "want a mapping with %s", strings.Join(keys, ", "))
		}
		seen := map[string]bool{}
		for _, v := range values {
			key := v.Key.GetToken().Value
			switch {
			case !slices.Contains(keys, key):
				c.fault(v.Key, "unknown key %q: want %s", key, strings.Join(keys, ", "))
			case seen[key]:
				c.fault(v.Key, "key %q twice", key)
			case !yield(key, v.Value):
				return
			}
			seen[key] = true
		}
	}
}

func (c *catalogueReader) list(n ast.Node) []ast.Node {
	switch s := n.(type) {
	case *ast.SequenceNode:
		return s.Values
	case nil, *ast.NullNode:
		return nil
	}
	c.fault(n, "want a list")
	return nil
}

func (c *catalogueReader) text(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode, *ast.NullNode, nil:
		c.fault(n, "want a text")
		return ""
	}
	var s string
	if err := yaml.NodeToValue(n, &s); err != nil {
		c.fault(n, "want a text")
	}
	return s
}

func (c *catalogueReader) image(n ast.Node) {
	var rule imageRule
	for key, value := range c.pairs(n, "pattern", "repository", "contexts") {
		switch key {
		case "pattern":
			rule.Pattern = c.pattern(value)
		case "repository":
			if rule.Repository = c.text(value); !repositoryForm.MatchString(rule.Repository) {
				c.fault(value, "repository %q: want owner/name", rule.Repository)
			}
		case "contexts":
			for _, item := range c.list(value) {
				rule.Contexts = append(rule.Contexts, strings.Trim(c.text(item), "/"))
			}
		}
	}
	if rule.Pattern == "" || rule.Repository == "" {
		c.fault(n, "image: want pattern and repository")
	}
	c.out.images = append(c.out.images, rule)
}

func (c *catalogueReader) signer(n ast.Node) {
	var rule SignerRule
	for key, value := range c.pairs(n, "repository", "workflow", "ref") {
		switch p := c.pattern(value); key {
		case "repository":
			rule.Repository = p
		case "workflow":
			rule.Workflow = p
		case "ref":
			rule.Ref = p
		}
	}
	if rule.Repository == "" {
		c.fault(n, "signer: want repository")
	}
	c.out.signers = append(c.out.signers, rule)
}

func (c *catalogueReader) pattern(n ast.Node) string {
	p := c.text(n)
	for _, segment := range strings.Split(p, "/") {
		if _, err := path.Match(segment, ""); err != nil {
			c.fault(n, "pattern %q: %v", p, err)
			break
		}
	}
	return p
}

func (c *catalogueReader) workload(n ast.Node) {
	var rule workloadRule
	deny := false
	for key, value := range c.pairs(n, "path", "name", "owner", "internet", "sensitive", "critical", "lateral", "author", "reason", "expires") {
		switch key {
		case "path":
			rule.Path = c.pattern(value)
		case "name":
			rule.Name = c.pattern(value)
		case "owner":
			rule.Owner = c.text(value)
		case "author":
			rule.Author = c.text(value)
		case "reason":
			rule.Reason = c.text(value)
		case "expires":
			rule.Expires = c.text(value)
			rule.expires = c.day(value, rule.Expires)
		default:
			says := c.text(value)
			if !answer(says).Known() {
				c.fault(value, "%s %q: want yes or no", key, says)
			}
			deny = deny || answer(says) == graph.No
			rule.say(key, says)
		}
	}
	if (rule.Path == "") == (rule.Name == "") {
		c.fault(n, "workload: want either path or name")
	}
	if deny && (rule.Author == "" || rule.Reason == "" || rule.Expires == "") {
		c.fault(n, "workload: a no needs author, reason and expires")
	}
	c.out.workloads = append(c.out.workloads, rule)
}

func (r *workloadRule) say(key, word string) {
	switch key {
	case "internet":
		r.Internet = word
	case "sensitive":
		r.Sensitive = word
	case "critical":
		r.Critical = word
	case "lateral":
		r.Lateral = word
	}
}

// day reads a date; an entry counts to the end of that day, UTC.
func (c *catalogueReader) day(n ast.Node, s string) time.Time {
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		c.fault(n, "expires %q: want a date such as 2027-01-31", s)
		return time.Time{}
	}
	return at.AddDate(0, 0, 1)
}

var positionForm = regexp.MustCompile(`^\[(\d+):(\d+)\] (.*)`)

// oneLine keeps position and message of a syntax error and leaves its picture of the source out.
func oneLine(err error) error {
	first, _, _ := strings.Cut(err.Error(), "\n")
	if m := positionForm.FindStringSubmatch(first); m != nil {
		return fmt.Errorf("%s:%s: %s", m[1], m[2], m[3])
	}
	return errors.New(first)
}
