package estate

import "fmt"

var teamNames = []string{"payments", "storefront", "platform", "data", "mobile", "integration", "security", "billing"}

func (e *Estate) people(p plan) {
	r := e.random("people")
	taken := map[string]bool{}
	for i := range p.users {
		first, last := pick(r, firstNames), pick(r, lastNames)
		login := fmt.Sprintf("%s-%s", first, last)
		if taken[login] {
			login = fmt.Sprintf("%s%d", login, i)
		}
		taken[login] = true
		e.Users = append(e.Users, Account{
			ID: 3_000_000 + e.number("users")%100_000 + int64(i)*17, Login: login, Name: title(first) + " " + title(last), Type: "User",
		})
	}
	for i := range p.teams {
		slug := teamNames[i%len(teamNames)]
		if i >= len(teamNames) {
			slug = fmt.Sprintf("%s-%d", slug, i/len(teamNames))
		}
		t := Team{ID: 8_000_000 + e.number("teams")%100_000 + int64(i)*11, Slug: slug, Name: title(slug)}
		for m := range 3 {
			t.Members = append(t.Members, (i*3+m)%len(e.Users))
		}
		e.Teams = append(e.Teams, t)
	}
}

// Bot is the account under which the App itself writes.
func (e *Estate) Bot() Account {
	return Account{ID: e.AppID + 170_000_000, Login: e.AppSlug + "[bot]", Name: e.AppSlug, Type: "Bot"}
}

// Account finds a person, the App's bot or the organisation by login.
func (e *Estate) Account(login string) (Account, bool) {
	if login == e.Bot().Login {
		return e.Bot(), true
	}
	if login == e.Org.Login {
		return e.Org, true
	}
	for _, u := range e.Users {
		if u.Login == login {
			return u, true
		}
	}
	return Account{}, false
}

// Assignable tells whether a person may be assigned in a repository: members of its team, and one in three of the others.
func (e *Estate) Assignable(repo int, login string) bool {
	for i, u := range e.Users {
		if u.Login != login {
			continue
		}
		for _, m := range e.Teams[e.Repositories[repo].Team].Members {
			if m == i {
				return true
			}
		}
		return (i+repo)%3 == 0
	}
	return false
}
