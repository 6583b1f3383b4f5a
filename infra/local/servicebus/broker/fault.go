package broker

import "errors"

// Fault is an error that the peer is told: an AMQP condition and its text.
type Fault struct {
	Condition   string
	Description string
}

// Error implements error.
func (f *Fault) Error() string { return f.Condition + ": " + f.Description }

// Faults that Service Bus gives.
var (
	ErrLockLost        = &Fault{"com.microsoft:message-lock-lost", "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue."}
	ErrSessionLockLost = &Fault{"com.microsoft:session-lock-lost", "The session lock has expired on the MessageSession. Accept a new MessageSession."}
	ErrSessionLocked   = &Fault{"com.microsoft:session-cannot-be-locked", "The requested session cannot be accepted. It may be locked by another receiver."}
	ErrTimeout         = &Fault{"com.microsoft:timeout", "The operation did not complete within the allotted timeout."}
	ErrNotFound        = &Fault{"amqp:not-found", "The messaging entity could not be found."}
	ErrMessageNotFound = &Fault{"com.microsoft:message-not-found", "Failed to find the message with the given sequence number."}
	ErrDisabled        = &Fault{"com.microsoft:entity-disabled", "Messaging entity is currently disabled."}
	ErrFull            = &Fault{"amqp:resource-limit-exceeded", "The maximum entity size has been reached or exceeded."}
	ErrTooLarge        = &Fault{"amqp:link:message-size-exceeded", "The received message is larger than the limit that is currently allowed."}
	ErrNeedsSession    = &Fault{"amqp:not-allowed", "It is not possible for an entity that requires sessions to create a non-sessionful message receiver."}
	ErrNoSessions      = &Fault{"amqp:not-allowed", "A sessionful message receiver cannot be created on an entity that does not require sessions."}
	ErrNoSessionID     = &Fault{"amqp:not-allowed", "The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have session support enabled can only receive messages that have the SessionId set to a valid value."}
	ErrNotSendable     = &Fault{"amqp:not-allowed", "Messages cannot be sent to this entity."}
	ErrNotReceivable   = &Fault{"amqp:not-allowed", "Messages cannot be received from this entity."}
	ErrForwards        = &Fault{"amqp:not-allowed", "Cannot create a message receiver on an entity with auto-forwarding enabled."}
	ErrDetached        = &Fault{"amqp:link:detach-forced", "The link was force detached because the messaging entity was updated or deleted."}
	ErrBusy            = &Fault{"com.microsoft:server-busy", "The request was terminated because the entity is being throttled. Please wait 10 seconds and try again."}
	ErrClosed          = &Fault{"amqp:connection:forced", "The broker is shutting down."}
)

func malformed(err error) error {
	return &Fault{"amqp:decode-error", err.Error()}
}

func argument(text string) error {
	return &Fault{"com.microsoft:argument-error", text}
}

// AsFault is the fault in err, or an internal error with its text.
func AsFault(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return &Fault{"amqp:internal-error", err.Error()}
}
