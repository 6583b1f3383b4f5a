package functionapp

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// namespace is where one trigger receives from. The forms of receivers are those
// of the azservicebus client, which satisfies them as it is.
type namespace interface {
	open() (plainReceiver, error)
	accept(ctx context.Context) (sessionReceiver, error)
	close(ctx context.Context) error
}

type settler interface {
	CompleteMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.CompleteMessageOptions) error
	AbandonMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.AbandonMessageOptions) error
}

type receiver interface {
	settler
	ReceiveMessages(context.Context, int, *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
	Close(context.Context) error
}

type plainReceiver interface {
	receiver
	RenewMessageLock(context.Context, *azservicebus.ReceivedMessage, *azservicebus.RenewMessageLockOptions) error
}

type sessionReceiver interface {
	receiver
	SessionID() string
	LockedUntil() time.Time
	RenewSessionLock(context.Context, *azservicebus.RenewSessionLockOptions) error
}

// connection is a Service Bus connection as the settings describe it.
type connection struct {
	text       string // a connection string, or
	fqdn       string // a namespace with an identity
	clientID   string
	credential string
}

// newConnection looks a connection up by its name, with the prefix AzureWebJobs
// first, as the host does. An empty name means AzureWebJobsServiceBus.
func newConnection(s settings, name string) (connection, error) {
	if name == "" {
		name = "ServiceBus"
	}
	for _, section := range []string{"AzureWebJobs" + name, name, "ConnectionStrings:" + name} {
		c := connection{text: s.get(section), fqdn: s.get(section + ":fullyQualifiedNamespace"),
			clientID: s.get(section + ":clientId"), credential: s.get(section + ":credential")}
		if c.text != "" || c.fqdn != "" {
			return c, nil
		}
	}
	return connection{}, fmt.Errorf("the connection %s is not set: give %s (a connection string) or %s__fullyQualifiedNamespace", name, name, name)
}

func (c connection) client(b serviceBusConfig) (*azservicebus.Client, error) {
	options := &azservicebus.ClientOptions{ApplicationID: "functionapp", RetryOptions: azservicebus.RetryOptions{
		MaxRetries:    int32(b.ClientRetryOptions.MaxRetries),
		RetryDelay:    b.ClientRetryOptions.Delay.duration(),
		MaxRetryDelay: b.ClientRetryOptions.MaxDelay.duration(),
	}}
	if c.text != "" {
		return azservicebus.NewClientFromConnectionString(c.text, options)
	}
	credential, err := c.identity()
	if err != nil {
		return nil, err
	}
	return azservicebus.NewClient(c.fqdn, credential, options)
}

func (c connection) identity() (azcore.TokenCredential, error) {
	if !strings.EqualFold(c.credential, "managedidentity") {
		return azidentity.NewDefaultAzureCredential(nil)
	}
	options := &azidentity.ManagedIdentityCredentialOptions{}
	if c.clientID != "" {
		options.ID = azidentity.ClientID(c.clientID)
	}
	return azidentity.NewManagedIdentityCredential(options)
}

// host is the fully qualified name of the namespace, for the metadata.
func (c connection) host() string {
	if c.fqdn != "" {
		return c.fqdn
	}
	for part := range strings.SplitSeq(c.text, ";") {
		if name, value, ok := strings.Cut(part, "="); ok && strings.EqualFold(strings.TrimSpace(name), "Endpoint") {
			_, rest, _ := strings.Cut(value, "://")
			return strings.TrimSuffix(rest, "/")
		}
	}
	return ""
}

// entity is a queue or a subscription behind the azservicebus client.
type entity struct {
	client  *azservicebus.Client
	trigger binding
}

func (e entity) open() (plainReceiver, error) {
	if e.trigger.QueueName != "" {
		return e.client.NewReceiverForQueue(e.trigger.QueueName, nil)
	}
	return e.client.NewReceiverForSubscription(e.trigger.TopicName, e.trigger.SubscriptionName, nil)
}

func (e entity) accept(ctx context.Context) (sessionReceiver, error) {
	if e.trigger.QueueName != "" {
		return e.client.AcceptNextSessionForQueue(ctx, e.trigger.QueueName, nil)
	}
	return e.client.AcceptNextSessionForSubscription(ctx, e.trigger.TopicName, e.trigger.SubscriptionName, nil)
}

func (e entity) close(ctx context.Context) error { return e.client.Close(ctx) }
