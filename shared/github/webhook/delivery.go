package webhook

import (
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// Delivery is what the headers say of a delivery.
type Delivery struct {
	Event string
	// GUID names the event: GitHub repeats it when it redelivers, and shares it between all hooks that hear the event.
	GUID string
	// Hook and Target tell which of those hooks this is; either may be empty.
	Hook, Target string
	TargetType   string
}

// maxEvent is longer than any event name of GitHub.
const maxEvent = 64

// Headers reads the headers of a delivery. Their names stand here in the spelling of net/http, which then need not be
// made anew for each. Every error is a *Refusal.
func Headers(header http.Header) (Delivery, error) {
	d := Delivery{
		Event:      header.Get("X-Github-Event"),
		GUID:       strings.ToLower(header.Get("X-Github-Delivery")),
		Hook:       short(header.Get("X-Github-Hook-Id")),
		Target:     short(header.Get("X-Github-Hook-Installation-Target-Id")),
		TargetType: short(header.Get("X-Github-Hook-Installation-Target-Type")),
	}
	if !isEvent(d.Event) {
		return d, malformed("X-GitHub-Event is missing or not an event name")
	}
	if len(d.GUID) != 36 || uuid.Validate(d.GUID) != nil {
		return d, malformed("X-GitHub-Delivery is missing or not a GUID")
	}
	return d, nil
}

func isEvent(name string) bool {
	if name == "" || len(name) > maxEvent {
		return false
	}
	for _, b := range []byte(name) {
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '_' {
			return false
		}
	}
	return true
}

// short keeps a header that goes into an identity from growing without bound.
func short(s string) string { return s[:min(len(s), maxEvent)] }

// Key names the delivery for deduplication: equal for a redelivery, different for another hook that hears the same event.
func (d Delivery) Key() string { return d.TargetType + "/" + d.Target + "/" + d.Hook + "/" + d.GUID }
