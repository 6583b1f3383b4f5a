package github

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/golang/snappy"

	"throughline/infra/local/demo/estate"
	"throughline/infra/local/demo/journal"
)

// hookEvents are what the App subscribes to, as far as the webhooks' own schemas know the names: dependabot_alert and
// package are sent too, but must not stand in the App's list there.
var hookEvents = []string{
	"code_scanning_alert", "secret_scanning_alert", "repository", "push", "workflow_run", "registry_package", "issues", "issue_comment", "pull_request",
}

const (
	hookWorkers  = 4
	hookPatience = 10 * time.Second // GitHub's own
	hookHistory  = 10_000           // attempts that are remembered
)

// delivery is one attempt to tell the world something. It is one document of the journal; its payload lies beside it,
// under the GUID that all attempts share.
type delivery struct {
	ID         int64     `json:"id"`
	GUID       string    `json:"guid"`
	Event      string    `json:"event"`
	Action     string    `json:"action,omitempty"`
	Repository int64     `json:"repository,omitempty"`
	Redelivery bool      `json:"redelivery,omitempty"`
	Pending    bool      `json:"pending,omitempty"`
	At         time.Time `json:"at"`
	Duration   float64   `json:"duration"`
	Code       int       `json:"code"`
	Status     string    `json:"status"`
	Reply      string    `json:"reply,omitempty"`
}

// hooks sends webhooks: each once, several at a time, in the background. Like GitHub it never tries again by itself.
type hooks struct {
	s      *Server
	client *http.Client

	mu      sync.Mutex
	wake    *sync.Cond
	url     string
	secret  string
	all     []*delivery // by id
	queue   []*delivery
	busy    int
	last    int64
	drop    dropRule
	dice    *rand.Rand
	stopped bool
}

// dropRule loses deliveries on their way: the next Count, and Percent of a hundred.
type dropRule struct {
	Count   int     `json:"count"`
	Percent float64 `json:"percent"`
}

func newHooks(s *Server) *hooks {
	h := &hooks{s: s, client: &http.Client{Timeout: hookPatience}, last: 3_000_000_000, dice: rand.New(rand.NewPCG(uint64(s.world.Seed), 0x4007))}
	h.wake = sync.NewCond(&h.mu)
	return h
}

func (h *hooks) load() error {
	return h.s.journal.Each("delivery/", func(_ string, raw json.RawMessage) error {
		d := &delivery{}
		if err := json.Unmarshal(raw, d); err != nil {
			return err
		}
		h.all, h.last = append(h.all, d), max(h.last, d.ID)
		if d.Pending {
			h.queue = append(h.queue, d)
		}
		return nil
	})
}

// SetWebhook says where webhooks go and with which secret; "" holds them back until it is known.
func (s *Server) SetWebhook(url, secret string) {
	h := s.hooks
	h.mu.Lock()
	defer h.mu.Unlock()
	h.url, h.secret = url, secret
	h.wake.Broadcast()
}

// Run sends webhooks until ctx ends, then returns when the last attempt has ended too.
func (s *Server) Run(ctx context.Context) {
	h := s.hooks
	stop := context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.stopped = true
		h.wake.Broadcast()
	})
	defer stop()
	var group sync.WaitGroup
	for range hookWorkers {
		group.Go(func() {
			for d := h.next(); d != nil; d = h.next() {
				h.attempt(ctx, d)
				h.done()
			}
		})
	}
	group.Wait()
}

// next waits for a delivery; nil means that it is time to go.
func (h *hooks) next() *delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	for !h.stopped && (len(h.queue) == 0 || h.url == "") {
		h.wake.Wait()
	}
	if h.stopped {
		return nil
	}
	d := h.queue[0]
	h.queue = h.queue[1:]
	h.busy++
	return d
}

func (h *hooks) done() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy--
}

func (h *hooks) enqueue(list []*delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue = append(h.queue, list...)
	h.insert(list)
	h.wake.Broadcast()
}

// remember adds attempts that have been made already.
func (h *hooks) remember(list []*delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.insert(list)
}

// insert keeps the attempts in the order of their ids, which is that of time but for a few that overtake each other.
func (h *hooks) insert(list []*delivery) {
	h.all = append(h.all, list...)
	byID := func(a, b *delivery) int { return cmp.Compare(a.ID, b.ID) }
	if tail := h.all[max(0, len(h.all)-len(list)-100):]; !slices.IsSortedFunc(tail, byID) {
		slices.SortFunc(h.all, byID)
	}
}

func (h *hooks) nextID() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	return h.last
}

// emit adds a webhook to a batch. The caller holds s.mu.
func (h *hooks) emit(t *tx, event, action string, repo int, by string, extra map[string]any) {
	id := h.nextID()
	d := h.compose(t, estate.GUID("delivery", h.s.world.Seed, id, time.Now().UnixNano()), event, action, repo, by, extra)
	d.ID = id
	if !t.keep {
		t.put(deliveryKey(id), d)
	}
	t.queued = append(t.queued, d)
}

// compose renders the payload and notes it under its GUID. repo -1 is none.
func (h *hooks) compose(t *tx, guid, event, action string, repo int, by string, extra map[string]any) *delivery {
	s := h.s
	body := map[string]any{
		"sender": s.accountJSON(s.likeEstate(by)), "organization": s.organizationJSON(),
		"installation": map[string]any{"id": s.world.InstallationID, "node_id": node("IntegrationInstallation", s.world.InstallationID)},
	}
	if by == "github" {
		body["sender"] = s.accountJSON(estate.Account{ID: 9919, Login: "github", Type: "Organization"})
	}
	if action != "" {
		body["action"] = action
	}
	d := &delivery{GUID: guid, Event: event, Action: action, Pending: true, At: s.now(), Status: "pending"}
	if repo >= 0 {
		body["repository"] = s.hookRepository(repo)
		d.Repository = s.world.Repositories[repo].ID
	}
	for k, v := range extra {
		body[k] = v
	}
	t.put("payload/"+guid, pack(body))
	return d
}

// pack compresses a payload: thousands of them are remembered.
func pack(body map[string]any) []byte {
	raw, err := json.Marshal(body)
	if err != nil {
		raw = []byte(`{}`) // payloads are maps of plain values and always marshal
	}
	return snappy.Encode(nil, raw)
}

func (h *hooks) payload(guid string) (json.RawMessage, error) {
	var packed []byte
	found, err := h.s.journal.Get("payload/"+guid, &packed)
	if err == nil && !found {
		err = errors.New("the payload is gone")
	}
	if err != nil {
		return nil, err
	}
	return snappy.Decode(nil, packed)
}

// hookRepository is the repository as webhooks carry it.
func (s *Server) hookRepository(i int) map[string]any {
	out := s.repositoryJSON(i)
	delete(out, "permissions")
	out["custom_properties"] = s.world.Properties(i)
	return out
}

func (s *Server) organizationJSON() map[string]any {
	o := s.world.Org
	u := s.base + "/orgs/" + o.Login
	return map[string]any{
		"login": o.Login, "id": o.ID, "node_id": node("Organization", o.ID), "url": u, "repos_url": u + "/repos", "events_url": u + "/events", "hooks_url": u + "/hooks",
		"issues_url": u + "/issues", "members_url": u + "/members{/member}", "public_members_url": u + "/public_members{/member}",
		"avatar_url": fmt.Sprintf("https://avatars.githubusercontent.com/u/%d?v=4", o.ID), "description": o.Name,
	}
}

func deliveryKey(id int64) string { return fmt.Sprintf("delivery/%012d", id) }

// attempt sends a delivery once and records how it went.
func (h *hooks) attempt(ctx context.Context, d *delivery) {
	h.mu.Lock()
	url, secret, lost := h.url, h.secret, h.dropped()
	h.mu.Unlock()
	done := *d
	done.Pending, done.At = false, h.s.now()
	if lost {
		done.Code, done.Status = http.StatusBadGateway, "Invalid HTTP Response: 502"
	} else {
		h.send(ctx, &done, url, secret)
		if ctx.Err() != nil {
			return // still pending: it is sent after the next start
		}
	}
	h.record(d, done)
}

func (h *hooks) dropped() bool {
	if h.drop.Count > 0 {
		h.drop.Count--
		return true
	}
	return h.drop.Percent > 0 && h.dice.Float64()*100 < h.drop.Percent
}

func (h *hooks) record(d *delivery, done delivery) {
	batch := []journal.Entry{{Key: deliveryKey(done.ID), Value: done}}
	h.mu.Lock()
	*d = done
	if len(h.all) > hookHistory {
		for _, old := range h.all[:hookHistory/10] {
			batch = append(batch, journal.Entry{Key: deliveryKey(old.ID)}, journal.Entry{Key: "payload/" + old.GUID})
		}
		h.all = append([]*delivery(nil), h.all[hookHistory/10:]...)
	}
	h.mu.Unlock()
	if err := h.s.journal.Put(batch...); err != nil {
		h.s.log.Error("delivery not recorded", "guid", d.GUID, "error", err)
	}
}

// headers are what a webhook carries besides its signature.
func (h *hooks) headers(d *delivery) map[string]string {
	return map[string]string{
		"Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/7a1c0de", "Accept": "*/*", "X-GitHub-Event": d.Event, "X-GitHub-Delivery": d.GUID,
		"X-GitHub-Hook-ID": strconv.FormatInt(h.s.world.AppID+400_000_000, 10), "X-GitHub-Hook-Installation-Target-Type": "app",
		"X-GitHub-Hook-Installation-Target-ID": strconv.FormatInt(h.s.world.AppID, 10),
	}
}

func sign(secret string, of func() hash.Hash, body []byte) string {
	m := hmac.New(of, []byte(secret))
	m.Write(body)
	return hex.EncodeToString(m.Sum(nil))
}

// send posts the payload and fills in the outcome.
func (h *hooks) send(ctx context.Context, d *delivery, url, secret string) {
	started := time.Now()
	defer func() { d.Duration = float64(time.Since(started).Milliseconds()) / 1000 }()
	body, err := h.payload(d.GUID)
	if err != nil {
		d.Status, d.Code = err.Error(), 0
		return
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		d.Status = err.Error()
		return
	}
	for k, v := range h.headers(d) {
		r.Header.Set(k, v)
	}
	if secret != "" {
		r.Header.Set("X-Hub-Signature-256", "sha256="+sign(secret, sha256.New, body))
		r.Header.Set("X-Hub-Signature", "sha1="+sign(secret, sha1.New, body))
	}
	answer, err := h.client.Do(r)
	if err != nil {
		d.Code, d.Status = 0, "failed to connect to host"
		return
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 2000)) // for show only: a broken answer still has its status
	d.Code, d.Reply, d.Status = answer.StatusCode, string(text), "OK"
	if answer.StatusCode/100 != 2 {
		d.Status = fmt.Sprintf("Invalid HTTP Response: %d", answer.StatusCode)
	}
}

// Pending counts the webhooks that are waiting to be sent or under way.
func (s *Server) Pending() int {
	h := s.hooks
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.queue) + h.busy
}
