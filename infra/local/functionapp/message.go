package functionapp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/google/uuid"
)

// forever is .NET's DateTimeOffset.MaxValue: when a message without a time to live expires.
var forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// busObjects are the trigger's objects that show up in every payload, mostly empty.
func busObjects(host string, transport int, identifier string, sessionUntil time.Time) map[string]any {
	session := map[string]any{}
	if !sessionUntil.IsZero() {
		session["SessionLockedUntil"] = sessionUntil.UTC().Format("2006-01-02T15:04:05.9999999+00:00")
	}
	empty := map[string]any{}
	return map[string]any{
		"MessageReceiver": empty, "MessageSession": session, "MessageActions": empty, "SessionActions": empty, "ReceiveActions": empty,
		"Client": map[string]any{"FullyQualifiedNamespace": host, "IsClosed": false, "TransportType": transport, "Identifier": identifier},
	}
}

// messageData is the binding data of one message; nil values have no key.
func messageData(m *azservicebus.ReceivedMessage) map[string]any {
	enqueued := timeOr(m.EnqueuedTime, time.Time{})
	expires := forever
	if m.TimeToLive != nil && *m.TimeToLive > 0 && m.ExpiresAt != nil {
		expires = *m.ExpiresAt
	}
	properties := applicationProperties(m.ApplicationProperties)
	data := map[string]any{
		"DeliveryCount": m.DeliveryCount, "LockToken": uuid.UUID(m.LockToken).String(),
		"ExpiresAtUtc": dateTime(expires), "ExpiresAt": dateTimeOffset(expires.UTC()),
		"EnqueuedTimeUtc": dateTime(enqueued), "EnqueuedTime": dateTimeOffset(enqueued.UTC()),
		"MessageId": m.MessageID, "ApplicationProperties": properties, "UserProperties": properties,
	}
	if m.SequenceNumber != nil {
		data["SequenceNumber"] = *m.SequenceNumber
	}
	partition := m.PartitionKey
	if partition == nil {
		partition = m.SessionID
	}
	for name, value := range map[string]*string{"DeadLetterSource": m.DeadLetterSource, "ContentType": m.ContentType,
		"ReplyTo": m.ReplyTo, "To": m.To, "Subject": m.Subject, "Label": m.Subject, "CorrelationId": m.CorrelationID,
		"SessionId": m.SessionID, "ReplyToSessionId": m.ReplyToSessionID, "PartitionKey": partition} {
		if value != nil {
			data[name] = *value
		}
	}
	return data
}

func timeOr(t *time.Time, otherwise time.Time) time.Time {
	if t == nil {
		return otherwise
	}
	return *t
}

func applicationProperties(in map[string]any) map[string]any {
	out := make(map[string]any, len(in))
	for name, value := range in {
		if text, ok := value.(fmt.Stringer); ok {
			if _, isTime := value.(time.Time); !isTime {
				value = text.String()
			}
		}
		out[name] = value
	}
	return out
}

// single is the payload of one message.
func single(f *function, m *azservicebus.ReceivedMessage, objects map[string]any, now time.Time) payload {
	metadata := messageData(m)
	for name, value := range objects {
		metadata[name] = value
	}
	var value any = m.Body
	if m.Body == nil {
		value = []byte{}
	}
	if !f.trigger.isBinary() {
		text := strings.ToValidUTF8(string(m.Body), "\uFFFD")
		mergeBody(text, metadata)
		value = text
	}
	metadata["sys"] = system(f.name, now)
	return payload{Data: map[string]any{f.trigger.Name: value}, Metadata: metadata}
}

// batch is the payload of several messages: names get the suffix Array. Without
// dataType binary every body must be JSON.
func batch(f *function, messages []*azservicebus.ReceivedMessage, objects map[string]any, now time.Time) (payload, error) {
	bodies := make([]any, len(messages))
	columns := map[string][]any{}
	for i, m := range messages {
		if f.trigger.isBinary() {
			bodies[i] = base64.StdEncoding.EncodeToString(m.Body)
		} else if !json.Valid(m.Body) {
			return payload{}, fmt.Errorf("the body of message %s is not JSON", m.MessageID)
		} else {
			bodies[i] = json.RawMessage(m.Body)
		}
		row := messageData(m)
		for _, name := range messageKeys {
			value, present := encode(row[name])
			if raw, isText := row[name].(string); isText {
				value = raw
			}
			if !present {
				value = nil
			}
			columns[name] = append(columns[name], value)
		}
	}
	metadata := map[string]any{"sys": system(f.name, now)}
	for name, values := range columns {
		metadata[name+"Array"] = values
	}
	metadata["TransactionPartitionKeyArray"] = columns["PartitionKey"]
	for name, value := range objects {
		metadata[name] = value
	}
	return payload{Data: map[string]any{f.trigger.Name: bodies}, Metadata: metadata}, nil
}

var messageKeys = []string{"DeliveryCount", "DeadLetterSource", "LockToken", "ExpiresAtUtc", "ExpiresAt", "EnqueuedTimeUtc", "EnqueuedTime",
	"MessageId", "ContentType", "ReplyTo", "SequenceNumber", "To", "Subject", "Label", "CorrelationId", "ApplicationProperties", "UserProperties",
	"SessionId", "ReplyToSessionId", "PartitionKey"}
