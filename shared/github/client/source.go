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

// Source is the name of this source in collections and observations.
const Source = "github"

// reading is one collection under way.
type reading struct {
	*Client
	graph.Collection
	subject string // what follows the scope's name
	out     graph.Collected
}

// scopes is the table of scopes that this source reads: <name> alone or <name>:<subject>.
var scopes = map[string]func(context.Context, *reading) error{
	"all":             readAll,
	"installation":    readOneInstallation,
	"org":             readOrg,
	"repositories":    readRepositories,
	"repository":      readOneRepository,
	"code_scanning":   readAlerts,
	"dependabot":      readAlerts,
	"secret_scanning": readAlerts,
	"delta":           readDelta,
	"alert":           readOneAlert,
	"digest":          readDigest,
	"attestations":    readRepositoryAttestations,
	"digests":         readPendingDigests,
}

// Read reads one page of a scope:
//
//	all                                 the installations; an org follows for each
//	installation:<id>                   one of them
//	org:<login>                         repositories and the three alert lists follow
//	repositories:<login>                the repositories that the App reaches, 100 a page
//	<kind>:<login>, <kind>:<owner>/<name>   open alerts of a kind, 100 a page
//	delta:<kind>:<login>                alerts that changed since the time (RFC 3339) in the first cursor
//	alert:<id>, repository:<id>         one of them in full; named Absent when GitHub says it is not there
//	digest:<digest>                     attestation records of one image
//	attestations:<repository id>        attestation records of the images that the graph holds for a repository
//	digests:<login>                     attestation records of images whose origin is not known, 1,024 a page
//
// An error is *graph.Limited, *Refused, or transient; nothing was then read.
func (c *Client) Read(ctx context.Context, want graph.Collection) (graph.Collected, error) {
	name, subject, _ := strings.Cut(want.Scope, ":")
	read, known := scopes[name]
	if !known || (subject == "") != (name == "all") {
		return graph.Collected{}, &Refused{Status: http.StatusNotFound, Request: "scope " + want.Scope, Why: "there is no such scope"}
	}
	r := &reading{Client: c, Collection: want, subject: subject}
	r.out.Observation = graph.Observation{Source: Source, ObservedAt: c.options.Now().UTC()}
	if err := read(ctx, r); err != nil {
		return graph.Collected{}, err
	}
	return r.out, nil
}

func (r *reading) skip(reason string) {
	if r.out.Skipped == nil {
		r.out.Skipped = map[string]int{}
	}
	r.out.Skipped[reason]++
}

// follow calls for another scope within the same run.
func (r *reading) follow(format string, args ...any) {
	r.out.Follow = append(r.out.Follow, graph.Collection{Source: Source, Scope: fmt.Sprintf(format, args...), Run: r.Run, StartedAt: r.StartedAt})
}

func readAll(ctx context.Context, r *reading) error {
	all, err := r.installed(ctx, directoryPause)
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.suspended {
			r.skip("installation that is suspended")
			continue
		}
		r.follow("org:%s", i.account.Login)
	}
	return nil
}

func readOneInstallation(ctx context.Context, r *reading) error {
	id, err := strconv.ParseInt(r.subject, 10, 64)
	if err != nil {
		return &Refused{Status: http.StatusNotFound, Request: "scope " + r.Scope, Why: "an installation has a number"}
	}
	all, err := r.installed(ctx, directoryPause)
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.id == id && !i.suspended {
			r.follow("org:%s", i.account.Login)
		}
	}
	return nil
}

func readOrg(ctx context.Context, r *reading) error {
	_, i, err := r.account(ctx, r.subject)
	if err != nil {
		return err
	}
	r.follow("repositories:%s", i.account.Login)
	if i.account.Type != "User" {
		for _, kind := range github.Kinds {
			r.follow("%s:%s", kind.Kind, i.account.Login)
		}
	}
	if r.options.Pending != nil {
		r.follow("digests:%s", i.account.Login)
	}
	return nil
}

// readRepositories reads what the App reaches, not what the organisation has. A person's account has no lists of alerts,
// so those of each repository follow.
func readRepositories(ctx context.Context, r *reading) error {
	a, i, err := r.account(ctx, r.subject)
	if err != nil {
		return err
	}
	where := r.Cursor
	if where == "" {
		where = "installation/repositories?per_page=100"
	}
	got, err := r.read(ctx, a, http.MethodGet, where, nil)
	if err != nil {
		return err
	}
	r.out.Next, r.out.Seen = got.next, []graph.Absence{}
	return walk(got, func(c *scan.Cursor) {
		for c.Object(); c.Field(); {
			if string(c.Key()) != "repositories" {
				continue
			}
			for c.Array(); c.Element(); {
				r.takeRepository(github.ReadRepository(c), i)
			}
		}
	})
}

func (r *reading) takeRepository(found github.Repository, i installation) {
	noun, err := found.Noun(r.host, i.id)
	if err != nil {
		r.skip(err.Error())
		return
	}
	r.learn(noun.ID, place{i, noun.Owner, noun.Name})
	r.out.Observation.Repositories = append(r.out.Observation.Repositories, noun)
	if r.out.Seen != nil {
		r.out.Seen = append(r.out.Seen, graph.Absence{Kind: graph.KindRepository, ID: string(noun.ID)})
	}
	if i.account.Type != "User" || noun.Archived || r.out.Seen == nil {
		return
	}
	for _, kind := range github.Kinds {
		r.follow("%s:%s", kind.Kind, noun.FullName())
	}
}

func readOneRepository(ctx context.Context, r *reading) error {
	id := graph.RepositoryID(r.subject)
	found, p, err := r.fetchRepository(ctx, id)
	if isGone(err) {
		r.forget(id)
		r.out.Observation.Absent = []graph.Absence{{Kind: graph.KindRepository, ID: string(id)}}
		return nil
	}
	if err != nil {
		return err
	}
	r.takeRepository(found, p.installation)
	return nil
}

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
