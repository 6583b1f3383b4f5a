package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"throughline/shared/github"
	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// installation is one account on which the App is installed.
type installation struct {
	id        int64
	account   github.Account
	suspended bool
}

// directory remembers who can be asked about what.
type directory struct {
	installations []installation
	read          time.Time
	places        map[graph.RepositoryID]place
}

// place is where a repository is to be found: its name now, and the installation that reaches it.
type place struct {
	installation installation
	owner, name  string
}

const (
	directoryAge   = 10 * time.Minute
	directoryPause = 15 * time.Second
	maxPlaces      = 20000
)

// installed lists the installations; what was read within the age is good enough.
func (c *Client) installed(ctx context.Context, age time.Duration) ([]installation, error) {
	c.mu.Lock()
	known, at := c.directory.installations, c.directory.read
	c.mu.Unlock()
	if !at.IsZero() && c.options.Now().Sub(at) < age {
		return known, nil
	}
	var all []installation
	for where := "app/installations?per_page=100"; where != ""; {
		got, err := c.call(ctx, c.app, http.MethodGet, where, nil)
		if err != nil {
			return nil, fmt.Errorf("list installations: %w", err)
		}
		err = walk(got, func(cur *scan.Cursor) {
			for cur.Array(); cur.Element(); {
				all = append(all, readInstallation(cur))
			}
		})
		if err != nil {
			return nil, fmt.Errorf("list installations: %w", err)
		}
		where = got.next
	}
	slices.SortFunc(all, func(a, b installation) int { return cmp.Compare(a.id, b.id) })
	c.mu.Lock()
	c.directory.installations, c.directory.read = all, c.options.Now()
	c.mu.Unlock()
	return all, nil
}

func readInstallation(c *scan.Cursor) installation {
	var i installation
	for c.Object(); c.Field(); {
		i.read(c)
	}
	return i
}

// read takes one field.
func (i *installation) read(c *scan.Cursor) {
	switch string(c.Key()) {
	case "id":
		i.id = c.Int()
	case "account":
		i.account = github.ReadAccount(c)
	case "suspended_at":
		i.suspended = !c.IsNull()
	}
}

// errNotInstalled tells that the App cannot see an account.
var errNotInstalled = errors.New("the App is not installed there")

// installationOf finds the installation on an account.
func (c *Client) installationOf(ctx context.Context, login string) (installation, error) {
	for _, age := range []time.Duration{directoryAge, directoryPause} {
		all, err := c.installed(ctx, age)
		if err != nil {
			return installation{}, err
		}
		for _, i := range all {
			if strings.EqualFold(i.account.Login, login) && !i.suspended {
				return i, nil
			}
		}
	}
	return installation{}, &Refused{Status: http.StatusNotFound, Request: "installation on " + login, Why: errNotInstalled.Error()}
}

// Reaches tells whether the App is installed on an account.
func (c *Client) Reaches(ctx context.Context, login string) (bool, error) {
	_, err := c.installationOf(ctx, login)
	if isGone(err) {
		return false, nil
	}
	return err == nil, err
}

// account gives access to what an account owns.
func (c *Client) account(ctx context.Context, login string) (*access, installation, error) {
	i, err := c.installationOf(ctx, login)
	if err != nil {
		return nil, i, err
	}
	a, err := c.as(i)
	return a, i, err
}

// repository gives access to a repository that the graph knows.
func (c *Client) repository(ctx context.Context, r graph.Repository) (*access, error) {
	all, err := c.installed(ctx, directoryAge)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.id == r.Installation && !i.suspended {
			return c.as(i)
		}
	}
	a, _, err := c.account(ctx, r.Owner)
	return a, err
}

// locate finds where a repository is, by its identity alone. isGone tells that no installation reaches it.
func (c *Client) locate(ctx context.Context, id graph.RepositoryID) (place, error) {
	c.mu.Lock()
	p, known := c.directory.places[id]
	c.mu.Unlock()
	if known {
		return p, nil
	}
	_, p, err := c.fetchRepository(ctx, id)
	return p, err
}

// fetchRepository reads a repository by its number, from the first installation that reaches it.
func (c *Client) fetchRepository(ctx context.Context, id graph.RepositoryID) (github.Repository, place, error) {
	if id.Host() != c.host || id.Number() < 1 {
		return github.Repository{}, place{}, &Refused{Status: http.StatusBadRequest, Request: "repository " + string(id), Why: "it is not a repository of " + c.host}
	}
	all, err := c.installed(ctx, directoryAge)
	if err != nil {
		return github.Repository{}, place{}, err
	}
	var last error = &Refused{Status: http.StatusNotFound, Request: "repository " + string(id), Why: errNotInstalled.Error()}
	for _, i := range all {
		if i.suspended {
			continue
		}
		a, err := c.as(i)
		if err != nil {
			return github.Repository{}, place{}, err
		}
		r, err := c.repositoryAt(ctx, a, id)
		if err == nil {
			p := place{i, r.Owner.Login, r.Name}
			c.learn(id, p)
			return r, p, nil
		}
		if last = err; !isGone(err) {
			return github.Repository{}, place{}, err
		}
	}
	return github.Repository{}, place{}, last
}

func (c *Client) repositoryAt(ctx context.Context, a *access, id graph.RepositoryID) (github.Repository, error) {
	got, err := c.read(ctx, a, http.MethodGet, "repositories/"+strconv.FormatInt(id.Number(), 10), nil)
	if err != nil {
		return github.Repository{}, err
	}
	var r github.Repository
	err = walk(got, func(cur *scan.Cursor) { r = github.ReadRepository(cur) })
	if err == nil && r.ID != id.Number() {
		err = fmt.Errorf("asked for %s, GitHub answers repository %d", id, r.ID)
	}
	return r, err
}

// learn remembers where a repository is.
func (c *Client) learn(id graph.RepositoryID, p place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.directory.places == nil || len(c.directory.places) >= maxPlaces {
		c.directory.places = map[graph.RepositoryID]place{}
	}
	c.directory.places[id] = p
}

// forget drops what was remembered, after GitHub said that it is not there.
func (c *Client) forget(id graph.RepositoryID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.directory.places, id)
}

// Slug is the App's name in GitHub's addresses; its bot is <slug>[bot].
func (c *Client) Slug(ctx context.Context) (string, error) {
	c.mu.Lock()
	slug := c.slug
	c.mu.Unlock()
	if slug != "" {
		return slug, nil
	}
	got, err := c.call(ctx, c.app, http.MethodGet, "app", nil)
	if err != nil {
		return "", fmt.Errorf("read the App: %w", err)
	}
	err = walk(got, func(cur *scan.Cursor) {
		for cur.Object(); cur.Field(); {
			if string(cur.Key()) == "slug" {
				slug = cur.String()
			}
		}
	})
	if err == nil && slug == "" {
		err = errors.New("GitHub names no slug")
	}
	if err != nil {
		return "", fmt.Errorf("read the App: %w", err)
	}
	c.mu.Lock()
	c.slug = slug
	c.mu.Unlock()
	return slug, nil
}
