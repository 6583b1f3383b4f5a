package defender

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	governanceVersion = "2022-01-01-preview"
	// maxAssignmentPages bounds the list of one assessment's assignments.
	maxAssignmentPages = 20
)

// Governance is who mends a finding until when, and in which issue.
type Governance struct {
	// Owner is an e-mail address; empty leaves the owner that is there.
	Owner string
	// Due is when it must be mended; it must be set.
	Due time.Time
	// TicketNumber, TicketLink and TicketStatus are the number, web address and state.
	TicketNumber int32
	TicketLink   string
	TicketStatus string
}

// ErrTicketTaken is what PutGovernance answers when somebody else's ticket stands on the assessment.
var ErrTicketTaken = errors.New("the assessment has a ticket of somebody else")

// assignment is a governance assignment as Azure Resource Manager has it.
type assignment struct {
	ID         string               `json:"id,omitempty"`
	Name       string               `json:"name,omitempty"`
	Properties assignmentProperties `json:"properties"`
}

type assignmentProperties struct {
	Owner         string          `json:"owner,omitempty"`
	Due           time.Time       `json:"remediationDueDate"`
	IsGracePeriod bool            `json:"isGracePeriod"`
	ETA           json.RawMessage `json:"remediationEta,omitempty"`
	Mail          *mail           `json:"governanceEmailNotification,omitempty"`
	Ticket        *ticket         `json:"additionalData,omitempty"`
}

type mail struct {
	DisableOwner   bool `json:"disableOwnerEmailNotification"`
	DisableManager bool `json:"disableManagerEmailNotification"`
}

type ticket struct {
	Number int32  `json:"ticketNumber"`
	Link   string `json:"ticketLink,omitempty"`
	Status string `json:"ticketStatus,omitempty"`
}

// PutGovernance writes owner, due date and ticket onto an assessment, without any e-mail. It reads first: an assignment
// that is there keeps its name, its grace period and its estimate, and one that says the same already is not written
// again. An assessment that is gone answers an error that is graph.ErrNotFound.
func (c *Client) PutGovernance(ctx context.Context, assessmentID string, g Governance) error {
	if err := c.putGovernance(ctx, strings.TrimRight(assessmentID, "/"), g); err != nil {
		return fmt.Errorf("put governance of %.300s: %w", assessmentID, err)
	}
	return nil
}

var assessmentForm = regexp.MustCompile(`(?i)^/subscriptions/[^?#%]+/providers/microsoft\.security/assessments/[a-z0-9-]+$`)

func (c *Client) putGovernance(ctx context.Context, id string, g Governance) error {
	if !assessmentForm.MatchString(id) || strings.Contains(id, "/../") || strings.Contains(id, "//") {
		return errors.New("want the resource id of an assessment")
	}
	if g.Due.IsZero() {
		return errors.New("want a due date")
	}
	there, err := c.assignments(ctx, id)
	if err != nil {
		return err
	}
	own := uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.ToLower(id))).String()
	old := pick(there, own)
	if foreign(old, own, g) {
		return fmt.Errorf("%w: %.200s", ErrTicketTaken, old.Properties.Ticket.Link)
	}
	next := merge(old, g)
	if old.Name != "" && same(old.Properties, next) {
		return nil
	}
	name := cmp.Or(old.Name, own)
	u := c.arm.url(id+"/governanceAssignments/"+name, governanceVersion)
	return c.arm.call(ctx, http.MethodPut, u, assignment{Properties: next}, nil)
}

// assignments lists those of the assessment itself; the list may hold those of others.
func (c *Client) assignments(ctx context.Context, id string) ([]assignment, error) {
	u := c.arm.url(id+"/governanceAssignments", governanceVersion)
	var out []assignment
	for range maxAssignmentPages {
		var list struct {
			Value    []assignment `json:"value"`
			NextLink string       `json:"nextLink"`
		}
		if err := c.arm.call(ctx, http.MethodGet, u, nil, &list); err != nil {
			return nil, err
		}
		for _, a := range list.Value {
			if strings.EqualFold(a.ID, id+"/governanceAssignments/"+a.Name) && a.Name == url.PathEscape(a.Name) {
				out = append(out, a)
			}
		}
		if list.NextLink == "" {
			return out, nil
		}
		next, err := c.arm.next(list.NextLink)
		if err != nil {
			return nil, err
		}
		u = next
	}
	return nil, fmt.Errorf("more than %d pages of assignments", maxAssignmentPages)
}

// pick takes our own assignment, else the first by name; an empty one when there is none.
func pick(there []assignment, own string) assignment {
	if i := slices.IndexFunc(there, func(a assignment) bool { return strings.EqualFold(a.Name, own) }); i >= 0 {
		return there[i]
	}
	if len(there) == 0 {
		return assignment{}
	}
	return slices.MinFunc(there, func(a, b assignment) int { return strings.Compare(a.Name, b.Name) })
}

// foreign tells whether the ticket that is there was put by somebody else: not in an assignment that we made, and not
// an issue on the host of ours.
func foreign(old assignment, own string, g Governance) bool {
	t := old.Properties.Ticket
	if t == nil || t.Link == "" || strings.EqualFold(old.Name, own) {
		return false
	}
	theirs, err := url.Parse(t.Link)
	ours, err2 := url.Parse(g.TicketLink)
	return err != nil || err2 != nil || !strings.EqualFold(theirs.Host, ours.Host) || !strings.Contains(theirs.Path, "/issues/")
}

func merge(old assignment, g Governance) assignmentProperties {
	next := old.Properties
	next.Owner = cmp.Or(g.Owner, next.Owner)
	next.Due = g.Due.UTC().Truncate(time.Second)
	next.Mail = &mail{DisableOwner: true, DisableManager: true}
	next.Ticket = &ticket{g.TicketNumber, g.TicketLink, g.TicketStatus}
	return next
}

// same compares what Azure gives back; the e-mail setting is left out where the list does not show it.
func same(old, next assignmentProperties) bool {
	return old.Owner == next.Owner && old.Due.Equal(next.Due) && old.Ticket != nil && *old.Ticket == *next.Ticket &&
		(old.Mail == nil || *old.Mail == *next.Mail)
}
