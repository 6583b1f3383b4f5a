package atom

import (
	"encoding/xml"
	"net/http"
	"strings"

	"throughline/infra/local/servicebus/broker"
)

// description reads the entity that the body of a PUT describes, and the first rule of a new subscription.
func (q *question) description() (broker.Description, []broker.Rule, error) {
	var in inner
	if err := q.read(&in); err != nil {
		return broker.Description{}, nil, err
	}
	switch c := in.Content; {
	case c.Queue != nil && q.sub == "":
		return c.Queue.description(broker.KindQueue, q.name, ""), nil, nil
	case c.Topic != nil && q.sub == "":
		return c.Topic.description(broker.KindTopic, q.name, ""), nil, nil
	case c.Subscription != nil && q.sub != "":
		d := c.Subscription.description(broker.KindSubscription, q.sub, q.name)
		if c.Subscription.DefaultRule == nil {
			return d, nil, nil
		}
		return d, []broker.Rule{c.Subscription.DefaultRule.rule("$Default")}, nil
	}
	return broker.Description{}, nil, &refusal{http.StatusBadRequest, "SubCode=40000. The entry does not describe what the address names."}
}

func value[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

func span(p *string) broker.Span { return broker.Span(value(p)) }

func (e *entityDescription) description(kind broker.Kind, name, topic string) broker.Description {
	d := broker.Description{Kind: kind, Name: name, Topic: topic,
		LockDuration: span(e.LockDuration), DefaultMessageTimeToLive: span(e.DefaultMessageTimeToLive),
		DuplicateDetectionWindow: span(e.DuplicateDetectionWindow), AutoDeleteOnIdle: span(e.AutoDeleteOnIdle),
		MaxDeliveryCount: value(e.MaxDeliveryCount), MaxSizeInMegabytes: value(e.MaxSizeInMegabytes),
		MaxMessageSizeInKilobytes: value(e.MaxMessageSizeInKilobytes), RequiresSession: value(e.RequiresSession),
		RequiresDuplicateDetection: value(e.RequiresDuplicateDetection), DeadLetteringOnExpiration: value(e.DeadLetteringOnExpiration),
		DeadLetteringOnFilterErrors: e.DeadLetteringOnFilterErrors, EnableBatchedOperations: e.EnableBatchedOperations,
		EnablePartitioning: value(e.EnablePartitioning), EnableExpress: value(e.EnableExpress), SupportOrdering: e.SupportOrdering,
		ForwardTo: value(e.ForwardTo), ForwardDeadLettersTo: value(e.ForwardDeadLettersTo), Status: value(e.Status),
		UserMetadata: value(e.UserMetadata)}
	if e.AuthorizationRules != nil {
		d.AuthorizationRules = e.AuthorizationRules.Inner
	}
	return d
}

func (q *question) wrap(title, id string, created, updated int64) *entry {
	host, _, _ := strings.Cut(q.r.Host, ".")
	e := &entry{XMLNS: atomNS, ID: id, Title: title, Author: author{Name: host}, Link: link{Rel: "self", Href: id}, Content: content{Type: "application/xml"}}
	if created > 0 {
		e.Published, e.Updated = stamp(created), stamp(updated)
	}
	return e
}

func (q *question) entry(v broker.View) *entry {
	e := q.wrap(v.Name, q.base+"/"+v.Path()+"?api-version=2024-05", v.Created, v.Updated)
	d := &entityDescription{XMLNS: serviceNS, XMLNSI: instanceNS,
		DefaultMessageTimeToLive: pointer(string(v.DefaultMessageTimeToLive)), EnableBatchedOperations: v.EnableBatchedOperations,
		Status: &v.Status, ForwardTo: present(v.ForwardTo), UserMetadata: present(v.UserMetadata), AutoDeleteOnIdle: pointer(string(v.AutoDeleteOnIdle)),
		CreatedAt: stamp(v.Created), UpdatedAt: stamp(v.Updated), AccessedAt: stamp(v.Accessed), EntityAvailabilityStatus: "Available",
		CountDetails: &countDetails{XMLNS: countsNS, Active: v.Active, DeadLetter: v.DeadLetter, Scheduled: v.Scheduled, TransferDeadLetter: v.Counts.Transfer}}
	switch v.Kind {
	case broker.KindTopic:
		topic(d, v)
		e.Content.Topic = d
	case broker.KindSubscription:
		subscription(d, v)
		e.Content.Subscription = d
	default:
		queue(d, v)
		e.Content.Queue = d
	}
	return e
}

func pointer[T any](v T) *T { return &v }

func present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func queue(d *entityDescription, v broker.View) {
	d.XMLName = xml.Name{Local: "QueueDescription"}
	received(d, v)
	stored(d, v)
	d.RequiresDuplicateDetection = &v.RequiresDuplicateDetection
	d.DuplicateDetectionWindow = pointer(string(v.DuplicateDetectionWindow))
	d.SupportOrdering = pointer(v.SupportOrdering == nil || *v.SupportOrdering)
}

func topic(d *entityDescription, v broker.View) {
	d.XMLName = xml.Name{Local: "TopicDescription"}
	stored(d, v)
	d.RequiresDuplicateDetection = &v.RequiresDuplicateDetection
	d.DuplicateDetectionWindow = pointer(string(v.DuplicateDetectionWindow))
	d.SupportOrdering = pointer(v.SupportOrdering == nil || *v.SupportOrdering)
	d.FilteringBeforePublishing, d.EnableSubPartitioning = pointer(false), pointer(false)
	d.SubscriptionCount = pointer(int32(v.Subscriptions))
	d.SQLFilterCount, d.CorrelationFilterCount = pointer(int32(v.SQLFilters)), pointer(int32(v.CorrelationFilters))
}

func subscription(d *entityDescription, v broker.View) {
	d.XMLName = xml.Name{Local: "SubscriptionDescription"}
	received(d, v)
	d.DeadLetteringOnFilterErrors = v.DeadLetteringOnFilterErrors
	if v.Accessed == 0 {
		d.AccessedAt = stamp(v.Created)
	}
}

// received is what queues and subscriptions have.
func received(d *entityDescription, v broker.View) {
	d.LockDuration, d.RequiresSession = pointer(string(v.LockDuration)), &v.RequiresSession
	d.DeadLetteringOnExpiration, d.MaxDeliveryCount = &v.DeadLetteringOnExpiration, &v.MaxDeliveryCount
	d.MessageCount = pointer(v.Active + v.DeadLetter + v.Scheduled + v.Deferred + v.Counts.Transfer)
	d.ForwardDeadLettersTo = present(v.ForwardDeadLettersTo)
}

// stored is what queues and topics have.
func stored(d *entityDescription, v broker.View) {
	d.MaxSizeInMegabytes, d.SizeInBytes = &v.MaxSizeInMegabytes, &v.Bytes
	d.IsAnonymousAccessible, d.EnablePartitioning, d.EnableExpress = pointer(false), &v.EnablePartitioning, &v.EnableExpress
	d.MaxMessageSizeInKilobytes = &v.MaxMessageSizeInKilobytes
	if v.AuthorizationRules != "" {
		d.AuthorizationRules = &rawXML{Inner: v.AuthorizationRules}
	}
}
