package azure

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"throughline/infra/local/demo/estate"
	"throughline/infra/local/demo/journal"
	"throughline/infra/local/demo/kusto"
)

// assignment is a governance assignment: who answers for an assessment, by when, under which ticket.
type assignment struct {
	ID         string          `json:"id"`   // as it was written
	Home       string          `json:"home"` // the assessment's id
	Name       string          `json:"name"`
	Properties json.RawMessage `json:"properties"`
	Deleted    bool            `json:"deleted,omitempty"`
}

// assignmentProperties are the fields that Azure checks. Pointers tell absent from empty.
type assignmentProperties struct {
	Due   *time.Time `json:"remediationDueDate"`
	Owner string     `json:"owner,omitempty"`
	Grace bool       `json:"isGracePeriod"`
	ETA   *struct {
		At            *time.Time `json:"eta"`
		Justification *string    `json:"justification"`
	} `json:"remediationEta,omitempty"`
	Notification *struct {
		Owner   bool `json:"disableOwnerEmailNotification"`
		Manager bool `json:"disableManagerEmailNotification"`
	} `json:"governanceEmailNotification,omitempty"`
	Additional *struct {
		Number *float64 `json:"ticketNumber,omitempty"`
		Link   string   `json:"ticketLink,omitempty"`
		Status string   `json:"ticketStatus,omitempty"`
	} `json:"additionalData,omitempty"`
}

const assignmentsOf = "/governanceassignments"

var assignmentVersions = []string{"2022-01-01-preview", "2021-06-01"}

// loadAssignments begins with ten that the organisation made by itself, three of them overdue, two with a ticket.
func (s *Server) loadAssignments() error {
	n := 0
	for i, w := range s.world.Workloads {
		software := s.world.Software(w.Image)
		if n == 10 || !w.OnAKS() || len(software) == 0 {
			continue
		}
		home := s.world.ResourceID(w) + "/providers/Microsoft.Security/assessments/" + s.assessmentName(s.world.ResourceID(w), software[0])
		name := estate.GUID("assignment", s.world.Seed, i)
		s.keep(&assignment{ID: home + "/governanceAssignments/" + name, Home: home, Name: name, Properties: s.native(n)})
		n++
	}
	return s.journal.Each("assignment/", func(_ string, raw json.RawMessage) error {
		a := &assignment{}
		if err := json.Unmarshal(raw, a); err != nil {
			return err
		}
		s.keep(a)
		return nil
	})
}

func (s *Server) native(n int) json.RawMessage {
	due := s.world.Epoch.AddDate(0, 0, 20+n)
	if n < 3 {
		due = s.world.Epoch.AddDate(0, 0, -5-n)
	}
	p := bag{"owner": s.world.Users[n%len(s.world.Users)].Login + "@example.com", "remediationDueDate": due.Format(time.RFC3339), "isGracePeriod": n%2 == 0}
	if n == 4 || n == 5 {
		p["additionalData"] = bag{"ticketNumber": 4100 + n, "ticketLink": "https://tickets.example.com/4100", "ticketStatus": "Active"}
	}
	return json.RawMessage(asText(p))
}

func (s *Server) keep(a *assignment) {
	s.assignments[strings.ToLower(a.ID)] = a
	s.listed = nil
	s.version++
}

// assignmentList is every assignment in the order of ids.
func (s *Server) assignmentList() []*assignment {
	if s.listed != nil {
		return s.listed
	}
	var keys []string
	for k, a := range s.assignments {
		if !a.Deleted {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	s.listed = make([]*assignment, len(keys))
	for i, k := range keys {
		s.listed[i] = s.assignments[k]
	}
	return s.listed
}

func (a *assignment) body() map[string]any {
	return map[string]any{"id": a.ID, "name": a.Name, "type": "Microsoft.Security/assessments/governanceAssignments", "properties": a.Properties}
}

// governance serves PUT, GET and DELETE of one assignment and GET of those of an assessment.
func (s *Server) governance(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(assignmentVersions, r.URL.Query().Get("api-version")) {
		fail(w, http.StatusBadRequest, "InvalidResourceType", "The api-version is not one of "+strings.Join(assignmentVersions, ", ")+".")
		return
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	cut := strings.Index(strings.ToLower(path), assignmentsOf)
	home, name := path[:cut], strings.Trim(path[cut+len(assignmentsOf):], "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case name == "" && r.Method == http.MethodGet:
		s.listAssignments(w, home)
	case name != "" && r.Method == http.MethodPut:
		s.putAssignment(w, r, home, name)
	case name != "" && (r.Method == http.MethodGet || r.Method == http.MethodDelete):
		s.oneAssignment(w, r.Method, path)
	default:
		fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method+" is not supported here.")
	}
}

// listAssignments matches an assessment's own id, or at subscription scope every assessment of that key.
func (s *Server) listAssignments(w http.ResponseWriter, home string) {
	home = strings.ToLower(home)
	scope, key, _ := strings.Cut(home, "/providers/microsoft.security/assessments/")
	value := []any{}
	for _, a := range s.assignmentList() {
		of := strings.ToLower(a.Home)
		if of == home || strings.HasPrefix(of, scope+"/") && strings.HasSuffix(of, "/assessments/"+key) {
			value = append(value, a.body())
		}
	}
	write(w, http.StatusOK, map[string]any{"value": value})
}

func (s *Server) putAssignment(w http.ResponseWriter, r *http.Request, home, name string) {
	var ask struct {
		Properties json.RawMessage `json:"properties"`
	}
	var p assignmentProperties
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(raw, &ask)
	}
	if err == nil {
		err = json.Unmarshal(ask.Properties, &p)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid and could not be deserialized: "+err.Error())
		return
	}
	if fault := p.fault(name); fault != "" {
		fail(w, http.StatusBadRequest, "BadRequest", fault)
		return
	}
	if !s.assessed(home) {
		fail(w, http.StatusNotFound, "ResourceNotFound", "The assessment '"+home+"' was not found.")
		return
	}
	a := &assignment{ID: home + "/governanceAssignments/" + name, Home: home, Name: name, Properties: ask.Properties}
	key := strings.ToLower(a.ID)
	old, known := s.assignments[key]
	if err := s.journal.Put(journal.Entry{Key: "assignment/" + key, Value: a}); err != nil {
		fail(w, http.StatusInternalServerError, "InternalServerError", err.Error())
		return
	}
	s.keep(a)
	status := http.StatusOK
	if !known || old.Deleted {
		status = http.StatusCreated
	}
	write(w, status, a.body())
}

func (p assignmentProperties) fault(name string) string {
	switch {
	case len(name) != 36 || strings.Count(name, "-") != 4:
		return "The name of an assignment is a GUID."
	case p.Due == nil:
		return "remediationDueDate is required."
	case p.ETA != nil && (p.ETA.At == nil || p.ETA.Justification == nil):
		return "remediationEta needs eta and justification."
	case p.Additional != nil && p.Additional.Number != nil && (*p.Additional.Number != math.Trunc(*p.Additional.Number) || math.Abs(*p.Additional.Number) > math.MaxInt32):
		return "ticketNumber is not an int32."
	}
	return ""
}

// assessed tells whether an assessment with this id is there. The caller holds s.mu.
func (s *Server) assessed(home string) bool {
	q, err := kusto.Parse(`securityresources | where type == "microsoft.security/assessments"`)
	if err != nil {
		return false
	}
	t, _ := s.table(q)
	id := strings.ToLower(home)
	n := t.behind(id) - 1
	return n >= 0 && n < len(t.refs) && s.rowID(t.refs[n]) == id
}

func (s *Server) oneAssignment(w http.ResponseWriter, method, path string) {
	a, known := s.assignments[strings.ToLower(path)]
	known = known && !a.Deleted
	switch {
	case method == http.MethodDelete && !known:
		w.WriteHeader(http.StatusNoContent)
	case !known:
		fail(w, http.StatusNotFound, "ResourceNotFound", "The assignment was not found.")
	case method == http.MethodDelete:
		gone := *a
		gone.Deleted = true
		if err := s.journal.Put(journal.Entry{Key: "assignment/" + strings.ToLower(path), Value: gone}); err != nil {
			fail(w, http.StatusInternalServerError, "InternalServerError", err.Error())
			return
		}
		s.keep(&gone)
		w.WriteHeader(http.StatusOK)
	default:
		write(w, http.StatusOK, a.body())
	}
}

// assignmentRow is an assignment in Resource Graph: the assessment's id stands in it in mixed case.
func (s *Server) assignmentRow(i int) kusto.Row {
	a := s.assignmentList()[i]
	r := base(a.ID, "microsoft.security/assessments/governanceassignments", s.world.Tenant)
	props := bag{}
	if json.Unmarshal(a.Properties, &props) != nil {
		props = bag{} // it was checked when it came in
	}
	props["assignedResourceId"] = a.Home
	r["properties"] = props
	return r
}
