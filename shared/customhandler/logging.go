package customhandler

import (
	"context"
	"log/slog"
)

type logKey struct{}

// identity is what every log line of an invocation bears.
type identity struct{ invocation, function, event string }

func withInvocation(ctx context.Context, invocation, function string) context.Context {
	return context.WithValue(ctx, logKey{}, identity{invocation: invocation, function: function})
}

func withEvent(ctx context.Context, event string) context.Context {
	id, _ := ctx.Value(logKey{}).(identity)
	id.event = event
	return context.WithValue(ctx, logKey{}, id)
}

// LogContext wraps a handler so that lines logged with the context of an invocation bear its invocation, function and
// event id. Lines without such a context pass unchanged.
func LogContext(next slog.Handler) slog.Handler { return logContext{next} }

type logContext struct{ slog.Handler }

// Handle adds the ids and passes the record on.
func (h logContext) Handle(ctx context.Context, r slog.Record) error {
	if id, ok := ctx.Value(logKey{}).(identity); ok {
		r = r.Clone()
		for _, a := range [...]slog.Attr{slog.String("invocation", id.invocation), slog.String("function", id.function), slog.String("event", id.event)} {
			if a.Value.String() != "" {
				r.AddAttrs(a)
			}
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the wrapping.
func (h logContext) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logContext{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the wrapping; the ids of later lines are then inside the group.
func (h logContext) WithGroup(name string) slog.Handler { return logContext{h.Handler.WithGroup(name)} }
