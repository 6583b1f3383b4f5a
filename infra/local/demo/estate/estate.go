// Package estate makes up an organisation on GitHub and what it runs in Azure, from a seed.
//
// The estate is a value: the same seed, size and epoch give the same estate, another seed gives another one. It is kept
// compact (a few hundred bytes for each noun); what costs memory, such as manifests, statements and Defender rows, is
// derived from it when somebody asks. The estate itself never changes: what happens later lives with the stand-ins.
//
// Every advisory, rule and software name is public knowledge; every organisation, person, secret and workload is made up.
package estate

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Kind is one of GitHub's three kinds of security alerts.
type Kind int

// The kinds of alerts, in the order of Kinds.
const (
	CodeScanning Kind = iota
	Dependabot
	SecretScanning
)

// Kinds lists every kind once.
var Kinds = [...]Kind{CodeScanning, Dependabot, SecretScanning}

// String gives the word GitHub uses in identities: code_scanning, dependabot, secret_scanning.
func (k Kind) String() string {
	return [...]string{"code_scanning", "dependabot", "secret_scanning"}[k]
}

// Slug gives the path segment of GitHub's REST API: code-scanning, dependabot, secret-scanning.
func (k Kind) Slug() string {
	return [...]string{"code-scanning", "dependabot", "secret-scanning"}[k]
}

// Config says which estate is wanted. Epoch is the moment just after the last thing that happened in it.
type Config struct {
	Seed  int64
	Size  string // "small", "medium", "large", or "large/N": an Nth of it
	Epoch time.Time
}

// Estate is one organisation, its repositories, alerts, images and workloads.
type Estate struct {
	Config
	Org             Account
	AppID           int64
	AppSlug         string
	InstallationID  int64
	Tenant          string
	ManagementGroup string
	Subscriptions   []string
	Users           []Account
	Teams           []Team
	Repositories    []Repository
	Images          []Image
	Clusters        []Cluster
	Workloads       []Workload
	Alerts          [3][]Alert // by Kind, oldest first

	plan     plan
	imagesOf [][]int // image indexes by repository index
	alertsOf [][]int // dependabot alert indexes by repository index
	runs     [][]int // workload indexes by image index
}

// Account is a person or the organisation.
type Account struct {
	ID    int64
	Login string
	Name  string
	Type  string // "User", "Organization" or "Bot"
}

// Team is a GitHub team; members are indexes into Users.
type Team struct {
	ID      int64
	Slug    string
	Name    string
	Members []int
}

// New generates the estate. An unknown size is an error.
func New(c Config) (*Estate, error) {
	p, err := planFor(c)
	if err != nil {
		return nil, err
	}
	e := &Estate{Config: c, plan: p}
	e.tenancy()
	e.people(p)
	e.repositories(p)
	e.alerts(p)
	e.images(p)
	e.workloads(p)
	return e, nil
}

// ImagesOf lists the images (indexes) that a repository builds.
func (e *Estate) ImagesOf(repo int) []int { return e.imagesOf[repo] }

// WorkloadsOf lists the workloads (indexes) that run an image when the estate begins.
func (e *Estate) WorkloadsOf(image int) []int { return e.runs[image] }

// Host names the registry host of the organisation.
func (e *Estate) Host() string { return "throughlinedemo.azurecr.io" }

func (e *Estate) tenancy() {
	e.Org = Account{ID: 9_000_000 + e.number("org")%900_000, Login: "throughline-demo", Name: "Throughline Demo", Type: "Organization"}
	e.AppID = 1_200_000 + e.number("app")%90_000
	e.AppSlug = "throughline-local"
	e.InstallationID = 60_000_000 + e.number("installation")%900_000
	e.Tenant = e.guid("tenant")
	e.ManagementGroup = "throughline-demo"
	e.Subscriptions = []string{e.guid("subscription", 0), e.guid("subscription", 1)}
}

// random gives a source of its own for every noun, so that nouns can be made in any order.
func (e *Estate) random(name ...any) *rand.Rand {
	h := e.number(name...)
	return rand.New(rand.NewPCG(uint64(e.Seed), uint64(h)))
}

func (e *Estate) number(name ...any) int64 {
	h := fnv.New64a()
	fmt.Fprint(h, e.Seed, "/", e.Size)
	for _, n := range name {
		fmt.Fprint(h, "/", n)
	}
	return int64(h.Sum64() >> 1)
}

func (e *Estate) guid(name ...any) string { return GUID(append([]any{e.Seed, e.Size}, name...)...) }

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }
