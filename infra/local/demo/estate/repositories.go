package estate

import (
	"fmt"
	"strings"
	"time"
)

// Repository is one GitHub repository of the organisation.
type Repository struct {
	ID          int64
	Name        string
	Description string
	Language    string // as GitHub shows it
	Ecosystem   string // as Dependabot spells it
	Private     bool
	Archived    bool
	Team        int
	Units       []string // build contexts: "" for the whole repository, else "services/x/"
	Commits     int      // length of the default branch's history
	OwnersPath  string   // where CODEOWNERS lies; "" when there is none
	Created     time.Time

	shape shape
}

type language struct{ name, ecosystem, extension, manifest string }

var languages = []language{
	{"TypeScript", "npm", "ts", "package-lock.json"},
	{"Python", "pip", "py", "requirements.txt"},
	{"Java", "maven", "java", "pom.xml"},
	{"Go", "go", "go", "go.mod"},
	{"C#", "nuget", "cs", "packages.lock.json"},
}

var pipelines = language{"Dockerfile", "actions", "yml", ".github/workflows/build.yml"}

func languageOf(r *Repository) language {
	for _, l := range languages {
		if l.name == r.Language {
			return l
		}
	}
	return pipelines
}

func (e *Estate) repositories(p plan) {
	offset := int(e.number("domains") % int64(len(domains)))
	places := []string{"CODEOWNERS", ".github/CODEOWNERS", "docs/CODEOWNERS", ""}
	for i, s := range p.repositories {
		r := e.random("repository", i)
		domain := domains[(i+offset)%len(domains)]
		if i >= len(domains) {
			domain = fmt.Sprintf("%s-%d", domain, i/len(domains))
		}
		l := languages[(i+offset)%len(languages)]
		if s == base {
			l = pipelines
		}
		repo := Repository{
			ID: 700_000_000 + e.number("repositories")%1_000_000 + int64(i)*41, Language: l.name, Ecosystem: l.ecosystem,
			Private: s != public, Archived: s == archived, Team: r.IntN(len(e.Teams)), Units: unitNames(s, domain),
			Commits: 40 + r.IntN(200), OwnersPath: places[(i+offset)%len(places)], shape: s,
			Created: e.Epoch.AddDate(0, 0, -400-r.IntN(900)),
		}
		repo.Name, repo.Description = names(s, domain)
		e.Repositories = append(e.Repositories, repo)
	}
}

func names(s shape, domain string) (name, description string) {
	switch s {
	case monorepo:
		return domain + "-platform", "Everything that serves " + domain
	case base:
		return domain + "-base-images", "Base images that the services build on"
	case library:
		return domain + "-lib", "Shared code for " + domain
	case archived:
		return domain + "-legacy", "The old " + domain + " service, read only"
	case public:
		return domain + "-web", "The public face of " + domain
	}
	return domain + "-api", "The " + domain + " service"
}

func units(s shape) int { return len(unitNames(s, "")) }

func unitNames(s shape, domain string) []string {
	switch s {
	case library:
		return nil
	case monorepo:
		return []string{"services/" + domain + "-gateway/", "services/" + domain + "-worker/"}
	}
	return []string{""}
}

// FullName is owner/name.
func (e *Estate) FullName(repo int) string { return e.Org.Login + "/" + e.Repositories[repo].Name }

// Owners is the text of a repository's CODEOWNERS file, "" when it has none.
func (e *Estate) Owners(repo int) string {
	re := e.Repositories[repo]
	if re.OwnersPath == "" {
		return ""
	}
	r := e.random("owners", repo)
	var b strings.Builder
	fmt.Fprintf(&b, "# who answers for what\n*  @%s/%s\n", e.Org.Login, e.Teams[re.Team].Slug)
	for _, u := range re.Units {
		if u != "" {
			fmt.Fprintf(&b, "/%s  @%s @%s/%s\n", u, pick(r, e.Users).Login, e.Org.Login, pick(r, e.Teams).Slug)
		}
	}
	fmt.Fprintf(&b, "/docs/  docs@example.com\n*.%s  @%s\n", languageOf(&re).extension, e.Users[e.Teams[re.Team].Members[0]].Login)
	return b.String()
}

// Properties are the custom properties that the organisation keeps of a repository.
func (e *Estate) Properties(repo int) map[string]string {
	re := e.Repositories[repo]
	tier := []string{"gold", "silver", "bronze"}[e.number("service-tier", repo)%3]
	return map[string]string{"service-tier": tier, "team": e.Teams[re.Team].Slug}
}
