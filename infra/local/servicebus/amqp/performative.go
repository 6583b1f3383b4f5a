package amqp

// Descriptors of the performatives and of the types inside them.
const (
	descOpen           = 0x10
	descBegin          = 0x11
	descAttach         = 0x12
	descFlow           = 0x13
	descTransfer       = 0x14
	descDisposition    = 0x15
	descDetach         = 0x16
	descEnd            = 0x17
	descClose          = 0x18
	descError          = 0x1d
	descReceived       = 0x23
	descAccepted       = 0x24
	descRejected       = 0x25
	descReleased       = 0x26
	descModified       = 0x27
	descSource         = 0x28
	descTarget         = 0x29
	descCoordinator    = 0x30
	descSASLMechanisms = 0x40
	descSASLInit       = 0x41
	descSASLOutcome    = 0x44
)

var symbolic = map[Symbol]uint64{
	"amqp:open:list": descOpen, "amqp:begin:list": descBegin, "amqp:attach:list": descAttach, "amqp:flow:list": descFlow,
	"amqp:transfer:list": descTransfer, "amqp:disposition:list": descDisposition, "amqp:detach:list": descDetach,
	"amqp:end:list": descEnd, "amqp:close:list": descClose, "amqp:error:list": descError, "amqp:received:list": descReceived,
	"amqp:accepted:list": descAccepted, "amqp:rejected:list": descRejected, "amqp:released:list": descReleased,
	"amqp:modified:list": descModified, "amqp:source:list": descSource, "amqp:target:list": descTarget,
	"amqp:coordinator:list": descCoordinator, "amqp:sasl-mechanisms:list": descSASLMechanisms,
	"amqp:sasl-init:list": descSASLInit, "amqp:sasl-outcome:list": descSASLOutcome,
	"amqp:header:list": descHeader, "amqp:delivery-annotations:map": descDeliveryAnnotations,
	"amqp:message-annotations:map": descAnnotations, "amqp:properties:list": descProperties,
	"amqp:application-properties:map": descApplicationProperties, "amqp:data:binary": descData,
	"amqp:amqp-sequence:list": descSequence, "amqp:amqp-value:*": descValue, "amqp:footer:map": descFooter,
}

// Performative is one of the frame bodies of this package.
type Performative interface {
	append(b []byte) []byte
}

// Open negotiates a connection. Times are milliseconds.
type Open struct {
	ContainerID  string
	Hostname     string
	MaxFrameSize uint32
	ChannelMax   uint16
	IdleTimeout  uint32
	Properties   Map
}

// Begin opens a session; RemoteChannel is nil on the side that starts.
type Begin struct {
	RemoteChannel  *uint16
	NextOutgoingID uint32
	IncomingWindow uint32
	OutgoingWindow uint32
	HandleMax      uint32
}

// Settlement modes of a link, as the specification numbers them.
const (
	SenderUnsettled = 0
	SenderSettled   = 1
	SenderMixed     = 2
	ReceiverFirst   = 0
	ReceiverSecond  = 1
)

// Attach opens a link. Receiver tells the role of the side that sends the frame.
type Attach struct {
	Name                 string
	Handle               uint32
	Receiver             bool
	SndSettleMode        uint8
	RcvSettleMode        uint8
	Source               *Terminus
	Target               *Terminus
	Coordinator          bool // the target is a transaction coordinator
	InitialDeliveryCount uint32
	MaxMessageSize       uint64
	Properties           Map
}

// Terminus is the source or target of a link.
type Terminus struct {
	Address      string
	Durable      uint32
	ExpiryPolicy Symbol
	Timeout      uint32
	Filter       Map // of sources only: name to Described
}

// Flow updates windows, and the credit of a link when Handle is not nil.
type Flow struct {
	NextIncomingID *uint32
	IncomingWindow uint32
	NextOutgoingID uint32
	OutgoingWindow uint32
	Handle         *uint32
	DeliveryCount  uint32
	LinkCredit     uint32
	Drain          bool
	Echo           bool
}

// Transfer carries a message or, with More, a part of one.
type Transfer struct {
	Handle        uint32
	DeliveryID    uint32
	HasDeliveryID bool
	DeliveryTag   []byte
	MessageFormat uint32
	Settled       bool
	More          bool
	Aborted       bool
	Payload       []byte
}

// Disposition tells the state of the deliveries First to Last.
type Disposition struct {
	Receiver bool
	First    uint32
	Last     uint32
	Settled  bool
	State    State
}

// Detach ends a link, Closed for good.
type Detach struct {
	Handle uint32
	Closed bool
	Error  *Error
}

// End ends a session.
type End struct{ Error *Error }

// Close ends a connection.
type Close struct{ Error *Error }

// SASLMechanisms is the server's offer.
type SASLMechanisms struct{ Mechanisms []Symbol }

// SASLInit is the client's choice.
type SASLInit struct {
	Mechanism string
	Response  []byte
}

// SASLOutcome is 0 when the client is in.
type SASLOutcome struct{ Code uint8 }

// Error is a condition with a description for people.
type Error struct {
	Condition   Symbol
	Description string
	Info        Map
}

// Error implements error.
func (e *Error) Error() string { return string(e.Condition) + ": " + e.Description }

// State is a delivery state: Accepted, Rejected, Released, Modified or Received.
type State interface{ appendState(b []byte) []byte }

// Accepted is the outcome of a message that was taken in full.
type Accepted struct{}

// Released gives the message back untouched.
type Released struct{}

// Received tells of a part taken; Service Bus has no use for it.
type Received struct{}

// Rejected is the outcome of a message that cannot be taken.
type Rejected struct{ Error *Error }

// Modified gives the message back with changes.
type Modified struct {
	DeliveryFailed    bool
	UndeliverableHere bool
	Annotations       Map
}
