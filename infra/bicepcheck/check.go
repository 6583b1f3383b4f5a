package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// checker holds the templates of one folder while they are checked.
type checker struct {
	files   fs.FS
	data    *schema
	sources map[string]*source
	faults  []fault // of files that are not templates
	broken  error   // the type data could not be read
}

// check gives every fault of the templates and parameters files of a folder, in order.
func check(files fs.FS, data *schema) ([]fault, error) {
	names, err := fs.Glob(files, "*.bicep")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no template (*.bicep) was found: nothing was checked")
	}
	c := &checker{files: files, data: data, sources: map[string]*source{}}
	clean := true
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		s, err := parse(name, text)
		if err != nil {
			return nil, err
		}
		c.sources[name] = s
		clean = clean && len(s.faults) == 0
	}
	if clean { // what a broken template declares is not known, so nothing further can be said
		c.all(names)
	}
	return c.sorted(), c.broken
}

func (c *checker) all(names []string) {
	for _, name := range names {
		c.declare(c.sources[name])
	}
	for _, name := range names {
		s := c.sources[name]
		for _, r := range s.resources {
			c.resource(s, r)
		}
		for _, m := range s.modules {
			c.module(s, m)
		}
		c.names(s)
	}
	for _, name := range names {
		c.parameters(c.sources[name])
	}
}

func (c *checker) sorted() []fault {
	all := c.faults
	for _, s := range c.sources {
		all = append(all, s.faults...)
	}
	slices.SortFunc(all, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(all)
}

// exists tells whether a path that a template names is there, as seen from the template.
func (c *checker) exists(s *source, name string) bool {
	_, err := fs.Stat(c.files, path.Join(path.Dir(s.name), name))
	return err == nil
}

// nearest names the candidate that was probably meant.
func nearest(name string, candidates []string) string {
	best, least := "", len(name)/2+1
	slices.Sort(candidates)
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to insert, drop or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			differ := 1
			if a[i] == b[j] {
				differ = 0
			}
			last, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, last+differ)
		}
	}
	return row[len(b)]
}

// suggest is the mend for a name that is not known.
func suggest(name string, candidates []string, otherwise string) string {
	if n := nearest(name, candidates); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return otherwise
}
