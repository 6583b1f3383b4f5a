package client

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"throughline/shared/github"
	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// readAlerts reads a page of open alerts, of an account or of one repository.
func readAlerts(ctx context.Context, r *reading) error {
	name, _, _ := strings.Cut(r.Scope, ":")
	kind, _ := github.KindOf(graph.AlertKind(name))
	query := "?per_page=100&state=open"
	if kind.Kind == graph.SecretScanning {
		query += "&hide_secret=true&after=" // an empty after begins a list with cursors, in which nothing shifts
	}
	r.out.Seen = []graph.Absence{}
	got, err := r.alertPage(ctx, kind, r.subject, r.Cursor, query, r.takeAlert)
	r.out.Next = got.next
	return err
}

// alertPage asks for a page of alerts and hands them to take.
func (r *reading) alertPage(ctx context.Context, kind github.Kind, whose, cursor, query string, take func(github.Alert, github.Repository, installation)) (answer, error) {
	owner, name, one := strings.Cut(whose, "/")
	a, i, err := r.account(ctx, owner)
	if err != nil {
		return answer{}, err
	}
	where := cursor
	if where == "" {
		if where = path("orgs", owner) + "/" + kind.List + "/alerts" + query; one {
			where = path("repos", owner, name) + "/" + kind.List + "/alerts" + query
		}
	}
	var repository github.Repository
	if one {
		if repository, err = r.named(ctx, a, owner, name); err != nil {
			return answer{}, err
		}
	}
	got, err := r.read(ctx, a, http.MethodGet, where, nil)
	if err != nil {
		return answer{}, err
	}
	return got, walk(got, func(c *scan.Cursor) {
		for c.Array(); c.Element(); {
			found := kind.Read(c)
			if found.In.ID == 0 {
				found.In = repository
			}
			take(found, found.In, i)
		}
	})
}

// named reads a repository by its name.
func (c *Client) named(ctx context.Context, a *access, owner, name string) (github.Repository, error) {
	got, err := c.read(ctx, a, http.MethodGet, path("repos", owner, name), nil)
	if err != nil {
		return github.Repository{}, err
	}
	var r github.Repository
	err = walk(got, func(cur *scan.Cursor) { r = github.ReadRepository(cur) })
	return r, err
}

// takeAlert observes an alert of a list, and its repository as far as the list tells of it.
func (r *reading) takeAlert(found github.Alert, in github.Repository, i installation) {
	noun, err := found.Of(in.Identity(r.host))
	if err != nil {
		r.skip(err.Error())
		return
	}
	if noun.State == "" {
		noun.State = graph.Open
	}
	r.out.Observation.Alerts = append(r.out.Observation.Alerts, noun)
	if r.out.Seen != nil {
		r.out.Seen = append(r.out.Seen, graph.Absence{Kind: graph.KindFinding, ID: string(noun.ID)})
	}
	r.takePartly(in, i)
}

// takePartly observes a repository that is named beside something else, once a page.
func (r *reading) takePartly(in github.Repository, i installation) {
	noun, err := in.Noun(r.host, i.id)
	if err != nil {
		r.skip(err.Error())
		return
	}
	for _, there := range r.out.Observation.Repositories {
		if there.ID == noun.ID {
			return
		}
	}
	r.learn(noun.ID, place{i, noun.Owner, noun.Name})
	noun.Partial = true
	r.out.Observation.Repositories = append(r.out.Observation.Repositories, noun)
}

// deltaSpan is how far a delta without a watermark looks back.
const deltaSpan = time.Hour

// readDelta reads alerts by the time of their last change, newest first, and stops at the watermark.
func readDelta(ctx context.Context, r *reading) error {
	name, whose, _ := strings.Cut(r.subject, ":")
	kind, known := github.KindOf(graph.AlertKind(name))
	if !known || whose == "" {
		return &Refused{Status: http.StatusNotFound, Request: "scope " + r.Scope, Why: "a delta is delta:<kind>:<login>"}
	}
	mark, cursor := r.watermark()
	query := "?per_page=100&sort=updated&direction=desc"
	if kind.Kind == graph.SecretScanning {
		query += "&hide_secret=true&after="
	}
	older := false
	got, err := r.alertPage(ctx, kind, whose, cursor, query, func(found github.Alert, in github.Repository, i installation) {
		if found.UpdatedAt.Before(mark) {
			older = true
			return
		}
		r.takeAlert(found, in, i)
	})
	if err == nil && !older && got.next != "" {
		r.out.Next = mark.Format(time.RFC3339) + " " + got.next
	}
	return err
}

// watermark takes the cursor of a delta apart.
func (r *reading) watermark() (time.Time, string) {
	text, cursor, _ := strings.Cut(r.Cursor, " ")
	mark, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return r.options.Now().Add(-deltaSpan), ""
	}
	return mark, cursor
}

// readOneAlert reads one alert in full. It counts as gone only while its repository is there.
func readOneAlert(ctx context.Context, r *reading) error {
	id := graph.FindingID(r.subject)
	repository, k, number, ok := graph.ParseAlertID(id)
	kind, known := github.KindOf(k)
	if !ok || !known {
		return &Refused{Status: http.StatusNotFound, Request: "scope " + r.Scope, Why: "that is no alert's identity"}
	}
	found, p, err := r.alertAt(ctx, repository, kind, number)
	if isGone(err) {
		r.forget(repository)
		if _, _, again := r.fetchRepository(ctx, repository); again != nil {
			return again
		}
		if found, p, err = r.alertAt(ctx, repository, kind, number); isGone(err) {
			r.out.Observation.Absent = []graph.Absence{{Kind: graph.KindFinding, ID: string(id)}}
			return nil
		}
	}
	if err != nil {
		return err
	}
	noun, err := found.Of(repository)
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	if noun.State == "" {
		noun.State = graph.Open
	}
	r.out.Observation.Alerts = []graph.Alert{noun}
	r.learn(repository, p)
	return nil
}

func (r *reading) alertAt(ctx context.Context, repository graph.RepositoryID, kind github.Kind, number int) (github.Alert, place, error) {
	p, err := r.locate(ctx, repository)
	if err != nil {
		return github.Alert{}, p, err
	}
	a, err := r.as(p.installation)
	if err != nil {
		return github.Alert{}, p, err
	}
	where := path("repos", p.owner, p.name) + "/" + kind.List + "/alerts/" + strconv.Itoa(number)
	if kind.Kind == graph.SecretScanning {
		where += "?hide_secret=true"
	}
	got, err := r.read(ctx, a, http.MethodGet, where, nil)
	if err != nil {
		return github.Alert{}, p, err
	}
	var found github.Alert
	err = walk(got, func(c *scan.Cursor) { found = kind.Read(c) })
	return found, p, err
}
