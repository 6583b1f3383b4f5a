package atom

import (
	"encoding/xml"
	"time"
)

const (
	atomNS     = "http://www.w3.org/2005/Atom"
	serviceNS  = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
	countsNS   = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
	instanceNS = "http://www.w3.org/2001/XMLSchema-instance"
	schemaNS   = "http://www.w3.org/2001/XMLSchema"
)

// never is how the service writes the time of something that has not happened.
const never = "0001-01-01T00:00:00"

func stamp(ms int64) string {
	if ms == 0 {
		return never
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.0000000Z")
}

type feed struct {
	XMLName xml.Name `xml:"feed"`
	XMLNS   string   `xml:"xmlns,attr"`
	Title   string   `xml:"title"`
	ID      string   `xml:"id"`
	Updated string   `xml:"updated"`
	Entries []*entry
}

type entry struct {
	XMLName   xml.Name `xml:"entry"`
	XMLNS     string   `xml:"xmlns,attr,omitempty"`
	ID        string   `xml:"id"`
	Title     string   `xml:"title"`
	Published string   `xml:"published,omitempty"`
	Updated   string   `xml:"updated,omitempty"`
	Author    author   `xml:"author"`
	Link      link     `xml:"link"`
	Content   content  `xml:"content"`
}

type author struct {
	Name string `xml:"name,omitempty"`
}

type link struct {
	Rel  string `xml:"rel,attr,omitempty"`
	Href string `xml:"href,attr,omitempty"`
}

type content struct {
	Type         string `xml:"type,attr"`
	Queue        *entityDescription
	Topic        *entityDescription
	Subscription *entityDescription
	Rule         *ruleAnswer
	Namespace    *namespaceInfo
}

// inner is the content of an entry that came in, whichever it is.
type inner struct {
	XMLName xml.Name `xml:"entry"`
	Content struct {
		Queue        *entityDescription `xml:"QueueDescription"`
		Topic        *entityDescription `xml:"TopicDescription"`
		Subscription *entityDescription `xml:"SubscriptionDescription"`
		Rule         *ruleDescription   `xml:"RuleDescription"`
	} `xml:"content"`
}

type namespaceInfo struct {
	XMLName       xml.Name `xml:"NamespaceInfo"`
	XMLNS         string   `xml:"xmlns,attr"`
	CreatedTime   string   `xml:"CreatedTime"`
	MessagingSKU  string   `xml:"MessagingSKU"`
	ModifiedTime  string   `xml:"ModifiedTime"`
	Name          string   `xml:"Name"`
	NamespaceType string   `xml:"NamespaceType"`
}

// entityDescription is QueueDescription, TopicDescription and SubscriptionDescription in one, in the order of
// Microsoft's schema; what an entity does not have is left out.
type entityDescription struct {
	XMLName xml.Name
	XMLNS   string `xml:"xmlns,attr,omitempty"`
	XMLNSI  string `xml:"xmlns:i,attr,omitempty"`

	LockDuration                *string          `xml:"LockDuration"`
	MaxSizeInMegabytes          *int32           `xml:"MaxSizeInMegabytes"`
	RequiresDuplicateDetection  *bool            `xml:"RequiresDuplicateDetection"`
	RequiresSession             *bool            `xml:"RequiresSession"`
	DefaultMessageTimeToLive    *string          `xml:"DefaultMessageTimeToLive"`
	DeadLetteringOnExpiration   *bool            `xml:"DeadLetteringOnMessageExpiration"`
	DeadLetteringOnFilterErrors *bool            `xml:"DeadLetteringOnFilterEvaluationExceptions"`
	DefaultRule                 *ruleDescription `xml:"DefaultRuleDescription"`
	DuplicateDetectionWindow    *string          `xml:"DuplicateDetectionHistoryTimeWindow"`
	MaxDeliveryCount            *int32           `xml:"MaxDeliveryCount"`
	EnableBatchedOperations     *bool            `xml:"EnableBatchedOperations"`
	SizeInBytes                 *int64           `xml:"SizeInBytes"`
	MessageCount                *int64           `xml:"MessageCount"`
	FilteringBeforePublishing   *bool            `xml:"FilteringMessagesBeforePublishing"`
	IsAnonymousAccessible       *bool            `xml:"IsAnonymousAccessible"`
	AuthorizationRules          *rawXML          `xml:"AuthorizationRules"`
	Status                      *string          `xml:"Status"`
	ForwardTo                   *string          `xml:"ForwardTo"`
	UserMetadata                *string          `xml:"UserMetadata"`
	CreatedAt                   string           `xml:"CreatedAt,omitempty"`
	UpdatedAt                   string           `xml:"UpdatedAt,omitempty"`
	AccessedAt                  string           `xml:"AccessedAt,omitempty"`
	SupportOrdering             *bool            `xml:"SupportOrdering"`
	CountDetails                *countDetails    `xml:"CountDetails"`
	SubscriptionCount           *int32           `xml:"SubscriptionCount"`
	AutoDeleteOnIdle            *string          `xml:"AutoDeleteOnIdle"`
	EnablePartitioning          *bool            `xml:"EnablePartitioning"`
	EntityAvailabilityStatus    string           `xml:"EntityAvailabilityStatus,omitempty"`
	ForwardDeadLettersTo        *string          `xml:"ForwardDeadLetteredMessagesTo"`
	EnableSubPartitioning       *bool            `xml:"EnableSubscriptionPartitioning"`
	EnableExpress               *bool            `xml:"EnableExpress"`
	MaxMessageSizeInKilobytes   *int64           `xml:"MaxMessageSizeInKilobytes"`
	SQLFilterCount              *int32           `xml:"SqlFilterCount"`
	CorrelationFilterCount      *int32           `xml:"CorrelationFilterCount"`
}

type rawXML struct {
	Inner string `xml:",innerxml"`
}

type countDetails struct {
	XMLNS              string `xml:"xmlns:d2p1,attr,omitempty"`
	Active             int64  `xml:"d2p1:ActiveMessageCount"`
	DeadLetter         int64  `xml:"d2p1:DeadLetterMessageCount"`
	Scheduled          int64  `xml:"d2p1:ScheduledMessageCount"`
	Transfer           int64  `xml:"d2p1:TransferMessageCount"`
	TransferDeadLetter int64  `xml:"d2p1:TransferDeadLetterMessageCount"`
}

// ruleDescription is RuleDescription or DefaultRuleDescription as it comes in.
type ruleDescription struct {
	Name   string   `xml:"Name"`
	Filter *ruleXML `xml:"Filter"`
	Action *ruleXML `xml:"Action"`
}

// ruleXML is a filter or an action.
type ruleXML struct {
	Type  string     `xml:"http://www.w3.org/2001/XMLSchema-instance type,attr"`
	Attrs []xml.Attr `xml:",any,attr"`
	Inner string     `xml:",innerxml"`

	SQLExpression    string     `xml:"SqlExpression"`
	Parameters       []keyValue `xml:"Parameters>KeyValueOfstringanyType"`
	CorrelationID    *string    `xml:"CorrelationId"`
	MessageID        *string    `xml:"MessageId"`
	To               *string    `xml:"To"`
	ReplyTo          *string    `xml:"ReplyTo"`
	Label            *string    `xml:"Label"`
	SessionID        *string    `xml:"SessionId"`
	ReplyToSessionID *string    `xml:"ReplyToSessionId"`
	ContentType      *string    `xml:"ContentType"`
	Properties       []keyValue `xml:"Properties>KeyValueOfstringanyType"`
}

type keyValue struct {
	Key   string `xml:"Key"`
	Value struct {
		Type string `xml:"http://www.w3.org/2001/XMLSchema-instance type,attr"`
		Text string `xml:",chardata"`
	} `xml:"Value"`
}

// ruleAnswer is a RuleDescription as it goes out.
type ruleAnswer struct {
	XMLName xml.Name `xml:"RuleDescription"`
	XMLNS   string   `xml:"xmlns,attr"`
	XMLNSI  string   `xml:"xmlns:i,attr"`
	Inner   string   `xml:",innerxml"`
}
