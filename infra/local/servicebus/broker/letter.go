package broker

import (
	"strings"
	"time"

	"throughline/infra/local/servicebus/amqp"
)

// letter is a message opened for rules to read and change its properties.
type letter struct {
	m     amqp.Message
	props amqp.Properties
	app   amqp.Map
}

func open(in Incoming) (*letter, error) {
	m, err := parseContent(in.content)
	if err != nil {
		return nil, err
	}
	l := &letter{m: m}
	if l.props, err = amqp.ParseProperties(m.Properties); err != nil {
		return nil, err
	}
	l.app, err = amqp.ParseMap(m.AppProps)
	return l, err
}

// close puts the letter together again.
func (l *letter) close(in Incoming) (Incoming, error) {
	l.m.Properties = l.props.Append(nil)
	l.m.AppProps = nil
	if len(l.app) > 0 {
		l.m.AppProps = amqp.AppendAppProps(nil, l.app)
	}
	in.content = appendContent(make([]byte, 0, len(in.content)+64), l.m)
	in.MessageID = idText(l.props.MessageID)
	in.SessionID, in.InSession = l.props.GroupID.(string)
	return in, nil
}

// field is the system property of a name, nil when it is none of those that a message carries.
func (l *letter) field(name string) *any {
	switch strings.ToLower(name) {
	case "label", "subject":
		return &l.props.Subject
	case "correlationid":
		return &l.props.CorrelationID
	case "messageid":
		return &l.props.MessageID
	case "to":
		return &l.props.To
	case "replyto":
		return &l.props.ReplyTo
	case "replytosessionid":
		return &l.props.ReplyToGroupID
	case "sessionid":
		return &l.props.GroupID
	case "contenttype":
		return &l.props.ContentType
	}
	return nil
}

// Property implements filter.Message.
func (l *letter) Property(scope, name string) (any, bool) {
	if scope == "sys" {
		f := l.field(name)
		if f == nil || *f == nil {
			return nil, false
		}
		return plain(*f), true
	}
	for _, p := range l.app {
		if k, ok := p.Key.(string); ok && k == name {
			return plain(p.Value), true
		}
	}
	return nil, false
}

// plain is a value as rules know it, nil when they cannot.
func plain(v any) any {
	switch v := v.(type) {
	case string, bool, int64, float64:
		return v
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case uint64:
		return int64(v)
	case float32:
		return float64(v)
	case amqp.Symbol:
		return string(v)
	case amqp.UUID:
		return v.String()
	case amqp.Timestamp:
		return time.UnixMilli(int64(v))
	}
	return nil
}

// wired is a value of a rule as AMQP knows it.
func wired(v any) any {
	if t, ok := v.(time.Time); ok {
		return amqp.Timestamp(t.UnixMilli())
	}
	return v
}

// SetProperty implements filter.Message.
func (l *letter) SetProperty(scope, name string, v any) error {
	if scope == "sys" {
		f := l.field(name)
		if _, ok := v.(string); f == nil || !ok && v != nil {
			return errProperty
		}
		*f = v
		return nil
	}
	l.app = merge(l.app, amqp.Map{{Key: name, Value: wired(v)}})
	return nil
}

// RemoveProperty implements filter.Message.
func (l *letter) RemoveProperty(scope, name string) {
	if scope == "sys" {
		if f := l.field(name); f != nil {
			*f = nil
		}
		return
	}
	for i, p := range l.app {
		if keyText(p.Key) == name {
			l.app = append(append(amqp.Map(nil), l.app[:i]...), l.app[i+1:]...)
			return
		}
	}
}
