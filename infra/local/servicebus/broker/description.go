package broker

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Kind tells what an entity is.
type Kind string

// The kinds of entities.
const (
	KindQueue        Kind = "queue"
	KindTopic        Kind = "topic"
	KindSubscription Kind = "subscription"
)

// Span is an ISO 8601 duration as it was written; "P10675199DT2H48M5.4775807S" stands for ever.
type Span string

// Forever is the longest duration of .NET, which Service Bus takes for "no limit".
const Forever Span = "P10675199DT2H48M5.4775807S"

// Names of entities.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/~-]*[A-Za-z0-9_])?$`)

const (
	maxName         = 260
	maxSubscription = 50
)

var spanForm = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$`)

// Duration parses s; what does not fit is the longest time.Duration.
func (s Span) Duration() (time.Duration, error) {
	m := spanForm.FindStringSubmatch(string(s))
	if m == nil || s == "P" || strings.HasSuffix(string(s), "T") {
		return 0, fmt.Errorf("%q is no ISO 8601 duration of days, hours, minutes and seconds", string(s))
	}
	seconds := 0.0
	for i, unit := range []float64{86400, 3600, 60, 1} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.ParseFloat(m[i+1], 64)
		if err != nil {
			return 0, fmt.Errorf("duration %q: %w", string(s), err)
		}
		seconds += n * unit
	}
	if seconds > math.MaxInt64/1e9 {
		return math.MaxInt64, nil
	}
	return time.Duration(seconds * 1e9), nil
}

// millis is the span in milliseconds, 0 when it is for ever or absent.
func (s Span) millis() int64 {
	d, err := s.Duration()
	if err != nil || d >= 100*365*24*time.Hour {
		return 0
	}
	return d.Milliseconds()
}

// Description holds the properties of an entity under the names that the Azure resource gives them. Zero
// values mean Azure's defaults; Defaults fills them in.
type Description struct {
	Kind  Kind   `json:"kind,omitempty"`
	Name  string `json:"name"`            // of a subscription: its own name
	Topic string `json:"topic,omitempty"` // of a subscription

	LockDuration                Span   `json:"lockDuration,omitempty"`
	DefaultMessageTimeToLive    Span   `json:"defaultMessageTimeToLive,omitempty"`
	DuplicateDetectionWindow    Span   `json:"duplicateDetectionHistoryTimeWindow,omitempty"`
	AutoDeleteOnIdle            Span   `json:"autoDeleteOnIdle,omitempty"`
	MaxDeliveryCount            int32  `json:"maxDeliveryCount,omitempty"`
	MaxSizeInMegabytes          int32  `json:"maxSizeInMegabytes,omitempty"`
	MaxMessageSizeInKilobytes   int64  `json:"maxMessageSizeInKilobytes,omitempty"`
	RequiresSession             bool   `json:"requiresSession,omitempty"`
	RequiresDuplicateDetection  bool   `json:"requiresDuplicateDetection,omitempty"`
	DeadLetteringOnExpiration   bool   `json:"deadLetteringOnMessageExpiration,omitempty"`
	DeadLetteringOnFilterErrors *bool  `json:"deadLetteringOnFilterEvaluationExceptions,omitempty"`
	EnableBatchedOperations     *bool  `json:"enableBatchedOperations,omitempty"`
	EnablePartitioning          bool   `json:"enablePartitioning,omitempty"`
	EnableExpress               bool   `json:"enableExpress,omitempty"`
	SupportOrdering             *bool  `json:"supportOrdering,omitempty"`
	ForwardTo                   string `json:"forwardTo,omitempty"`
	ForwardDeadLettersTo        string `json:"forwardDeadLetteredMessagesTo,omitempty"`
	Status                      string `json:"status,omitempty"`
	UserMetadata                string `json:"userMetadata,omitempty"`
	AuthorizationRules          string `json:"authorizationRules,omitempty"` // XML, kept as it came
}

// Path is the address of the entity.
func (d *Description) Path() string {
	if d.Kind == KindSubscription {
		return d.Topic + "/Subscriptions/" + d.Name
	}
	return d.Name
}

// Defaults returns d with Azure's defaults in place of what is absent.
func (d Description) Defaults() Description {
	yes := true
	for _, s := range []struct {
		field *Span
		value Span
	}{{&d.LockDuration, "PT1M"}, {&d.DefaultMessageTimeToLive, Forever}, {&d.DuplicateDetectionWindow, "PT10M"}, {&d.AutoDeleteOnIdle, Forever}} {
		if *s.field == "" {
			*s.field = s.value
		}
	}
	for _, p := range []**bool{&d.EnableBatchedOperations, &d.DeadLetteringOnFilterErrors} {
		if *p == nil {
			*p = &yes
		}
	}
	if d.Kind == "" {
		d.Kind = KindQueue
	}
	if d.MaxDeliveryCount == 0 {
		d.MaxDeliveryCount = 10
	}
	if d.MaxSizeInMegabytes == 0 {
		d.MaxSizeInMegabytes = 1024
	}
	if d.MaxMessageSizeInKilobytes == 0 {
		d.MaxMessageSizeInKilobytes = 256
	}
	if d.Status == "" {
		d.Status = "Active"
	}
	return d
}

// Check names the first property that cannot be.
func (d *Description) Check() error {
	if !nameForm.MatchString(d.Name) || len(d.Name) > maxName || d.Kind == KindSubscription && (len(d.Name) > maxSubscription || strings.Contains(d.Name, "/")) {
		return fmt.Errorf("the name %q is no name of a %s: letters, digits, '.', '-', '_' and, in queues and topics, '/' are possible", d.Name, d.Kind)
	}
	for _, p := range []struct {
		name string
		span Span
	}{{"LockDuration", d.LockDuration}, {"DefaultMessageTimeToLive", d.DefaultMessageTimeToLive},
		{"DuplicateDetectionHistoryTimeWindow", d.DuplicateDetectionWindow}, {"AutoDeleteOnIdle", d.AutoDeleteOnIdle}} {
		if _, err := p.span.Duration(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if lock, _ := d.LockDuration.Duration(); lock <= 0 || lock > 5*time.Minute {
		return fmt.Errorf("LockDuration %s: more than zero and at most PT5M is possible", d.LockDuration)
	}
	if d.MaxDeliveryCount < 1 {
		return fmt.Errorf("MaxDeliveryCount %d: at least 1 is possible", d.MaxDeliveryCount)
	}
	return nil
}

func (d *Description) accepts() bool {
	return !strings.EqualFold(d.Status, "Disabled") && !strings.EqualFold(d.Status, "SendDisabled")
}

func (d *Description) gives() bool {
	return !strings.EqualFold(d.Status, "Disabled") && !strings.EqualFold(d.Status, "ReceiveDisabled")
}
