package wire

import (
	"fmt"
	"time"

	"throughline/infra/local/servicebus/amqp"
	"throughline/infra/local/servicebus/broker"
)

// request is a message to $cbs or $management.
type request struct {
	c         *conn
	l         *link
	id        any
	replyTo   string
	operation string
	props     amqp.Map
	body      any
}

// parseRequest decodes a copy of the payload, for answers may come after the payload is gone.
func (l *link) parseRequest(payload []byte) (*request, error) {
	m, err := amqp.ParseMessage(append([]byte(nil), payload...))
	if err != nil {
		return nil, err
	}
	p, err := amqp.ParseProperties(m.Properties)
	if err != nil {
		return nil, err
	}
	r := &request{c: l.s.c, l: l, id: p.MessageID}
	r.replyTo, _ = p.ReplyTo.(string)
	if r.props, err = amqp.ParseMap(m.AppProps); err != nil {
		return nil, err
	}
	r.operation, _ = r.props.Get("operation").(string)
	if r.body, err = amqp.Value(m.Body); err != nil {
		return nil, err
	}
	return r, nil
}

// reply answers with a status, under both spellings that clients look for, and a body.
func (r *request) reply(status int32, text string, body any) {
	p := amqp.Properties{CorrelationID: r.id}
	b := p.Append(nil)
	b = amqp.AppendAppProps(b, amqp.Map{
		{Key: "status-code", Value: status}, {Key: "status-description", Value: text},
		{Key: "statusCode", Value: status}, {Key: "statusDescription", Value: text},
	})
	r.c.answer(r.replyTo, amqp.AppendBodyValue(b, body))
}

// statusOf is the HTTP-like status under which a fault is told on $management.
func statusOf(f *broker.Fault) int32 {
	switch f.Condition {
	case broker.ErrLockLost.Condition, broker.ErrSessionLockLost.Condition:
		return 410
	case broker.ErrNotFound.Condition, broker.ErrMessageNotFound.Condition:
		return 404
	case "amqp:unauthorized-access":
		return 401
	case broker.ErrTimeout.Condition:
		return 408
	case broker.ErrBusy.Condition, broker.ErrClosed.Condition:
		return 503
	case "amqp:internal-error":
		return 500
	case broker.ErrFull.Condition, broker.ErrDisabled.Condition:
		return 403
	}
	return 400
}

// fail answers with a fault.
func (r *request) fail(err error) {
	f := broker.AsFault(err)
	p := amqp.Properties{CorrelationID: r.id}
	b := p.Append(nil)
	b = amqp.AppendAppProps(b, amqp.Map{
		{Key: "status-code", Value: statusOf(f)}, {Key: "status-description", Value: f.Description},
		{Key: "statusCode", Value: statusOf(f)}, {Key: "statusDescription", Value: f.Description},
		{Key: "error-condition", Value: amqp.Symbol(f.Condition)}, {Key: "errorCondition", Value: amqp.Symbol(f.Condition)},
	})
	r.c.answer(r.replyTo, amqp.AppendBodyValue(b, nil))
}

// putToken takes a claim on $cbs.
func (l *link) putToken(payload []byte) {
	r, err := l.parseRequest(payload)
	if err != nil {
		return // no address to answer to
	}
	if r.operation != "put-token" {
		r.reply(400, fmt.Sprintf("The operation '%s' is not supported.", r.operation), nil)
		return
	}
	audience, _ := r.props.Get("name").(string)
	token, _ := r.body.(string)
	path := AudiencePath(audience)
	g, err := l.s.c.s.Keys.Check(token, time.Now())
	if err != nil {
		r.reply(401, err.Error(), nil)
		return
	}
	if !g.valid(path, time.Now()) {
		r.reply(401, "InvalidAudience: The token is for another resource.", nil)
		return
	}
	if path != "" {
		if _, err := l.s.c.s.Broker.Find(path); err != nil {
			r.reply(404, fmt.Sprintf("The messaging entity '%s' could not be found.", audience), nil)
			return
		}
	}
	g.Path = path
	l.s.c.grant(g)
	r.reply(202, "Accepted", nil)
}

// grant takes the place of what was granted for the same path.
func (c *conn) grant(g Grant) {
	for i := range c.grants {
		if c.grants[i].Path == g.Path {
			c.grants[i] = g
			return
		}
	}
	c.grants = append(c.grants, g)
}
