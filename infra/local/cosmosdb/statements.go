package cosmosdb

import (
	"sync"

	"throughline/infra/local/cosmosdb/sql"
	"throughline/infra/local/cosmosdb/value"
)

// statements remembers parsed queries by their text: programs send the same few again and again.
type statements struct {
	mu    sync.Mutex
	known map[string]*sql.Statement
}

// maxStatements bounds the memory; when it is full everything is forgotten. Longer texts are not kept.
const (
	maxStatements    = 1000
	maxKnownLength   = 4096
	conditionKeyMark = "\x00condition\x00"
)

func newStatements() *statements { return &statements{known: map[string]*sql.Statement{}} }

func (s *statements) query(text string) (*sql.Statement, error) {
	return s.find(text, text, sql.Parse)
}

func (s *statements) condition(text string) (*sql.Statement, error) {
	return s.find(conditionKeyMark+text, text, sql.ParseCondition)
}

func (s *statements) find(key, text string, parse func(string) (*sql.Statement, error)) (*sql.Statement, error) {
	s.mu.Lock()
	found := s.known[key]
	s.mu.Unlock()
	if found != nil {
		return found, nil
	}
	parsed, err := parse(text)
	if err != nil || len(text) > maxKnownLength {
		return parsed, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxStatements {
		clear(s.known)
	}
	s.known[key] = parsed
	return parsed, nil
}

// readQuery reads {"query":…,"parameters":[{"name":…,"value":…}]} and binds it.
func (s *Server) readQuery(q *request) (*sql.Query, error) {
	text, err := q.text()
	if err != nil {
		return nil, err
	}
	body, err := value.Parse(text)
	if err != nil || body.Get("query").Kind() != value.String {
		return nil, badRequest("The query body is not valid: it needs a query text.")
	}
	statement, err := s.parsed.query(body.Get("query").Text())
	if err != nil {
		return nil, badRequest("%v", err)
	}
	params := map[string]value.Value{}
	for _, p := range body.Get("parameters").Items() {
		name := p.Get("name").Text()
		if len(name) < 2 || name[0] != '@' {
			return nil, badRequest("The query parameter '%s' is not valid: a name begins with @.", clip(name))
		}
		params[name] = p.Get("value")
	}
	bound, err := statement.Bind(params)
	if err != nil {
		return nil, badRequest("%v", err)
	}
	return bound, nil
}
