// Package bus sends events over Service Bus, and keeps and replays the messages that no retry can heal.
//
// Receiving is the host's part, by triggers. What Publish confirmed is durable. When it returns an error some of the
// events may have been sent all the same: the stages converge, so sending them again does no harm. How many messages
// wait in a queue is not offered: the data plane does not tell, and the product has no rights beyond it.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"throughline/shared/graph"
)

// Options say which namespace: either a connection string, or a namespace with a credential.
type Options struct {
	ConnectionString string
	Namespace        string // fully qualified, for example name.servicebus.windows.net
	Credential       azcore.TokenCredential
	Store            graph.Store   // keeps parked messages; nil: nothing can be parked
	Patience         time.Duration // bounds every call to Service Bus; 0: 15 s
	Log              *slog.Logger  // nil: nothing is logged
}

// Bus sends events. It is safe for concurrent use.
type Bus struct {
	client     *azservicebus.Client
	store      graph.Store
	patience   time.Duration
	log        *slog.Logger
	operations atomic.Int64

	mu      sync.Mutex // guards senders
	senders map[string]*azservicebus.Sender
}

// errNoStore is what parking answers when there is nowhere to park.
var errNoStore = errors.New("the bus has no store for parked messages")

// Open checks the options and makes the client. It does not dial: the first send does.
func Open(o Options) (*Bus, error) {
	b := &Bus{store: o.Store, patience: o.Patience, log: o.Log, senders: map[string]*azservicebus.Sender{}}
	if b.patience == 0 {
		b.patience = 15 * time.Second
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	// The SDK's own pause of four seconds would spend the patience on two tries.
	options := &azservicebus.ClientOptions{RetryOptions: azservicebus.RetryOptions{MaxRetries: 4, RetryDelay: 300 * time.Millisecond, MaxRetryDelay: 5 * time.Second}}
	var err error
	switch {
	case o.ConnectionString != "":
		b.client, err = azservicebus.NewClientFromConnectionString(o.ConnectionString, options)
	case o.Namespace != "" && o.Credential != nil:
		b.client, err = azservicebus.NewClient(o.Namespace, o.Credential, options)
	default:
		err = errors.New("want a connection string, or a namespace with a credential")
	}
	if err != nil {
		return nil, fmt.Errorf("open Service Bus: %w", err)
	}
	return b, nil
}

// Operations counts what was sent since the bus was opened as Service Bus bills it: one for every 64 KB of a message.
func (b *Bus) Operations() int64 { return b.operations.Load() }

// Close closes the connection. What was confirmed stays sent.
func (b *Bus) Close(ctx context.Context) error {
	if err := b.client.Close(ctx); err != nil {
		return fmt.Errorf("close Service Bus: %w", err)
	}
	return nil
}

// within bounds one call to Service Bus.
func (b *Bus) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, b.patience)
}
