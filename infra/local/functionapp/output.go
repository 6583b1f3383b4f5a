package functionapp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// sender is what the Service Bus output binding needs of the azservicebus client.
type sender interface {
	SendMessage(context.Context, *azservicebus.Message, *azservicebus.SendMessageOptions) error
}

// outputs sends what functions return for their serviceBus out bindings.
type outputs struct {
	open func(b binding) (sender, error)

	mu      sync.Mutex
	senders map[string]sender
}

func (o *outputs) sender(b binding) (sender, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := b.Connection + "\x00" + b.QueueName + "\x00" + b.TopicName
	if s, ok := o.senders[key]; ok {
		return s, nil
	}
	s, err := o.open(b)
	if err == nil {
		o.senders[key] = s
	}
	return s, err
}

// deliver sends the values of every serviceBus out binding of f. Values for
// names that are not declared are ignored.
func (c *caller) deliver(ctx context.Context, f *function, result *reply) error {
	for _, b := range f.bindings {
		if b.kind() != typeQueue || !b.isOut() {
			continue
		}
		raw := result.Outputs[b.Name]
		if b.Name == "$return" {
			raw = result.ReturnValue
		}
		for _, body := range outputBodies(raw, b.isBinary()) {
			if err := c.send(ctx, b, body); err != nil {
				return fmt.Errorf("output binding %s: %w", b.Name, err)
			}
		}
	}
	return nil
}

func (c *caller) send(ctx context.Context, b binding, body []byte) error {
	to, err := c.outputs.sender(b)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	plain := "text/plain"
	return to.SendMessage(ctx, &azservicebus.Message{Body: body, ContentType: &plain}, nil)
}

// outputBodies turns an output value into message bodies with the real host's
// traps: text that is valid base64 becomes the text System.Byte[] unless the
// binding is binary, an array becomes one message per element, and an object in
// a string is written again with indentation.
func outputBodies(raw json.RawMessage, binary bool) [][]byte {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return elements(raw)
	}
	if decoded, err := base64.StdEncoding.DecodeString(text); err == nil && text != "" {
		if binary {
			return [][]byte{decoded}
		}
		return [][]byte{[]byte("System.Byte[]")}
	}
	if json.Valid([]byte(text)) {
		return elements([]byte(text))
	}
	return [][]byte{[]byte(text)}
}

func elements(raw []byte) [][]byte {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return [][]byte{indented(raw)}
	}
	var out [][]byte
	for _, one := range list {
		var text string
		if json.Unmarshal(one, &text) == nil {
			out = append(out, []byte(text))
		} else {
			out = append(out, indented(one))
		}
	}
	return out
}

func indented(raw []byte) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(raw), "", "  "); err != nil {
		return raw
	}
	return out.Bytes()
}
