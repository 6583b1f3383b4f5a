package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/google/uuid"

	"throughline/functions/api"
	"throughline/functions/assign"
	"throughline/functions/collect"
	"throughline/functions/correlate"
	"throughline/functions/dashboard"
	"throughline/functions/ingest"
	"throughline/functions/prioritize"
	"throughline/functions/resync"
	"throughline/shared/bus"
	"throughline/shared/cosmos"
	"throughline/shared/customhandler"
	"throughline/shared/decision"
	"throughline/shared/defender"
	"throughline/shared/event"
	"throughline/shared/feeds"
	"throughline/shared/github"
	"throughline/shared/github/client"
	"throughline/shared/github/webhook"
	"throughline/shared/graph"
	"throughline/shared/provenance"
	"throughline/shared/telemetry"
)

// house holds the parts that the functions are made of.
type house struct {
	cfg       Config
	log       *slog.Logger
	store     *cosmos.Store
	bus       *bus.Bus
	github    *client.Client
	azure     *defender.Client
	registry  *provenance.Registry
	catalogue *provenance.Catalogue
	policy    atomic.Pointer[decision.Policy]
	intake    *ingest.Stage
	shelf     *feeds.Shelf
	telemetry *telemetry.Telemetry
	clock     *clock
	ready     readiness
	warned    sync.Map // warnings about the policy that were said
	// policyText is the file that the policy in force was read from.
	policyText string
}

// open makes the parts. Nothing is dialled: the port answers first, connections follow with the first use.
func open(cfg Config, log *slog.Logger) (*house, error) {
	h := &house{cfg: cfg, log: log, clock: &clock{machine: func() time.Time { return time.Now().Add(cfg.ClockOffset) }, said: map[string]time.Duration{}}}
	credential, err := h.credential()
	if err != nil {
		return nil, err
	}
	h.shelf = &feeds.Shelf{Now: h.clock.Now}
	if h.telemetry, err = telemetry.Open(telemetry.Options{Endpoint: cfg.OTLP, Share: cfg.TraceShare, Log: log}); err != nil {
		return nil, err
	}
	return h, errors.Join(h.openPolicy(), h.openCatalogue(), h.openStore(credential), h.openGitHub(), h.openAzure(credential), h.measure())
}

// clouds are the sovereign clouds by the names of AZURE_CLOUD.
var clouds = map[string]cloud.Configuration{"public": cloud.AzurePublic, "usgovernment": cloud.AzureGovernment, "china": cloud.AzureChina}

// credential is the managed identity of the app; nil when every connection is a connection string.
func (h *house) credential() (azcore.TokenCredential, error) {
	if h.cfg.ServiceBus.Endpoint == "" && h.cfg.Cosmos.Endpoint == "" && (len(h.cfg.Scopes) == 0 || strings.HasPrefix(h.cfg.ARMURL, "http://")) {
		return nil, nil
	}
	options := azcore.ClientOptions{Cloud: clouds[h.cfg.Cloud]}
	if id := h.cfg.ServiceBus.ClientID; id != "" {
		return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options, ID: azidentity.ClientID(id)})
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
}

func (h *house) openCatalogue() error {
	if h.cfg.CatalogueFile == "" {
		return nil
	}
	text, err := os.ReadFile(h.cfg.CatalogueFile)
	if err != nil {
		return fmt.Errorf("CATALOGUE_FILE: %w", err)
	}
	h.catalogue, err = provenance.ParseCatalogue(text)
	if err != nil {
		return fmt.Errorf("CATALOGUE_FILE %s: %w", h.cfg.CatalogueFile, err)
	}
	return nil
}

func (h *house) openStore(credential azcore.TokenCredential) (err error) {
	h.store, err = cosmos.Open(cosmos.Options{ConnectionString: string(h.cfg.Cosmos.String), Endpoint: h.cfg.Cosmos.Endpoint, Credential: credential,
		Database: h.cfg.Database, Cloud: clouds[h.cfg.Cloud], Log: h.log})
	if err != nil {
		return fmt.Errorf("CosmosConnection: %w", err)
	}
	h.shelf.Store = h.store
	h.bus, err = bus.Open(bus.Options{ConnectionString: string(h.cfg.ServiceBus.String), Namespace: h.cfg.ServiceBus.Endpoint, Credential: credential, Store: h.store, Log: h.log})
	if err != nil {
		return fmt.Errorf("ServiceBusConnection: %w", err)
	}
	return nil
}

func (h *house) hostKey() string {
	if h.cfg.GitHubHost != "" {
		return h.cfg.GitHubHost
	}
	return github.HostKey(h.cfg.GitHubURL)
}

// reserve is the share of GitHub's rate limit that reading leaves for opening and updating issues.
const reserve = 0.1

func (h *house) graph() graph.Graph { return graph.Graph{Store: h.store} }

// wanted tells whether a lost webhook would have told us something.
func (h *house) wanted(name string, installation int64) bool {
	ours := len(h.cfg.Installations) == 0 || slices.Contains(h.cfg.Installations, installation)
	return ours && name != "ping" && name != "meta" && slices.Contains(webhook.Events(), name)
}

func (h *house) openGitHub() (err error) {
	options := client.Options{URL: h.cfg.GitHubURL, Host: h.hostKey(), AppID: h.cfg.AppID, PrivateKey: []byte(h.cfg.AppKey), UserToken: string(h.cfg.UserToken), Reserve: reserve, Now: h.clock.Now, TokenTime: h.clock.Now,
		Transport: h.clock.watch("github", h.telemetry.Transport("github", http.DefaultTransport)),
		Digests:   h.graph().DigestsOf, Healer: h.graph(), Heard: h.graph().NoteHeard, Wanted: h.wanted, Pending: h.graph().DigestsWithoutAttestation, Asked: h.graph().DigestsOfRound}
	s, err := h.openSignatures()
	if err != nil {
		return err
	}
	if s != nil {
		options.Verify = s.Verify
	}
	h.github, err = client.New(options)
	if err != nil {
		return fmt.Errorf("GITHUB_*: %w", err)
	}
	return nil
}

func (h *house) openAzure(credential azcore.TokenCredential) (err error) {
	h.registry = &provenance.Registry{Mirrors: h.cfg.Mirrors, Credential: credential, Hosts: h.labelHosts(), Log: h.log}
	if h.cfg.Closed {
		h.registry.Reach = h.reaches
	}
	if len(h.cfg.Scopes) == 0 {
		return nil
	}
	h.azure, err = defender.Open(defender.Options{ARM: h.cfg.ARMURL, Cloud: h.cfg.Cloud, Credential: credential, Scopes: h.cfg.Scopes, Log: h.log,
		Transport: &http.Client{Transport: h.clock.watch("azure", h.telemetry.Transport("azure", http.DefaultTransport))}})
	if err != nil {
		return fmt.Errorf("AZURE_*: %w", err)
	}
	return nil
}

// labelHosts are the GitHub hosts that labels of images may name.
func (h *house) labelHosts() []string {
	hosts, _ := signers(h.cfg.GitHubURL, h.hostKey())
	return slices.Collect(maps.Keys(hosts))
}

// registries are the registries of the sovereign clouds.
var registries = map[string]string{"public": ".azurecr.io", "usgovernment": ".azurecr.us", "china": ".azurecr.cn"}

// reaches tells whether a registry that no mirror stands for lies inside: in the cloud, or on the GitHub server.
func (h *house) reaches(host string) bool {
	return strings.HasSuffix(strings.ToLower(host), registries[h.cfg.Cloud]) || slices.ContainsFunc(h.labelHosts(), func(github string) bool {
		return host == "containers."+github || host == "docker."+github
	})
}

func (h *house) policyInForce() *decision.Policy { return h.policy.Load() }

// queue serves a stage behind its queue.
func (h *house) queue(name string, handle func(context.Context, event.Event) ([]event.Event, error)) (http.Handler, error) {
	return customhandler.Queue(name, h.telemetry.Stage(name, handle), h.publish(), h.park, h.log), nil
}

// publish sends events and carries the trace on.
func (h *house) publish() func(context.Context, []event.Event) error {
	return h.telemetry.Publish(h.bus.Publish)
}

// park keeps a message that no retry can heal.
func (h *house) park(ctx context.Context, p customhandler.Parked) error {
	return h.bus.Park(ctx, bus.Letter{Queue: p.Queue, MessageID: p.MessageID, Body: p.Body, Reason: p.Reason, DeliveryCount: p.DeliveryCount, At: p.At})
}

func (h *house) ingest() (http.Handler, error) {
	verifier := webhook.Verifier{AppID: h.cfg.AppID, Installations: h.cfg.Installations}
	for _, s := range h.cfg.WebhookSecret {
		verifier.Secrets = append(verifier.Secrets, string(s))
	}
	h.intake = &ingest.Stage{Verifier: verifier, Decoder: webhook.Decoder{Host: h.hostKey(), AppID: h.cfg.AppID},
		Callers: h.callers(), Publish: h.publish(), Now: h.clock.Now, Log: h.log}
	return h.telemetry.Serve("ingest", h.intake), nil
}

// callers are those who may send CloudEvents: the shared key, Entra tokens for our audience, and workflow runs of
// organisations where the App is installed.
func (h *house) callers() ingest.Callers {
	c := ingest.Callers{SharedKey: string(h.cfg.EventsKey), Now: h.clock.Now, Owner: h.github.Reaches}
	if h.cfg.EventsAudience == "" {
		return c
	}
	client := &http.Client{Timeout: 10 * time.Second}
	if h.cfg.Tenant != "" {
		c.Entra = ingest.EntraIssuer(strings.TrimRight(clouds[h.cfg.Cloud].ActiveDirectoryAuthorityHost, "/"), h.cfg.Tenant, h.cfg.EventsAudience, nil, client, h.clock.Now)
	}
	if issuer := h.actions(); issuer != "" {
		c.GitHub = ingest.GitHubIssuer(issuer, h.cfg.EventsAudience, client, h.clock.Now)
	}
	return c
}

// actions is who issues the tokens of workflow runs; empty: nobody that may be asked.
func (h *house) actions() string {
	_, own := signers(h.cfg.GitHubURL, h.hostKey())
	switch {
	case len(own) > 0:
		return own[0]
	case h.cfg.Closed:
		return ""
	}
	return ingest.PublicActions
}

// publicGitHub is where github.com answers.
const publicGitHub = "https://api.github.com"

func (h *house) correlate() (http.Handler, error) {
	s := &correlate.Stage{Store: h.store, Now: h.clock.Now, Log: h.log}
	if h.catalogue != nil {
		s.Catalogue = h.catalogue
	}
	s.Labels, s.Inventory = labels{hosts: h.labelHosts()}, h.inventory()
	return h.queue("correlate", s.Handle)
}

// inventory names the scopes that together list everything that runs.
func (h *house) inventory() []string {
	if h.azure == nil {
		return nil
	}
	return []string{"azure workloads", "azure findings"}
}

func (h *house) prioritize() (http.Handler, error) {
	s := &prioritize.Stage{Store: h.store, Policy: h.policyInForce, Feeds: intelligence{h.shelf}, VEX: &statements{shelf: h.shelf, log: h.log}, Inventory: h.inventory(), Now: h.clock.Now, Log: h.log}
	return h.queue("prioritize", s.Handle)
}

func (h *house) assign() (http.Handler, error) {
	s := &assign.Stage{Store: h.store, Tracker: h.github, Policy: h.policyInForce, Mode: assign.Mode(h.cfg.Mode), Marker: assign.Marker{Key: []byte(h.cfg.MarkerKey)},
		Process: uuid.NewString(), Now: h.clock.Now, Log: h.log, Speaker: h.github, History: h.github, Alerts: h.github, Rights: h.github, Window: h.quiet(), Modes: h.cfg.Modes,
		Owners: &assign.Owners{People: h.github, Fallback: h.cfg.Fallback, Now: h.clock.Now}, Budget: &assign.Budget{Store: h.store, Limits: h.cfg.Limits, Now: h.clock.Now}}
	s.Signed = h.cfg.EvidenceKey != nil
	if h.cfg.UserToken != "" {
		s.Agents = h.github
	}
	if h.catalogue != nil {
		s.Owners.Catalogue = h.catalogue
	}
	if h.azure != nil {
		s.Tickets = tickets{h.azure}
	}
	return h.queue("assign", s.Handle)
}

func (h *house) collect() (http.Handler, error) {
	sources := map[string]collect.Source{"github": h.github, "registry": h.registry, "feeds": h.feeds()}
	if h.azure != nil {
		sources["azure"] = h.azure
	}
	s := &collect.Stage{Store: h.store, Sources: sources, Guard: float64(h.cfg.RetireShare) / 100, Now: h.clock.Now, Log: h.log}
	return h.queue("collect", s.Handle)
}

func (h *house) resyncStage() *resync.Stage {
	roots := []graph.Collection{{Source: "github", Scope: "all"}, {Source: "feeds", Scope: "all"}}
	if h.azure != nil {
		roots = append(roots, graph.Collection{Source: "azure", Scope: "all"})
	}
	deltas := []graph.Collection{{Source: "github", Scope: "deliveries"}}
	if h.azure != nil {
		deltas = append(deltas, graph.Collection{Source: "azure", Scope: "delta"})
	}
	return &resync.Stage{Store: h.store, Roots: roots, Deltas: deltas, Interval: h.cfg.Interval, Now: h.clock.Now, Log: h.log}
}

func (h *house) resync() (http.Handler, error) {
	s := h.resyncStage()
	tick := func(ctx context.Context, _ customhandler.Tick) ([]event.Event, error) {
		renewed, err := h.renewPolicy(ctx, h.store)
		if err != nil {
			return nil, err
		}
		stated, err := renewVEX(ctx, h.library())
		if err != nil {
			return nil, err
		}
		h.tellOthers(ctx)
		due, err := s.Tick(ctx)
		return slices.Concat(renewed, stated, due), errors.Join(err, h.logbook().Append(ctx, h.clock.Now()))
	}
	watched := func(ctx context.Context, at customhandler.Tick) ([]event.Event, error) {
		return h.telemetry.Tick(ctx, "resync", func(ctx context.Context) ([]event.Event, error) { return tick(ctx, at) })
	}
	return customhandler.Timer("resync", watched, h.publish(), h.log), nil
}

// tellOthers writes what is not about one issue: where things run, campaigns, and what is due. Trouble there must not keep anything from
// being read; what was not told is told with a later tick.
func (h *house) tellOthers(ctx context.Context) {
	mode := assign.Mode(h.cfg.Mode)
	err := errors.Join(assign.Records{Store: h.store, Registrar: h.github, Mode: mode, Modes: h.cfg.Modes, Now: h.clock.Now, Log: h.log}.Tick(ctx),
		assign.Campaigns{Store: h.store, Organiser: h.github, Mode: mode, Now: h.clock.Now, Log: h.log}.Tick(ctx))
	if err != nil {
		h.log.WarnContext(ctx, "not everything was told to GitHub", "reason", err)
	}
	if err := h.sendReminder(ctx); err != nil {
		h.log.WarnContext(ctx, "no reminder was sent", "reason", err)
	}
}

// logbook takes decisions and closings into the logs of their repositories.
func (h *house) logbook() graph.Logbook {
	b := graph.Logbook{Store: h.store}
	if h.cfg.EvidenceKey != nil {
		b.Sign = h.cfg.EvidenceKey.signLog
	}
	return b
}

func (h *house) access() api.Access {
	return api.Access{Local: h.cfg.Local, Authenticated: h.cfg.Authenticated}
}

func (h *house) api() (http.Handler, error) {
	a := &api.API{Store: h.store, Letters: letters{h.bus}, Publish: h.publish(), Resync: h.resyncStage().Start, Health: h.health, Readiness: h.readiness, Access: h.access(), Limits: h.cfg.Limits, Policy: h.policyInForce, Around: h.surroundings, Now: h.clock.Now, Log: h.log}
	if k := h.cfg.EvidenceKey; k != nil {
		a.Sign, a.VerifyLog = k.envelope, k.verifyLog
	}
	return h.telemetry.Serve("api", a.Handler()), nil
}

func (h *house) dashboard() (http.Handler, error) {
	reader := h.access()
	d := &dashboard.Dashboard{Store: h.store, Guard: func(next http.Handler) http.Handler { return reader.Need(api.Reader, next) }, Filter: api.ParseFilter,
		Policy: h.policyInForce, Health: h.health, Limits: h.cfg.Limits, Copilot: h.cfg.UserToken != "", Dead: letters{h.bus}.counts, Readiness: h.readiness, Now: h.clock.Now, Log: h.log,
		Caller: func(r *http.Request) (string, bool) {
			who, _ := reader.Who(r) // Guard has let the caller in
			return who.Name, who.May(api.Operator)
		}}
	return d.Handler()
}

// labels lets correlate weigh labels by the rules of provenance.
type labels struct{ hosts []string }

// JudgeLabels gives the evidence of the labels of a, refused where a base has the same.
func (l labels) JudgeLabels(a graph.Artifact, bases []graph.Artifact) []graph.Evidence {
	return provenance.JudgeLabels(a, bases, l.hosts...)
}

// IsBase tells whether a was built on base.
func (labels) IsBase(a, base graph.Artifact) bool { return provenance.IsBase(a, base) }

// Hint names the repositories that an image could come from by its name alone.
func (labels) Hint(a graph.Artifact, repositories []graph.Repository) []graph.Evidence {
	return provenance.Hint(a, repositories)
}

// letters shows the bus's parked messages to the API.
type letters struct{ bus *bus.Bus }

// List gives one page of parked messages.
func (l letters) List(ctx context.Context, cursor string) ([]api.Letter, string, error) {
	parked, next, err := l.bus.Parked(ctx, cursor)
	var out []api.Letter
	for _, p := range parked {
		out = append(out, shown(p))
	}
	return out, next, err
}

// Dead shows dead letters of a queue.
func (l letters) Dead(ctx context.Context, queue string, most int) ([]api.Letter, error) {
	found, err := l.bus.DeadLetters(ctx, queue, most)
	var out []api.Letter
	for _, d := range found {
		out = append(out, shown(d))
	}
	return out, err
}

// counts tells how many dead letters each queue has, as far as the API shows them; queues without any are left out.
func (l letters) counts(ctx context.Context) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	all := map[string]int{}
	for _, r := range event.Routes {
		found, err := l.bus.DeadLetters(ctx, r.HeardBy, api.MostDead)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			all[r.HeardBy] = len(found)
		}
	}
	return all, nil
}

// ReplayDead sends dead letters into their queue again.
func (l letters) ReplayDead(ctx context.Context, queue string, most int) (int, error) {
	return l.bus.ReplayDeadLetters(ctx, queue, most)
}

// shown is a letter as the API shows it.
func shown(l bus.Letter) api.Letter {
	return api.Letter{ID: l.ID, Queue: l.Queue, MessageID: l.MessageID, Reason: l.Reason, DeliveryCount: l.DeliveryCount, At: l.At, Replayed: l.Replayed, Body: string(l.Body)}
}

// Replay sends a parked message into its queue again.
func (l letters) Replay(ctx context.Context, id string) error { return l.bus.Replay(ctx, id) }
