package github

import "throughline/infra/local/demo/estate"

// Standing is how a repository stands now.
type Standing struct {
	FullName                   string
	Private, Archived, Deleted bool
}

// Repositories tells how every repository stands, by index.
func (s *Server) Repositories() []Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Standing, len(s.repos))
	for i, r := range s.repos {
		out[i] = Standing{s.fullName(i), r.Private, r.Archived, r.Deleted}
	}
	return out
}

// Alerts tells how every alert stands, kind by kind, oldest first.
func (s *Server) Alerts() []estate.Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []estate.Alert
	for _, b := range s.books {
		for _, a := range b.all {
			out = append(out, a.Alert)
		}
	}
	return out
}
