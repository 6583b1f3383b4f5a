package client

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

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
	days    map[string][]string // webhooks that were asked for again, by day
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
	"deliveries":      readDeliveries,
	"alert":           readOneAlert,
	"digest":          readDigest,
	"attestations":    readRepositoryAttestations,
	"digests":         readPendingDigests,
	"inquiries":       readInquiries,
}

// Read reads one page of a scope:
//
//	all                                 the installations; an org follows for each
//	installation:<id>                   one of them
//	org:<login>                         repositories and the three alert lists follow
//	repositories:<login>                the repositories that the App reaches, 100 a page
//	<kind>:<login>, <kind>:<owner>/<name>   open alerts of a kind, 100 a page
//	delta:<kind>:<login>                alerts that changed since the time (RFC 3339) in the first cursor
//	deliveries                          webhooks that did not reach us since the time in the first cursor: asked for again
//	alert:<id>, repository:<id>         one of them in full; named Absent when GitHub says it is not there
//	digest:<digest>                     attestation records of one image
//	attestations:<repository id>        attestation records of the images that the graph holds for a repository
//	digests:<login>                     attestation records of images whose origin is not proven, 1,000 a page
//	inquiries:<round>                   attestation records of the images that are being asked for, 1,000 a page
//
// An error is *graph.Limited, *Refused, or transient; nothing was then read.
func (c *Client) Read(ctx context.Context, want graph.Collection) (graph.Collected, error) {
	name, subject, _ := strings.Cut(want.Scope, ":")
	read, known := scopes[name]
	if !known || (subject == "") != (name == "all" || name == "deliveries") || name == "deliveries" && c.options.Healer == nil {
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
