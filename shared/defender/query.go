package defender

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"throughline/shared/graph"
)

const (
	graphPath    = "/providers/Microsoft.ResourceGraph/resources"
	graphVersion = "2024-04-01"
	// pageSize is the most that Resource Graph gives.
	pageSize = 1000
	// maxScopes keeps a batch of scopes below the 300 that Resource Graph recommends.
	maxScopes = 250
)

// scopeGroup is what one query reads. The zero value is the whole tenant.
type scopeGroup struct {
	Subscriptions    []string `json:"subscriptions,omitempty"`
	ManagementGroups []string `json:"managementGroups,omitempty"`
}

var scopeForm = regexp.MustCompile(`^[A-Za-z0-9._()-]{1,90}$`)

// groupScopes batches subscriptions and management groups, which never share a query.
func groupScopes(scopes []string) ([]scopeGroup, error) {
	var subscriptions, managementGroups []string
	for _, s := range scopes {
		s = strings.TrimSpace(s)
		name, isGroup := strings.CutPrefix(s, "mg:")
		switch {
		case !scopeForm.MatchString(name):
			return nil, fmt.Errorf("scope %q: want a subscription id or mg:<management group name>", s)
		case isGroup:
			managementGroups = append(managementGroups, name)
		default:
			subscriptions = append(subscriptions, name)
		}
	}
	var groups []scopeGroup
	for part := range chunks(managementGroups, maxScopes) {
		groups = append(groups, scopeGroup{ManagementGroups: part})
	}
	for part := range chunks(subscriptions, maxScopes) {
		groups = append(groups, scopeGroup{Subscriptions: part})
	}
	if len(groups) == 0 {
		groups = []scopeGroup{{}}
	}
	return groups, nil
}

// chunks yields the items in slices of at most n; nothing for no items.
func chunks[T any](items []T, n int) func(func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(items) > 0 {
			k := min(n, len(items))
			if !yield(items[:k]) {
				return
			}
			items = items[k:]
		}
	}
}

type graphRequest struct {
	scopeGroup
	Query   string       `json:"query"`
	Options graphOptions `json:"options"`
}

type graphOptions struct {
	ResultFormat string `json:"resultFormat"`
	Top          int    `json:"$top"`
	SkipToken    string `json:"$skipToken,omitempty"`
}

// page is one answer of Resource Graph. resultTruncated is not looked at: it says "false" beside a token.
type page struct {
	SkipToken string            `json:"$skipToken"`
	Data      []json.RawMessage `json:"data"`
}

// query reads one page of one group. Rows that are no objects mean that the answer is not what was asked for.
func (a *arm) query(ctx context.Context, g scopeGroup, kql, token string) (page, error) {
	var p page
	in := graphRequest{g, kql, graphOptions{ResultFormat: "objectArray", Top: pageSize, SkipToken: token}}
	if err := a.call(ctx, http.MethodPost, a.url(graphPath, graphVersion), in, &p); err != nil {
		return page{}, err
	}
	if p.Data == nil {
		return page{}, fmt.Errorf("resource graph: answer without data")
	}
	if p.SkipToken != "" && p.SkipToken == token {
		return page{}, fmt.Errorf("resource graph: the page names itself as the next")
	}
	return p, nil
}

// paged reads the page at the cursor and sets the next one. A cursor is `<group>.<skip token>`.
func (r *reading) paged(ctx context.Context, kql, cursor string, rows func(context.Context, scopeGroup, []json.RawMessage) error) error {
	n, token, err := parseCursor(cursor, len(r.groups))
	if err != nil {
		return err
	}
	p, err := r.arm.query(ctx, r.groups[n], kql, token)
	if err != nil {
		return err
	}
	r.out.Seen = []graph.Absence{} // a page without rows is a page too
	if err := rows(ctx, r.groups[n], p.Data); err != nil {
		return err
	}
	switch {
	case p.SkipToken != "":
		r.out.Next = fmt.Sprintf("%d.%s", n, p.SkipToken)
	case n+1 < len(r.groups):
		r.out.Next = fmt.Sprintf("%d.", n+1)
	}
	return nil
}

func parseCursor(cursor string, groups int) (group int, token string, err error) {
	if cursor == "" {
		return 0, "", nil
	}
	digits, token, found := strings.Cut(cursor, ".")
	group, err = strconv.Atoi(digits)
	if !found || err != nil || group < 0 || group >= groups {
		return 0, "", fmt.Errorf("cursor %.40q does not fit the scopes", cursor)
	}
	return group, token, nil
}

// quoted writes a KQL string literal.
func quoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func quotedList(items []string) string {
	out := make([]string, len(items))
	for i, s := range items {
		out[i] = quoted(s)
	}
	return strings.Join(out, ", ")
}
