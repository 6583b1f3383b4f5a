package functionapp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// config is host.json with the defaults of a Flex Consumption app.
type config struct {
	Version         string        `json:"version"`
	FunctionTimeout timeSpan      `json:"functionTimeout"`
	Functions       []string      `json:"functions"`
	CustomHandler   customHandler `json:"customHandler"`
	Retry           *retryPolicy  `json:"retry"`
	Extensions      extensions    `json:"extensions"`
}

type customHandler struct {
	Description                 *description `json:"description"`
	EnableForwardingHTTPRequest bool         `json:"enableForwardingHttpRequest"`
	EnableProxyingHTTPRequest   bool         `json:"enableProxyingHttpRequest"`
	InitializationTimeout       timeSpan     `json:"initializationTimeout"`
	Port                        int          `json:"port"`
	Type                        string       `json:"type"`
}

type description struct {
	DefaultExecutablePath string     `json:"defaultExecutablePath"`
	DefaultWorkerPath     string     `json:"defaultWorkerPath"`
	Arguments             stringList `json:"arguments"`
	WorkerArguments       stringList `json:"workerArguments"`
	WorkingDirectory      string     `json:"workingDirectory"`
	WorkerDirectory       string     `json:"workerDirectory"`
}

type extensions struct {
	HTTP       httpConfig       `json:"http"`
	ServiceBus serviceBusConfig `json:"serviceBus"`
}

type httpConfig struct {
	RoutePrefix             string `json:"routePrefix"`
	MaxOutstandingRequests  int    `json:"maxOutstandingRequests"`
	MaxConcurrentRequests   int    `json:"maxConcurrentRequests"`
	DynamicThrottlesEnabled bool   `json:"dynamicThrottlesEnabled"`
}

type serviceBusConfig struct {
	PrefetchCount                 int         `json:"prefetchCount"`
	AutoCompleteMessages          bool        `json:"autoCompleteMessages"`
	MaxAutoLockRenewalDuration    timeSpan    `json:"maxAutoLockRenewalDuration"`
	MaxConcurrentCalls            int         `json:"maxConcurrentCalls"`
	MaxConcurrentSessions         int         `json:"maxConcurrentSessions"`
	MaxConcurrentCallsPerSession  int         `json:"maxConcurrentCallsPerSession"`
	SessionIdleTimeout            timeSpan    `json:"sessionIdleTimeout"`
	MaxMessageBatchSize           int         `json:"maxMessageBatchSize"`
	MinMessageBatchSize           int         `json:"minMessageBatchSize"`
	MaxBatchWaitTime              timeSpan    `json:"maxBatchWaitTime"`
	EnableCrossEntityTransactions bool        `json:"enableCrossEntityTransactions"`
	TransportType                 string      `json:"transportType"`
	ClientRetryOptions            clientRetry `json:"clientRetryOptions"`
}

type clientRetry struct {
	Mode       string   `json:"mode"`
	TryTimeout timeSpan `json:"tryTimeout"`
	Delay      timeSpan `json:"delay"`
	MaxDelay   timeSpan `json:"maxDelay"`
	MaxRetries int      `json:"maxRetries"`
}

// stringList is an array of strings, or one string that holds such an array
// (the form an app setting can give it).
type stringList []string

// UnmarshalJSON accepts both forms.
func (l *stringList) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		data = []byte(text)
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// knownKeys are the top-level names that the host reads; it ignores any other.
var knownKeys = []string{"version", "functiontimeout", "retry", "functions", "http", "watchdirectories", "watchfiles", "queues",
	"servicebus", "eventhub", "singleton", "logging", "aggregator", "healthmonitor", "extensionbundle", "manageddependencies",
	"customhandler", "httpworker", "extensions", "concurrency", "sendcanceledinvocationstoworker", "metadataprovidertimeout",
	"telemetrymode", "configurationprofile"}

func defaultConfig() config {
	return config{
		FunctionTimeout: timeSpan(30 * time.Minute),
		CustomHandler:   customHandler{InitializationTimeout: timeSpan(30 * time.Second)},
		Extensions: extensions{
			HTTP: httpConfig{RoutePrefix: "api"},
			ServiceBus: serviceBusConfig{
				AutoCompleteMessages:         true,
				MaxAutoLockRenewalDuration:   timeSpan(5 * time.Minute),
				MaxConcurrentCalls:           16 * runtime.NumCPU(),
				MaxConcurrentSessions:        8,
				MaxConcurrentCallsPerSession: 1,
				SessionIdleTimeout:           timeSpan(time.Minute),
				MaxMessageBatchSize:          1000,
				MinMessageBatchSize:          1,
				MaxBatchWaitTime:             timeSpan(30 * time.Second),
				ClientRetryOptions: clientRetry{Delay: timeSpan(800 * time.Millisecond), MaxDelay: timeSpan(time.Minute),
					TryTimeout: timeSpan(time.Minute), MaxRetries: 3},
			},
		},
	}
}

// readConfig reads host.json under root, applies AzureFunctionsJobHost__…
// settings and checks the values. It also returns what deserves a warning: names
// that the host would silently ignore.
func readConfig(root string, s settings) (config, []string, error) {
	c := defaultConfig()
	data, err := os.ReadFile(filepath.Join(root, "host.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil, fmt.Errorf("no host.json in %s: lay out dist/ first", root)
	}
	if err != nil {
		return c, nil, fmt.Errorf("host.json: %w", err)
	}
	tree, err := parseTree(data)
	if err != nil {
		return c, nil, fmt.Errorf("host.json: %w", err)
	}
	override(tree, s.under("AzureFunctionsJobHost"))
	if data, err = json.Marshal(tree); err != nil {
		return c, nil, fmt.Errorf("host.json: %w", err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, nil, fmt.Errorf("host.json: %w", err)
	}
	if err := c.check(tree); err != nil {
		return c, nil, fmt.Errorf("host.json: %w", err)
	}
	return c, ignoredNames(tree), nil
}

// parseTree decodes one JSON object and names the line of a syntax error.
func parseTree(data []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var tree map[string]any
	err := dec.Decode(&tree)
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
		line := 1 + bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n"))
		return nil, fmt.Errorf("line %d: %w", line, err)
	}
	if err == nil && tree == nil {
		err = errors.New("not a JSON object")
	}
	return tree, err
}

var wholeNumber = regexp.MustCompile(`^-?\d{1,9}$`)

// override sets one value in the tree for every setting "path:to:key".
func override(tree map[string]any, values map[string]string) {
	for path, text := range values {
		node := tree
		names := strings.Split(path, ":")
		for _, name := range names[:len(names)-1] {
			key := existingKey(node, name)
			child, ok := node[key].(map[string]any)
			if !ok {
				child = map[string]any{}
				node[key] = child
			}
			node = child
		}
		node[existingKey(node, names[len(names)-1])] = typedValue(text)
	}
}

func existingKey(node map[string]any, name string) string {
	for key := range node {
		if strings.EqualFold(key, name) {
			return key
		}
	}
	return name
}

// typedValue gives a setting's text the JSON type that host.json would use.
func typedValue(text string) any {
	switch lower := strings.ToLower(text); {
	case lower == "true" || lower == "false":
		return lower == "true"
	case wholeNumber.MatchString(text):
		return json.Number(text)
	}
	return text
}

func (c config) check(tree map[string]any) error {
	if c.Version != "2.0" {
		return fmt.Errorf(`"version" is %q, the host needs "2.0"`, c.Version)
	}
	if c.CustomHandler.Description == nil {
		return errors.New("customHandler.description is missing: the host does not know which program handles the functions")
	}
	if c.CustomHandler.Description.DefaultExecutablePath == "" {
		return errors.New("customHandler.description.defaultExecutablePath is missing")
	}
	if handler, ok := tree[existingKey(tree, "customHandler")].(map[string]any); ok {
		if _, routes := handler[existingKey(handler, "http")]; routes {
			return errors.New("customHandler.http excludes function.json files; this host reads function.json files")
		}
	}
	if c.CustomHandler.InitializationTimeout <= 0 {
		return errors.New("customHandler.initializationTimeout must be positive")
	}
	if c.FunctionTimeout == 0 {
		return errors.New("functionTimeout must be positive, or -1 for unbounded")
	}
	return errors.Join(c.Extensions.ServiceBus.check(), c.Retry.check())
}

func (b serviceBusConfig) check() error {
	counts := map[string]int{"maxConcurrentCalls": b.MaxConcurrentCalls, "maxConcurrentSessions": b.MaxConcurrentSessions,
		"maxConcurrentCallsPerSession": b.MaxConcurrentCallsPerSession, "maxMessageBatchSize": b.MaxMessageBatchSize,
		"minMessageBatchSize": b.MinMessageBatchSize}
	for name, n := range counts {
		if n < 1 {
			return fmt.Errorf("extensions.serviceBus.%s is %d, must be at least 1", name, n)
		}
	}
	if b.SessionIdleTimeout <= 0 {
		return errors.New("extensions.serviceBus.sessionIdleTimeout must be positive")
	}
	return nil
}

// ignoredNames lists the names that the real host would not even look at.
func ignoredNames(tree map[string]any) []string {
	var out []string
	for key := range tree {
		if !slices.Contains(knownKeys, strings.ToLower(key)) {
			out = append(out, key)
		}
	}
	bus := child(child(tree, "extensions"), "serviceBus")
	out = append(out, strangers(bus, "extensions.serviceBus.", serviceBusConfig{})...)
	out = append(out, strangers(child(tree, "customHandler"), "customHandler.", customHandler{})...)
	slices.Sort(out)
	return out
}

func child(node map[string]any, name string) map[string]any {
	sub, ok := node[existingKey(node, name)].(map[string]any)
	if !ok {
		return nil
	}
	return sub
}

// strangers are the keys of node that form, a struct with JSON names, lacks.
func strangers(node map[string]any, prefix string, form any) []string {
	data, err := json.Marshal(form)
	if err != nil {
		return nil
	}
	var known map[string]any
	if json.Unmarshal(data, &known) != nil {
		return nil
	}
	var out []string
	for key := range node {
		if _, ok := known[existingKey(known, key)]; !ok {
			out = append(out, prefix+key)
		}
	}
	return out
}
