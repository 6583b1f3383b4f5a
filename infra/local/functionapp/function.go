package functionapp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
)

// function is one folder with a function.json: its bindings and its counters.
type function struct {
	name     string
	trigger  binding
	bindings []binding
	retry    *retryPolicy

	running, executed, failed atomic.Int64
}

// binding is one entry of function.json; names ignore case, as in the host.
type binding struct {
	Type      string `json:"type"`
	Direction string `json:"direction"`
	Name      string `json:"name"`
	DataType  string `json:"dataType"`

	AuthLevel string   `json:"authLevel"`
	Methods   []string `json:"methods"`
	Route     string   `json:"route"`

	QueueName            string `json:"queueName"`
	TopicName            string `json:"topicName"`
	SubscriptionName     string `json:"subscriptionName"`
	Connection           string `json:"connection"`
	IsSessionsEnabled    bool   `json:"isSessionsEnabled"`
	AutoCompleteMessages *bool  `json:"autoCompleteMessages"`
	Cardinality          string `json:"cardinality"`
	MaxMessageBatchSize  int    `json:"maxMessageBatchSize"`

	Schedule     string `json:"schedule"`
	RunOnStartup bool   `json:"runOnStartup"`
	UseMonitor   *bool  `json:"useMonitor"`
}

const (
	typeHTTPTrigger  = "httptrigger"
	typeHTTP         = "http"
	typeQueueTrigger = "servicebustrigger"
	typeQueue        = "servicebus"
	typeTimerTrigger = "timertrigger"
)

var (
	functionName = regexp.MustCompile(`(?i)^[a-z][a-z0-9_-]{0,127}$`)
	bindingName  = regexp.MustCompile(`^(?:[a-zA-Z][a-zA-Z0-9]{0,127}|\$return)$`)
)

func (b binding) kind() string { return strings.ToLower(b.Type) }
func (b binding) isOut() bool  { return strings.EqualFold(b.Direction, "out") }
func (b binding) isBinary() bool {
	return strings.EqualFold(b.DataType, "binary") || strings.EqualFold(b.DataType, "stream")
}
func (b binding) isMany() bool { return strings.EqualFold(b.Cardinality, "many") }

// isPureHTTP tells whether HTTP requests may go to the handler as they are:
// exactly one httpTrigger in and one http out.
func (f *function) isPureHTTP() bool {
	return f.trigger.kind() == typeHTTPTrigger && len(f.bindings) == 2 &&
		slices.ContainsFunc(f.bindings, func(b binding) bool { return b.kind() == typeHTTP && b.isOut() })
}

// begin counts an invocation; the function it returns counts its end.
func (f *function) begin() func(error) {
	f.running.Add(1)
	return func(err error) {
		f.running.Add(-1)
		f.executed.Add(1)
		if err != nil {
			f.failed.Add(1)
		}
	}
}

// readFunctions reads every <name>/function.json one level under root, sorted by
// name. The first mistake is the error; it names the file.
func readFunctions(root string, only []string, s settings) ([]*function, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var out []*function
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(root, entry.Name(), "function.json"))
		if errors.Is(err, fs.ErrNotExist) || !entry.IsDir() {
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(only) > 0 && !slices.ContainsFunc(only, func(n string) bool { return strings.EqualFold(n, entry.Name()) }) {
			continue
		}
		f, err := parseFunction(entry.Name(), data, s)
		if err != nil {
			return nil, fmt.Errorf("%s/function.json: %w", entry.Name(), err)
		}
		if f != nil {
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no function.json one level under %s", root)
	}
	return out, nil
}

// parseFunction returns nil without an error for a disabled function.
func parseFunction(name string, data []byte, s settings) (*function, error) {
	if !functionName.MatchString(name) || strings.EqualFold(name, "host") {
		return nil, fmt.Errorf("%q is not a valid function name", name)
	}
	var file struct {
		Disabled bool         `json:"disabled"`
		Bindings []binding    `json:"bindings"`
		Retry    *retryPolicy `json:"retry"`
		Excluded bool         `json:"excluded"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	if file.Disabled || file.Excluded || s.isTrue("AzureWebJobs."+name+".Disabled") || s.isTrue("AzureWebJobs_"+name+"_Disabled") {
		return nil, nil
	}
	f := &function{name: name, bindings: file.Bindings, retry: file.Retry}
	return f, f.check(s)
}

func (f *function) check(s settings) error {
	if len(f.bindings) == 0 {
		return errors.New("no bindings")
	}
	triggers := 0
	for i := range f.bindings {
		b := &f.bindings[i]
		if err := b.check(s); err != nil {
			return fmt.Errorf("binding %q: %w", b.Name, err)
		}
		if strings.HasSuffix(b.kind(), "trigger") {
			f.trigger = *b
			triggers++
		}
	}
	if triggers != 1 {
		return fmt.Errorf("%d triggers, a function has exactly one", triggers)
	}
	return f.retry.check()
}

func (b *binding) check(s settings) error {
	if !bindingName.MatchString(b.Name) {
		return errors.New("the name is missing or invalid")
	}
	if b.Name == "$return" && !b.isOut() {
		return errors.New("$return must have direction out")
	}
	for _, text := range []*string{&b.QueueName, &b.TopicName, &b.SubscriptionName, &b.Schedule} {
		value, err := s.expand(*text)
		if err != nil {
			return err
		}
		*text = value
	}
	switch b.kind() {
	case typeHTTPTrigger:
		return b.wantDirection("in")
	case typeHTTP:
		return b.wantDirection("out")
	case typeQueueTrigger:
		return b.checkQueue()
	case typeQueue:
		if b.QueueName == "" && b.TopicName == "" {
			return errors.New("queueName is missing")
		}
		return b.wantDirection("out")
	case typeTimerTrigger:
		if _, err := parseSchedule(b.Schedule); err != nil {
			return err
		}
		return b.wantDirection("in")
	}
	return fmt.Errorf("the type %q is unknown to this host", b.Type)
}

func (b *binding) checkQueue() error {
	if b.QueueName == "" && (b.TopicName == "" || b.SubscriptionName == "") {
		return errors.New("queueName (or topicName with subscriptionName) is missing")
	}
	if b.QueueName != "" && b.TopicName != "" {
		return errors.New("queueName and topicName exclude each other")
	}
	if b.Cardinality != "" && !b.isMany() && !strings.EqualFold(b.Cardinality, "one") {
		return fmt.Errorf("cardinality %q is neither one nor many", b.Cardinality)
	}
	return b.wantDirection("in")
}

func (b *binding) wantDirection(want string) error {
	if b.Direction == "" && want == "in" || strings.EqualFold(b.Direction, want) {
		return nil
	}
	return fmt.Errorf("direction %q, a %s binding has %s", b.Direction, b.Type, want)
}
