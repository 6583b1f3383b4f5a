// Package demo is an organisation on GitHub and a tenant in Azure to look at: stand-ins that speak the same HTTP, over an
// estate that is made up from a seed.
//
// What the product writes (issues, comments, labels, alert changes, deployment records, governance assignments) and every
// webhook survives kill -9 when a directory is given. The rooms: estate makes the world up, world keeps what became of it,
// github and azure serve it, kusto reads queries, fault lets things fail, journal remembers. The package comments of
// github and azure say what they do as the real services do, and what they do not.
//
// Things happen on request, with JSON bodies, on the port of the stand-in they concern:
//
//	POST /_faults   rules of package fault: answers with a status before or after the effect, cut bodies, delays
//	POST /_limits   which limits are enforced, and the clock that they go by; GET tells what was asked and refused
//	POST /_demo/alerts, /_demo/alerts/{kind}/{repository}/{number}/fix|reopen|dismiss
//	POST /_demo/issues/{repository}/{number}/close|reopen|assign|unassign|label|comment|edit|delete|transfer
//	POST /_demo/pulls, /_demo/pulls/{repository}/{number}/merge
//	POST /_demo/repositories/{repository}/rename|archive|unarchive|delete|privatize|publicize|push
//	GET  /_demo/images, POST /_demo/images/{image}/build
//	POST /_demo/drop-webhooks, /_demo/missed, /_demo/installation
//	GET  /_demo/workloads, POST /_demo/workloads/{workload}       (Azure)
package demo

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"throughline/infra/local/demo/authority"
	"throughline/infra/local/demo/azure"
	"throughline/infra/local/demo/estate"
	"throughline/infra/local/demo/github"
	"throughline/infra/local/demo/journal"
	"throughline/infra/local/demo/world"
)

// Options say where the stand-ins listen, which estate they show and where they remember.
type Options struct {
	GitHubAddr, AzureAddr string // "127.0.0.1:7080", "127.0.0.1:7090"; port 0 picks one
	Seed                  int64
	Estate                string // "small", "medium", "large", or "large/N" for an Nth of it; "" is small
	Dir                   string // "" keeps everything in memory
	WebhookURL            string // where webhooks go; "" holds them back until SetWebhook
	WebhookSecret         string // "" makes one up, which Env shows
	Log                   *slog.Logger
}

// Demo is both stand-ins, running.
type Demo struct {
	options   Options
	world     *world.World
	journal   *journal.Journal
	github    *github.Server
	azure     *azure.Server
	servers   []*http.Server
	addresses [2]string
	keyPEM    string
	catalogue string
	roots     string // the file with what a verifier of attestations must trust
	temporary string // removed by Close
	stop      context.CancelFunc
	group     sync.WaitGroup
	once      sync.Once
	closing   error
}

// Start serves both stand-ins; they listen when it returns and stop when ctx ends or Close is called. A port that is in
// use, an unknown estate, or a directory that holds another estate is one clear error.
func Start(ctx context.Context, o Options) (*Demo, error) {
	if o.Estate == "" {
		o.Estate = "small"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Demo{options: o}
	if err := d.start(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Demo) start(ctx context.Context) error {
	var listeners [2]net.Listener
	for i, l := range []struct{ name, addr, flag string }{{"GitHub", d.options.GitHubAddr, "-port-github"}, {"Azure", d.options.AzureAddr, "-port-azure"}} {
		listener, err := listen(l.name, l.addr, l.flag)
		if err != nil {
			return errors.Join(err, closeAll(listeners[:i]))
		}
		listeners[i], d.addresses[i] = listener, listener.Addr().String()
	}
	if err := d.open(); err != nil {
		return errors.Join(err, closeAll(listeners[:]))
	}
	ctx, d.stop = context.WithCancel(ctx)
	d.github.SetWebhook(d.options.WebhookURL, d.options.WebhookSecret)
	d.group.Go(func() { d.github.Run(ctx) })
	for i, h := range []http.Handler{d.github.Handler(), d.azure.Handler()} {
		server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(d.options.Log.Handler(), slog.LevelDebug)}
		d.servers = append(d.servers, server)
		d.group.Go(func() {
			if err := server.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				d.options.Log.Error("stand-in stopped", "address", d.addresses[i], "error", err)
			}
		})
	}
	context.AfterFunc(ctx, func() { d.shutdown() })
	return nil
}

func listen(name, addr, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s stand-in: %s is in use; stop what uses it or choose another port with %s", name, addr, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("%s stand-in: %w", name, err)
	}
	return l, nil
}

func closeAll(listeners []net.Listener) error {
	var err error
	for _, l := range listeners {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// origin is what a directory was begun with. It may be continued only with the same.
type origin struct {
	Seed   int64     `json:"seed"`
	Estate string    `json:"estate"`
	Epoch  time.Time `json:"epoch"`
	Secret string    `json:"secret"`
}

// open reads or begins the state: journal, estate, key, catalogue.
func (d *Demo) open() error {
	o := &d.options
	j, err := journal.Open(o.Dir)
	if err != nil {
		return fmt.Errorf("demo state: %w", err)
	}
	d.journal = j
	begun, err := d.origin()
	if err != nil {
		return err
	}
	e, err := estate.New(estate.Config{Seed: begun.Seed, Size: begun.Estate, Epoch: begun.Epoch})
	if err != nil {
		return err
	}
	if d.world, err = world.Open(e, j); err != nil {
		return fmt.Errorf("demo state: %w", err)
	}
	if o.WebhookSecret == "" {
		o.WebhookSecret = begun.Secret
	}
	key, err := d.key()
	if err != nil {
		return fmt.Errorf("the App's key: %w", err)
	}
	signing, err := authority.New()
	if err != nil {
		return err
	}
	if d.github, err = github.Open(github.Config{World: d.world, Journal: j, Key: key, Base: d.GitHubURL(), Log: o.Log, Authority: signing}); err != nil {
		return fmt.Errorf("demo state: %w", err)
	}
	if d.azure, err = azure.Open(azure.Config{World: d.world, Journal: j, Log: o.Log}); err != nil {
		return fmt.Errorf("demo state: %w", err)
	}
	return d.writeFiles(signing)
}

func (d *Demo) origin() (origin, error) {
	var begun origin
	found, err := d.journal.Get("origin", &begun)
	if err != nil {
		return begun, fmt.Errorf("demo state: %w", err)
	}
	if found {
		if begun.Seed != d.options.Seed || begun.Estate != d.options.Estate {
			return begun, fmt.Errorf("%s holds the estate -estate %s -seed %d; continue with these or choose another -data", d.options.Dir, begun.Estate, begun.Seed)
		}
		return begun, nil
	}
	secret := make([]byte, 20)
	if _, err := rand.Read(secret); err != nil {
		return begun, err
	}
	begun = origin{Seed: d.options.Seed, Estate: d.options.Estate, Epoch: time.Now().UTC().Truncate(24 * time.Hour), Secret: hex.EncodeToString(secret)}
	return begun, d.journal.Put(journal.Entry{Key: "origin", Value: begun})
}

// key is made once for a directory, so that the product's setting stays right after a restart.
func (d *Demo) key() (*rsa.PrivateKey, error) {
	path := filepath.Join(d.options.Dir, "app.pem")
	if d.options.Dir != "" {
		text, err := os.ReadFile(path)
		if err == nil {
			d.keyPEM = string(text)
			return github.ParseKey(text)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	k, text, err := github.NewKey()
	if err != nil {
		return nil, err
	}
	d.keyPEM = string(text)
	if d.options.Dir == "" {
		return k, nil
	}
	return k, replaceFile(path, text)
}

// replaceFile writes beside and renames, so that a crash leaves the whole file or none.
func replaceFile(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// writeFiles writes what the product reads as files: the catalogue, and whom to trust for attestations.
func (d *Demo) writeFiles(signing *authority.Authority) error {
	dir := d.options.Dir
	if dir == "" {
		temporary, err := os.MkdirTemp("", "throughline-demo-")
		if err != nil {
			return err
		}
		d.temporary, dir = temporary, temporary
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	root, err := signing.TrustedRoot()
	if err != nil {
		return err
	}
	d.catalogue, d.roots = filepath.Join(dir, "catalogue.yaml"), filepath.Join(dir, "trusted-root.json")
	return errors.Join(replaceFile(d.catalogue, []byte(d.world.Catalogue())), replaceFile(d.roots, root))
}

// Part tells which part of the large estate a size names; false when it is another.
func Part(size string) (int, bool) { return estate.Part(size) }

// GitHubURL is the address of the GitHub stand-in, without a slash at its end.
func (d *Demo) GitHubURL() string { return "http://" + d.addresses[0] }

// AzureURL is the address of the Azure stand-in, without a slash at its end.
func (d *Demo) AzureURL() string { return "http://" + d.addresses[1] }

// SetWebhook says where webhooks go from now on; those that were held back are sent. The secret stays when it is "".
func (d *Demo) SetWebhook(url, secret string) {
	if secret != "" {
		d.options.WebhookSecret = secret
	}
	d.github.SetWebhook(url, d.options.WebhookSecret)
}

// Env is the product's settings that point it at the stand-ins, as NAME=value.
func (d *Demo) Env() []string {
	var mirrors []string
	for _, host := range d.world.Hosts() {
		mirrors = append(mirrors, host+"="+d.addresses[1]+"/"+host)
	}
	return []string{
		"GITHUB_API_URL=" + d.GitHubURL(),
		fmt.Sprintf("GITHUB_APP_ID=%d", d.world.AppID),
		"GITHUB_APP_PRIVATE_KEY=" + d.keyPEM,
		"GITHUB_WEBHOOK_SECRET=" + d.options.WebhookSecret,
		"GITHUB_USER_TOKEN=" + github.UserToken,
		"AZURE_ARM_URL=" + d.AzureURL(),
		"AZURE_SCOPES=mg:" + d.world.ManagementGroup,
		"REGISTRY_MIRRORS=" + strings.Join(mirrors, ","),
		"CATALOGUE_FILE=" + d.catalogue,
		"ATTESTATION_ROOTS=" + d.roots,
	}
}

// Play plays the scripted events as signed webhooks and returns when each was accepted. After a crash it goes on where
// it was; delivering an event again is harmless, as it is with GitHub.
func (d *Demo) Play(ctx context.Context) error { return d.github.Play(ctx) }

// Pending counts the webhooks that are waiting to be sent or under way; those that were held back for want of an address
// are among them.
func (d *Demo) Pending() int { return d.github.Pending() }

// Close stops both servers and the sending of webhooks. What was confirmed is on disk already.
func (d *Demo) Close() error {
	if d.stop != nil {
		d.stop()
	}
	d.shutdown()
	d.group.Wait()
	return d.closing
}

func (d *Demo) shutdown() {
	d.once.Do(func() {
		for _, s := range d.servers {
			d.closing = errors.Join(d.closing, s.Close())
		}
		d.group.Wait()
		if d.journal != nil {
			d.closing = errors.Join(d.closing, d.journal.Close())
		}
		if d.temporary != "" {
			d.closing = errors.Join(d.closing, os.RemoveAll(d.temporary))
		}
	})
}
