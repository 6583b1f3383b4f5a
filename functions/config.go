package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"throughline/functions/assign"
	"throughline/shared/graph"
)

// Config is the environment, read once. local.settings.example.json shows every setting.
type Config struct {
	Port string // FUNCTIONS_CUSTOMHANDLER_PORT
	Root string // FUNCTIONS_APP_ROOT_PATH: where host.json and policy.yaml lie

	ServiceBus Connection // ServiceBusConnection, or __fullyQualifiedNamespace and __clientId
	Cosmos     Connection // CosmosConnection, or __accountEndpoint and __clientId
	Database   string     // COSMOS_DATABASE

	GitHubURL     string   // GITHUB_API_URL
	GitHubHost    string   // GITHUB_HOST_KEY: prefix of identities; empty: derived from the URL
	AppID         int64    // GITHUB_APP_ID
	AppKey        secret   // GITHUB_APP_PRIVATE_KEY, PEM
	WebhookSecret []secret // GITHUB_WEBHOOK_SECRET, then _PREVIOUS during a rotation
	Installations []int64  // GITHUB_INSTALLATIONS; empty: all
	UserToken     secret   // GITHUB_USER_TOKEN, only for Copilot
	ReminderURL   secret   // REMINDER_URL: a chat's incoming webhook that is told daily what is due; empty: none is
	// Limits is GITHUB_CONTENT_LIMITS: what may be created through one installation, per minute/per hour.
	Limits graph.Limits

	Cloud         string            // AZURE_CLOUD: public, usgovernment, china
	Scopes        []string          // AZURE_SCOPES: subscription ids, or mg:<management group>
	ARMURL        string            // AZURE_ARM_URL: only for a stand-in or a private cloud
	Mirrors       map[string]string // REGISTRY_MIRRORS: host=mirror[/prefix]
	CatalogueFile string            // CATALOGUE_FILE
	// AttestationRoots is ATTESTATION_ROOTS: files with trusted roots, and tuf for those that Sigstore and GitHub publish;
	// empty: signatures are not checked.
	AttestationRoots []string

	EventsAudience string // EVENTS_AUDIENCE
	EventsKey      secret // EVENTS_SHARED_KEY
	Tenant         string // AZURE_TENANT_ID: whose Entra tokens are taken on /ingest/events

	MarkerKey secret // MARKER_KEY signs the marker of our issues
	// EvidenceKey is EVIDENCE_KEY, a private key (PEM) that signs evidence and the decision log; nil: nothing is signed.
	EvidenceKey *evidenceKey
	Mode        string        // MODE: observe, approve, auto
	Modes       assign.Modes  // MODE_REPOSITORIES: owner/name=mode, ... where another mode holds
	Fallback    string        // FALLBACK_OWNER: @login or @org/team for what nobody owns
	Interval    time.Duration // RESYNC_INTERVAL between full runs
	// RetireShare is RETIRE_SHARE: percent of a scope beyond which nothing is retired without a person; 0: no guard.
	RetireShare int
	FeedsDir    string // FEEDS_DIR
	VEXDir      string // VEX_DIR: a folder of OpenVEX documents
	// Closed is EGRESS=closed: nothing outside the named GitHub and cloud is asked. It is the default where either is not
	// the public one.
	Closed bool

	OTLP       string  // OTEL_EXPORTER_OTLP_ENDPOINT: where traces and measurements go besides the log
	TraceShare float64 // TRACE_SHARE: share of the traces that are kept, 0 to 1

	// ClockOffset is THROUGHLINE_CLOCK, for drills on one machine: how far the clock is to be wrong.
	ClockOffset time.Duration
	Local       bool // THROUGHLINE_LOCAL: the pages are served without authentication, to loopback only
	// Authenticated is WEBSITE_AUTH_ENABLED: the platform sets it when App Service authentication is switched on.
	Authenticated bool
}

// Connection is a Functions connection: a connection string, or an endpoint with a managed identity.
type Connection struct {
	String   secret
	Endpoint string
	ClientID string
}

// secret never shows itself.
type secret string

// LogValue hides the secret from logs.
func (s secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// String hides the secret from messages.
func (s secret) String() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// minSecret is the shortest secret that is accepted.
const minSecret = 16

// settings reads values and gathers every fault.
type settings struct {
	get    func(string) string
	faults []error
}

func (s *settings) fault(name, what, mend string) {
	s.faults = append(s.faults, fmt.Errorf("%s: %s; %s", name, what, mend))
}

func (s *settings) or(name, otherwise string) string {
	v := strings.TrimSpace(s.get(name))
	switch {
	case v == "":
		return otherwise
	case strings.HasPrefix(v, keyVaultReference):
		// The platform leaves the reference as it stands when it cannot resolve it; anybody could guess it.
		s.fault(name, "is a Key Vault reference that was not resolved", "check the secret's name and the identity's role on the vault")
		return otherwise
	}
	return v
}

const keyVaultReference = "@Microsoft.KeyVault("

func (s *settings) must(name, mend string) string {
	v := s.or(name, "")
	if v == "" {
		s.fault(name, "is not set", mend)
	}
	return v
}

// readConfig reads and checks the whole environment; the error names every fault, one to a line.
func readConfig(get func(string) string) (Config, error) {
	s := &settings{get: get}
	c := Config{
		Port:       s.or("FUNCTIONS_CUSTOMHANDLER_PORT", ""),
		Root:       s.or("FUNCTIONS_APP_ROOT_PATH", "."),
		ServiceBus: s.connection("ServiceBusConnection", "fullyQualifiedNamespace"),
		Cosmos:     s.connection("CosmosConnection", "accountEndpoint"),
		Database:   s.or("COSMOS_DATABASE", "throughline"),

		GitHubURL:     s.url("GITHUB_API_URL", "https://api.github.com"),
		GitHubHost:    s.or("GITHUB_HOST_KEY", ""),
		AppID:         s.number("GITHUB_APP_ID"),
		AppKey:        secret(s.pem("GITHUB_APP_PRIVATE_KEY")),
		WebhookSecret: s.webhookSecrets(),
		Installations: s.numbers("GITHUB_INSTALLATIONS"),
		UserToken:     secret(s.or("GITHUB_USER_TOKEN", "")),
		ReminderURL:   secret(s.url("REMINDER_URL", "")),
		Limits:        s.limits("GITHUB_CONTENT_LIMITS", "80/500"),

		Cloud:         s.oneOf("AZURE_CLOUD", "public", "usgovernment", "china"),
		Scopes:        list(s.or("AZURE_SCOPES", "")),
		ARMURL:        s.url("AZURE_ARM_URL", ""),
		Mirrors:       s.pairs("REGISTRY_MIRRORS"),
		CatalogueFile: s.or("CATALOGUE_FILE", ""),

		AttestationRoots: list(s.or("ATTESTATION_ROOTS", "")),

		EventsAudience: s.or("EVENTS_AUDIENCE", ""),
		Tenant:         s.or("AZURE_TENANT_ID", ""),
		EventsKey:      secret(s.long("EVENTS_SHARED_KEY", false)),
		MarkerKey:      secret(s.long("MARKER_KEY", true)),
		EvidenceKey:    s.evidenceKey("EVIDENCE_KEY"),
		Mode:           s.oneOf("MODE", "observe", "approve", "auto"),
		Modes:          s.modes("MODE_REPOSITORIES"),
		Fallback:       s.or("FALLBACK_OWNER", ""),
		Interval:       s.duration("RESYNC_INTERVAL", 6*time.Hour),
		RetireShare:    s.percent("RETIRE_SHARE", 20),
		FeedsDir:       s.or("FEEDS_DIR", ""),
		VEXDir:         s.or("VEX_DIR", ""),
		OTLP:           s.url("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
		TraceShare:     s.share("TRACE_SHARE", 1),
		Local:          s.oneOf("THROUGHLINE_LOCAL", "false", "true") == "true",
		Authenticated:  strings.EqualFold(s.or("WEBSITE_AUTH_ENABLED", ""), "true"),
	}
	c.Closed = s.closed(c)
	c.ClockOffset = s.drillClock(c.Local)
	if c.Port == "" {
		s.fault("FUNCTIONS_CUSTOMHANDLER_PORT", "is not set", "the Functions host sets it; start the handler through the host (make run)")
	}
	return c, errors.Join(s.faults...)
}

// drillClock reads THROUGHLINE_CLOCK, which nobody may set where it counts.
func (s *settings) drillClock(local bool) time.Duration {
	v := s.or("THROUGHLINE_CLOCK", "0s")
	d, err := time.ParseDuration(v)
	if err != nil || d != 0 && !local {
		s.fault("THROUGHLINE_CLOCK", fmt.Sprintf("%q is no duration that may be set here", v), "leave it out; it is for drills with make run")
	}
	return d
}

// closed reads EGRESS, and refuses what would have to leave.
func (s *settings) closed(c Config) bool {
	choices := []string{"open", "closed"}
	if c.GitHubURL != publicGitHub || c.Cloud != "public" {
		slices.Reverse(choices)
	}
	closed := s.oneOf("EGRESS", choices...) == "closed"
	if closed && slices.Contains(c.AttestationRoots, fetchRoots) {
		s.fault("ATTESTATION_ROOTS", "tuf asks public hosts, and EGRESS is closed", "name files with trusted roots, or set EGRESS to open")
	}
	return closed
}

func (s *settings) modes(name string) assign.Modes {
	rules, err := assign.ParseModes(s.or(name, ""))
	if err != nil {
		s.fault(name, err.Error(), "write it like shop/legacy-*=observe, shop/*=auto")
	}
	return rules
}

func (s *settings) connection(name, endpoint string) Connection {
	c := Connection{String: secret(s.or(name, "")), Endpoint: s.or(name+"__"+endpoint, ""), ClientID: s.or(name+"__clientId", "")}
	if c.String == "" && c.Endpoint == "" {
		s.fault(name, "is not set", "set it to a connection string, or set "+name+"__"+endpoint)
	}
	return c
}

func (s *settings) number(name string) int64 {
	v := s.must(name, "set it to the number of the GitHub App")
	if v == "" {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 1 {
		s.fault(name, fmt.Sprintf("%q is not a positive number", v), "copy the App ID from the App's page")
	}
	return n
}

func (s *settings) percent(name string, otherwise int) int {
	v := s.or(name, "")
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 100 {
		s.fault(name, fmt.Sprintf("%q is not a percentage", v), "give a number from 0 (no guard) to 100")
		return otherwise
	}
	return n
}

// limits reads how much may be created in a minute and in an hour.
func (s *settings) limits(name, otherwise string) graph.Limits {
	var l graph.Limits
	v := s.or(name, otherwise)
	minute, hour, _ := strings.Cut(v, "/")
	var bad [2]error
	l.PerMinute, bad[0] = strconv.Atoi(minute)
	l.PerHour, bad[1] = strconv.Atoi(hour)
	if errors.Join(bad[:]...) != nil || l.PerMinute < 1 || l.PerHour < 1 {
		s.fault(name, fmt.Sprintf("%q are no limits", v), "write what may be created in a minute and in an hour, like "+otherwise)
	}
	return l
}

func (s *settings) numbers(name string) []int64 {
	var out []int64
	for _, v := range list(s.or(name, "")) {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 1 {
			s.fault(name, fmt.Sprintf("%q is not a positive number", v), "give installation ids separated by commas, or nothing for all")
			continue
		}
		out = append(out, n)
	}
	return out
}

// pem reads a key; app settings may hold its line ends as \n.
func (s *settings) pem(name string) string {
	v := strings.ReplaceAll(s.must(name, "set it to the private key of the GitHub App (PEM)"), `\n`, "\n")
	if v != "" && !strings.Contains(v, "PRIVATE KEY") {
		s.fault(name, "is not a PEM private key", "paste the whole file that GitHub gave, with its BEGIN and END lines")
	}
	return v
}

func (s *settings) evidenceKey(name string) *evidenceKey {
	v := s.or(name, "")
	if v == "" {
		return nil
	}
	k, err := readEvidenceKey(v)
	if err != nil {
		s.fault(name, err.Error(), "make one with: openssl genpkey -algorithm ed25519")
	}
	return k
}

func (s *settings) long(name string, required bool) string {
	v := s.or(name, "")
	switch {
	case v == "" && required:
		s.fault(name, "is not set", fmt.Sprintf("set it to at least %d random characters", minSecret))
	case v != "" && len(v) < minSecret:
		s.fault(name, fmt.Sprintf("is shorter than %d characters", minSecret), "use a longer random value")
	}
	return v
}

func (s *settings) webhookSecrets() []secret {
	all := []secret{secret(s.long("GITHUB_WEBHOOK_SECRET", true))}
	if previous := s.long("GITHUB_WEBHOOK_SECRET_PREVIOUS", false); previous != "" {
		all = append(all, secret(previous))
	}
	return all
}

// oneOf reads one of the choices; the first is the default.
func (s *settings) oneOf(name string, choices ...string) string {
	v := strings.ToLower(s.or(name, choices[0]))
	if !slices.Contains(choices, v) {
		s.fault(name, fmt.Sprintf("%q is not one of %s", v, strings.Join(choices, ", ")), "choose one of them")
	}
	return v
}

func (s *settings) url(name, otherwise string) string {
	v := s.or(name, otherwise)
	if v == "" {
		return ""
	}
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		s.fault(name, fmt.Sprintf("%q is not an http(s) address", v), "write it like https://api.github.com")
	}
	return strings.TrimRight(v, "/")
}

func (s *settings) duration(name string, otherwise time.Duration) time.Duration {
	v := s.or(name, "")
	if v == "" {
		return otherwise
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		s.fault(name, fmt.Sprintf("%q is not a duration", v), "write it like 6h or 90m")
		return otherwise
	}
	return d
}

func (s *settings) share(name string, otherwise float64) float64 {
	v := s.or(name, "")
	if v == "" {
		return otherwise
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		s.fault(name, fmt.Sprintf("%q is no share", v), "write a number from 0 to 1, like 0.1")
		return otherwise
	}
	return f
}

func (s *settings) pairs(name string) map[string]string {
	out := map[string]string{}
	for _, v := range list(s.or(name, "")) {
		from, to, ok := strings.Cut(v, "=")
		if !ok || from == "" || to == "" {
			s.fault(name, fmt.Sprintf("%q is not host=mirror", v), "write pairs like acr.azurecr.io=mirror.example:5000/acr, separated by commas")
			continue
		}
		out[from] = to
	}
	return out
}

// list cuts a comma-separated value.
func list(v string) []string {
	var out []string
	for _, item := range strings.Split(v, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}
