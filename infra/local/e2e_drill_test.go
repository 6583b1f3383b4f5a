package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/google/uuid"

	"throughline/infra/local/servicebus"
)

// drill is one running whole that faults are tried on.
type drill struct {
	*command
	data                   string
	name, id, short, owner string
	org                    string
	outage                 time.Duration
	busOutage, hubOutage   time.Duration
	alerts                 int
	must                   []string // findings that must be there in the end
}

// TestE2EDrills brings each part down while alerts arrive. Nothing is lost, health says what is wrong, and all goes on by
// itself when the fault ends. THROUGHLINE_LONG=1 makes the outages longer than locks, retries and delivery counts last: ten
// minutes without Service Bus, an hour without GitHub (80 minutes in all: -timeout 2h).
func TestE2EDrills(t *testing.T) {
	endToEnd(t)
	d := &drill{data: smallDisk(t), outage: 10 * time.Second, busOutage: 10 * time.Second, hubOutage: 10 * time.Second}
	if os.Getenv("THROUGHLINE_LONG") != "" {
		d.outage = 2 * time.Minute
		d.busOutage, d.hubOutage = 10*time.Minute, time.Hour
	}
	d.command = start(t, freePorts(t), "-data", d.data)
	d.settled(4 * time.Minute)
	d.name, d.id, d.org = d.someRepository()
	d.owner, d.short, _ = strings.Cut(d.name, "/")
	for _, run := range []struct {
		name string
		do   func()
	}{
		{"Service Bus down", d.busDown}, {"Cosmos DB throttled to a tenth", d.throttled}, {"GitHub down", d.gitHubDown},
		{"Resource Graph 429 storm", d.storm}, {"poisoned message", d.poison}, {"disk full", d.diskFull},
	} {
		begun := time.Now()
		d.heals(time.Minute)
		run.do()
		t.Logf("%s: recovered, %s in all", run.name, time.Since(begun).Round(time.Second))
	}
	d.nothingLost()
}

// smallDisk is a folder on a disk of its own that can be filled; an ordinary one where that is not allowed.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("drill", dir, "tmpfs", 0, "size=512m"); err != nil {
		t.Logf("no disk of its own (%v): the drill of the full disk is left out", err)
		return dir
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "data")
}

// post sends JSON to a part's switchboard.
func (d *drill) post(part, path, body string) {
	d.t.Helper()
	d.send(http.MethodPost, part, path, body)
}

func (d *drill) clear(part, path string) {
	d.t.Helper()
	d.send(http.MethodDelete, part, path, "")
}

func (d *drill) send(method, part, path, body string) {
	d.t.Helper()
	req, err := http.NewRequest(method, d.url(part, path), strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		d.t.Fatalf("%s %s: %s", method, path, answer.Status)
	}
}

// alert makes another alert and tells what finding it must become.
func (d *drill) alert() (body []byte, finding string) {
	d.alerts++
	number := fmt.Sprint(9100 + d.alerts)
	text := fmt.Sprintf(newAlert, d.name, d.id, d.short, d.owner, d.org)
	for _, swap := range [][2]string{{"9001", number}, {"left-pad", "pad-" + number}, {"Padding goes wrong", "Padding goes wrong " + number}} {
		text = strings.ReplaceAll(text, swap[0], swap[1])
	}
	return []byte(text), "github-" + d.id + "-dependabot-" + number
}

// report delivers an alert that must be taken.
func (d *drill) report() string {
	d.t.Helper()
	body, finding := d.alert()
	if status := d.deliver("dependabot_alert", uuid.NewString(), body); status != http.StatusAccepted {
		d.t.Errorf("a webhook got %d", status)
	}
	d.must = append(d.must, finding)
	return finding
}

// hasIssue wants the finding to be decided and its issue to be open.
func (d *drill) hasIssue(finding string) error {
	body, err := d.get("functions", "/api/findings/"+finding)
	if err != nil {
		return err
	}
	var f struct {
		Remediation struct {
			Issue struct{ Number int }
		}
	}
	if err := json.Unmarshal(body, &f); err != nil {
		return err
	}
	if f.Remediation.Issue.Number == 0 {
		return fmt.Errorf("%s has no issue: %s", finding, body)
	}
	return nil
}

func (d *drill) opens(finding string, limit time.Duration) {
	d.t.Helper()
	d.eventually(limit, func() error { return d.hasIssue(finding) })
}

// says waits until health tells of the fault.
func (d *drill) says(want string) {
	d.t.Helper()
	d.eventually(time.Minute, func() error {
		body, err := d.get("functions", "/api/health")
		if err != nil {
			body = []byte(err.Error())
		}
		if !bytes.Contains(body, []byte(want)) {
			return fmt.Errorf("health does not say %q: %s", want, body)
		}
		return nil
	})
}

// heals waits until the parts are well.
func (d *drill) heals(limit time.Duration) {
	d.t.Helper()
	d.eventually(limit, func() error {
		_, err := d.get("functions", "/api/health")
		return err
	})
}

// busDown refuses the webhook, so that GitHub knows of it; what GitHub then delivers again is taken.
func (d *drill) busDown() {
	d.post("servicebus-admin", "/$faults", `{"action":"drop"}`)
	d.post("servicebus-admin", "/$faults/drop", `{}`)
	body, finding := d.alert()
	guid := uuid.NewString()
	if status := d.deliver("dependabot_alert", guid, body); status != http.StatusServiceUnavailable {
		d.t.Errorf("a webhook that cannot be kept got %d, want 503", status)
	}
	d.says(`"bus":"`)
	if _, err := d.get("functions", "/api/health"); err == nil {
		d.t.Error("health is 200 while Service Bus is down")
	}
	time.Sleep(d.busOutage)
	d.clear("servicebus-admin", "/$faults")
	d.eventually(time.Minute, func() error {
		if status := d.deliver("dependabot_alert", guid, body); status != http.StatusAccepted {
			return fmt.Errorf("delivered again: %d", status)
		}
		return nil
	})
	d.must = append(d.must, finding)
	d.opens(finding, 3*time.Minute)
}

func (d *drill) throttled() {
	d.post("cosmos", "/_faults", `{"status":429,"count":-1,"percent":90,"retryAfterMs":5}`)
	finding := d.report()
	d.says("were refused (429)")
	time.Sleep(d.outage)
	d.clear("cosmos", "/_faults")
	d.opens(finding, 5*time.Minute)
}

func (d *drill) gitHubDown() {
	d.post("github", "/_faults", `{"kind":"status","status":503}`)
	finding := d.report()
	d.says(`"github":"answers 503`)
	time.Sleep(d.hubOutage)
	d.clear("github", "/_faults")
	d.opens(finding, 15*time.Minute)
}

func (d *drill) storm() {
	d.post("azure", "/_faults", `{"match":"POST /providers/**","kind":"status","status":429,"retryAfter":3}`)
	d.post("functions", "/api/resync", `{}`)
	d.says(`"azure":"answers 429`)
	finding := d.report()
	d.opens(finding, 3*time.Minute) // what is known already goes on
	time.Sleep(d.outage)
	d.clear("azure", "/_faults")
	d.says(`"azure":"ok"`)
}

// poison puts what is no event into a queue, between messages that are.
func (d *drill) poison() {
	text := fmt.Sprintf("Endpoint=sb://127.0.0.1:%d;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=%s;UseDevelopmentEmulator=true", d.ports["servicebus"], servicebus.Secret)
	client, err := azservicebus.NewClientFromConnectionString(text, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	sender, err := client.NewSender("correlate", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	before := d.report()
	if err := sender.SendMessage(ctx, &azservicebus.Message{Body: []byte(`{"specversion":"1.0","type":"poison"`)}, nil); err != nil {
		d.t.Fatal(err)
	}
	after := d.report()
	if err := client.Close(ctx); err != nil {
		d.t.Error(err)
	}
	d.says(`"parked":1`)
	d.opens(before, 2*time.Minute)
	d.opens(after, 2*time.Minute)
}

// diskFull leaves no room for the local store. What the queue has still room for is taken and must not be lost; what it
// has none for is refused, so that GitHub delivers it again.
func (d *drill) diskFull() {
	if filepath.Base(d.data) != "data" {
		return // no disk of its own
	}
	path := filepath.Join(filepath.Dir(d.data), "filler")
	fill(d.t, path)
	var refused [][]byte
	taken, told := 0, false
	for end := time.Now().Add(3 * d.outage); time.Now().Before(end) && !told; {
		body, finding := d.alert()
		d.must = append(d.must, finding)
		switch status := d.deliver("dependabot_alert", uuid.NewString(), body); status {
		case http.StatusAccepted:
			taken++
		case http.StatusServiceUnavailable:
			refused = append(refused, body)
		default:
			d.t.Fatalf("a webhook got %d", status)
		}
		_, err := d.get("functions", "/api/health")
		told = err != nil
	}
	d.t.Logf("disk full: %d webhooks taken, %d refused, health says so: %t", taken, len(refused), told)
	if !told {
		d.t.Error("health does not say that nothing can be written")
	}
	time.Sleep(d.outage)
	if err := os.Remove(path); err != nil {
		d.t.Fatal(err)
	}
	for _, body := range refused {
		d.eventually(time.Minute, func() error {
			if status := d.deliver("dependabot_alert", uuid.NewString(), body); status != http.StatusAccepted {
				return fmt.Errorf("after the disk had room again: %d", status)
			}
			return nil
		})
	}
	for _, finding := range d.must[len(d.must)-taken-len(refused):] {
		d.opens(finding, 5*time.Minute)
	}
}

// fill takes all the room that there is.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		_, err := f.Write(make([]byte, size))
		switch {
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case err != nil:
			t.Fatal(err)
		}
	}
}

// nothingLost wants every alert in the list with its issue, no dead letter, and the poison alone parked.
func (d *drill) nothingLost() {
	d.t.Helper()
	d.heals(2 * time.Minute)
	d.eventually(3*time.Minute, d.empty)
	for _, finding := range d.must {
		if err := d.hasIssue(finding); err != nil {
			d.t.Error(err)
		}
	}
	d.t.Logf("%d alerts, all with their issue, no dead letter", len(d.must))
	parked, err := d.get("functions", "/api/parked")
	if err != nil {
		d.t.Fatal(err)
	}
	var page struct{ Items []struct{ Reason string } }
	if err := json.Unmarshal(parked, &page); err != nil || len(page.Items) != 1 {
		d.t.Errorf("parked: %s", parked)
	}
}

// empty wants no message waiting and none given up. Invocations that failed during an outage are no fault.
func (d *drill) empty() error {
	counts, err := d.get("servicebus-admin", "/$counts")
	if err != nil {
		return err
	}
	var queues map[string]struct{ Active, Scheduled, DeadLetter int }
	if err := json.Unmarshal(counts, &queues); err != nil {
		return err
	}
	for name, q := range queues {
		if q.Active+q.Scheduled+q.DeadLetter > 0 {
			return fmt.Errorf("%s is not empty: %s", name, counts)
		}
	}
	if len(queues) == 0 {
		return errors.New("no queue is counted")
	}
	return nil
}
