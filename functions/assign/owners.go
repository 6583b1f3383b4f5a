package assign

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hmarr/codeowners"

	"throughline/shared/graph"
)

// people is where owners are looked up.
type people interface {
	// CodeOwners reads the CODEOWNERS file of the default branch; an empty file name tells that there is none.
	CodeOwners(ctx context.Context, r graph.Repository) (text, file string, err error)
	// TeamMembers lists the logins of a team; graph.ErrNotFound tells that it cannot be seen.
	TeamMembers(ctx context.Context, org, team string) ([]string, error)
	// Assignable tells whether a login can be assigned to issues of a repository.
	Assignable(ctx context.Context, r graph.Repository, login string) (bool, error)
}

// declared names the owner of a workload: @login, @org/team, or words for people.
type declared interface {
	Owner(w graph.Workload) string
}

// Owners finds who should mend something: the code's owners, else the owner of what runs, else the fallback. What
// GitHub said is remembered for a while, so that many issues of one repository cost one look.
type Owners struct {
	People    people
	Catalogue declared // nil: nothing is declared
	// Fallback is a login or @org/team for what nobody owns; empty: nobody.
	Fallback string
	Now      func() time.Time

	mu       sync.Mutex
	rules    map[graph.RepositoryID]remembered[ruling]
	teams    map[string]remembered[[]string]
	assigned map[string]remembered[bool]
}

// Owner is who was chosen, and why.
type Owner struct {
	Logins []string // checked assignable, at most maxAssignees
	Why    string   // values in it are escaped for the body of an issue
}

// ruling is a CODEOWNERS file.
type ruling struct {
	rules codeowners.Ruleset
	file  string
}

type remembered[T any] struct {
	value T
	until time.Time
}

const (
	maxAssignees = 10 // GitHub takes no more
	memory       = 10 * time.Minute
	maxMemory    = 5000
	maxTried     = 20 // logins that are checked for one issue
)

// Of chooses for the given paths of a repository and the workloads that run it.
func (o *Owners) Of(ctx context.Context, r graph.Repository, paths []string, ws []graph.ExposedWorkload) (Owner, error) {
	found, err := o.byCode(ctx, r, paths)
	if err != nil || len(found.Logins) > 0 {
		return found, err
	}
	byCatalogue, err := o.byCatalogue(ctx, r, ws)
	if err != nil || len(byCatalogue.Logins) > 0 {
		byCatalogue.Why = found.Why + byCatalogue.Why
		return byCatalogue, err
	}
	logins, err := o.expand(ctx, r, o.Fallback)
	why := found.Why + byCatalogue.Why
	switch {
	case err != nil:
		return Owner{}, err
	case len(logins) > 0:
		return Owner{logins, why + fmt.Sprintf("Assigned to the fallback %s.", code(o.Fallback))}, nil
	}
	return Owner{Why: why + "Nobody is assigned: no owner is known."}, nil
}

func (o *Owners) byCode(ctx context.Context, r graph.Repository, paths []string) (Owner, error) {
	rules, err := o.ruling(ctx, r)
	if err != nil {
		return Owner{}, err
	}
	if rules.file == "" {
		return Owner{Why: "There is no CODEOWNERS file. "}, nil
	}
	rule, err := rules.last(paths)
	if err != nil || rule == nil || len(rule.Owners) == 0 {
		return Owner{Why: fmt.Sprintf("%s names no owner. ", code(rules.file))}, err
	}
	var logins []string
	for _, owner := range rule.Owners {
		more, err := o.expand(ctx, r, owner.String())
		if err != nil {
			return Owner{}, err
		}
		logins = add(logins, more)
	}
	place := fmt.Sprintf("%s, line %d (%s)", code(rules.file), rule.LineNumber, code(rule.RawPattern()))
	if len(logins) == 0 {
		return Owner{Why: fmt.Sprintf("The owners in %s cannot be assigned. ", place)}, nil
	}
	return Owner{logins, fmt.Sprintf("Assigned to the code owners by %s.", place)}, nil
}

// last is the rule that GitHub would take: the last one that matches. Without a path it is the last that holds for
// everything.
func (r ruling) last(paths []string) (*codeowners.Rule, error) {
	for _, p := range paths {
		rule, err := r.rules.Match(p)
		if err != nil || rule != nil {
			return rule, err
		}
	}
	for i := len(r.rules) - 1; i >= 0 && len(paths) == 0; i-- {
		if slices.Contains([]string{"*", "**", "/", "/**"}, r.rules[i].RawPattern()) {
			return &r.rules[i], nil
		}
	}
	return nil, nil
}

func (o *Owners) byCatalogue(ctx context.Context, r graph.Repository, ws []graph.ExposedWorkload) (Owner, error) {
	for _, w := range ws {
		name := w.Owner
		if o.Catalogue != nil {
			name = nonEmpty(o.Catalogue.Owner(graph.Workload{ID: w.ID, Path: w.Path, Name: w.Name, Kind: w.Kind, Cluster: w.Cluster}), name)
		}
		logins, err := o.expand(ctx, r, name)
		if err != nil {
			return Owner{}, err
		}
		if len(logins) > 0 && r.Public() {
			return Owner{logins, "Assigned to the declared owner of what runs."}, nil
		}
		if len(logins) > 0 {
			return Owner{logins, fmt.Sprintf("Assigned to the declared owner of %s.", code(w.Name))}, nil
		}
	}
	return Owner{}, nil
}

var (
	teamName  = regexp.MustCompile(`^@?([A-Za-z0-9][A-Za-z0-9-]{0,38})/([A-Za-z0-9][A-Za-z0-9._-]{0,99})$`)
	loginName = regexp.MustCompile(`^@([A-Za-z0-9][A-Za-z0-9-]{0,38}(?:_[A-Za-z0-9]+)?)$`)
)

// expand turns @login and @org/team into logins that can be assigned. Everything else, such as an address, is nobody.
func (o *Owners) expand(ctx context.Context, r graph.Repository, name string) ([]string, error) {
	var candidates []string
	if m := teamName.FindStringSubmatch(name); m != nil {
		members, err := o.members(ctx, m[1], m[2])
		if err != nil {
			return nil, err
		}
		candidates = members
	} else if m := loginName.FindStringSubmatch(name); m != nil {
		candidates = []string{m[1]}
	}
	var logins []string
	for i, login := range candidates {
		if len(logins) == maxAssignees || i == maxTried {
			break
		}
		can, err := o.assignable(ctx, r, login)
		if err != nil {
			return nil, err
		}
		if can {
			logins = append(logins, login)
		}
	}
	return logins, nil
}

func add(logins, more []string) []string {
	for _, l := range more {
		if len(logins) < maxAssignees && !slices.ContainsFunc(logins, func(have string) bool { return strings.EqualFold(have, l) }) {
			logins = append(logins, l)
		}
	}
	return logins
}

func (o *Owners) ruling(ctx context.Context, r graph.Repository) (ruling, error) {
	return recall(o, &o.rules, r.ID, func() (ruling, error) {
		text, file, err := o.People.CodeOwners(ctx, r)
		if final(err) {
			return ruling{}, nil
		}
		if err != nil {
			return ruling{}, fmt.Errorf("read CODEOWNERS of %s: %w", r.FullName(), err)
		}
		return ruling{parseOwners(text), file}, nil
	})
}

// parseOwners reads the lines that are right; a wrong one counts for nothing, and does not spoil the others.
func parseOwners(text string) codeowners.Ruleset {
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	for i, line := range lines {
		if _, err := codeowners.ParseFile(strings.NewReader(line)); err != nil {
			lines[i] = ""
		}
	}
	rules, err := codeowners.ParseFile(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		return nil
	}
	return rules
}

func (o *Owners) members(ctx context.Context, org, team string) ([]string, error) {
	return recall(o, &o.teams, strings.ToLower(org+"/"+team), func() ([]string, error) {
		members, err := o.People.TeamMembers(ctx, org, team)
		if errors.Is(err, graph.ErrNotFound) || final(err) {
			return nil, nil
		}
		return members, err
	})
}

func (o *Owners) assignable(ctx context.Context, r graph.Repository, login string) (bool, error) {
	return recall(o, &o.assigned, string(r.ID)+" "+strings.ToLower(login), func() (bool, error) {
		can, err := o.People.Assignable(ctx, r, login)
		if final(err) {
			return false, nil
		}
		return can, err
	})
}

// recall gives what is remembered, or asks and remembers.
func recall[K comparable, V any](o *Owners, in *map[K]remembered[V], k K, ask func() (V, error)) (V, error) {
	o.mu.Lock()
	known, ok := (*in)[k]
	o.mu.Unlock()
	if ok && o.Now().Before(known.until) {
		return known.value, nil
	}
	v, err := ask()
	if err != nil {
		return v, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if *in == nil || len(*in) >= maxMemory {
		*in = map[K]remembered[V]{}
	}
	(*in)[k] = remembered[V]{v, o.Now().Add(memory)}
	return v, nil
}

// final tells whether no retry heals an error.
func final(err error) bool {
	var p permanent
	return errors.As(err, &p) && p.Permanent()
}

// owner chooses who is assigned to a new issue.
func (c *work) owner(ctx context.Context, p plan) (Owner, error) {
	if c.Owners == nil || !p.assign {
		return Owner{}, nil
	}
	found, err := c.Owners.Of(ctx, c.repository, c.paths(p), c.running(p))
	if err != nil {
		return Owner{}, fmt.Errorf("find the owner: %w", err)
	}
	return found, nil
}

// paths are the files that the fix is about.
func (c *work) paths(p plan) []string {
	var paths []string
	for _, f := range c.shown(p) {
		path := ""
		switch {
		case f.Alert != nil && f.Alert.Code != nil:
			path = f.Alert.Code.Path
		case f.Alert != nil && f.Alert.Dependency != nil:
			path = f.Alert.Dependency.Manifest
		}
		path = strings.TrimPrefix(path, "/")
		if path != "" && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// running are the workloads of the most urgent finding.
func (c *work) running(p plan) []graph.ExposedWorkload {
	var ws []graph.ExposedWorkload
	for _, d := range decisionOf(c.shown(p)[0]).Workloads {
		if w, known := c.workload(d.Workload); known {
			ws = append(ws, w)
		}
	}
	return ws
}

// who says why these people were assigned.
func (c *work) who() string {
	if c.remediation.Owned == "" {
		return ""
	}
	return "### Who\n\n" + c.remediation.Owned + "\n\n"
}
