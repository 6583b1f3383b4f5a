package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// walkthrough follows one finding on a critical bare pod to the closed issue: every step is a call that a person, GitHub
// or a pipeline makes, and is believed only when the product's own API, the issue or Defender for Cloud shows it.
type walkthrough struct {
	*stage
	finding    string
	repository string // name without owner
	fullName   string
	assessment string
	issue      int
	workload   int
	alerts     []int
}

// stepLimit is how long a step may take until it shows.
const stepLimit = 3 * time.Minute

// walk plays the walkthrough when it was asked for.
func (s *stage) walk(ctx context.Context) error {
	if !s.walkthrough {
		return nil
	}
	w := &walkthrough{stage: s}
	for n, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"a finding on a critical bare pod has an issue with every CVE, with an alert and without", w.find},
		{"a click on it shows the issue that is there", w.click},
		{"somebody takes the issue; our view and Defender for Cloud show it", w.assign},
		{"somebody closes it too early; both show it, and that nothing is mended", w.closeEarly},
		{"it is opened again", w.reopen},
		{"a pull request fixes it and is merged; the alerts are fixed", w.merge},
		{"the image is built again and the workloads are replaced", w.deploy},
		{"the issue is closed as verified, with the evidence", w.verified},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("walkthrough, step %d, %s: %w", n+1, step.name, err)
		}
		fmt.Printf("%d. %s (%s #%d)\n", n+1, step.name, w.fullName, w.issue)
	}
	return nil
}

// followed is what the API tells of a finding, as far as the walkthrough looks at it.
type followed struct {
	Finding struct {
		State   string   `json:"state"`
		CVEs    []string `json:"cves"`
		Runtime struct {
			Assessment string `json:"assessment"`
		} `json:"runtime"`
	} `json:"finding"`
	Repository struct {
		Owner, Name string
	} `json:"repository"`
	Remediation struct {
		Status    string   `json:"status"`
		Assignees []string `json:"assignees"`
		Issue     struct {
			Number int    `json:"number"`
			State  string `json:"state"`
			Reason string `json:"stateReason"`
		} `json:"issue"`
		PullRequests []struct {
			State string `json:"state"`
		} `json:"pullRequests"`
	} `json:"remediation"`
}

// find looks for the pod, and for a finding on it whose issue has a CVE with an alert and one without.
func (w *walkthrough) find(ctx context.Context) error {
	pod, err := w.pod(ctx)
	if err != nil {
		return err
	}
	var page struct {
		Items []struct {
			ID, Tier  string
			Workloads []string
		}
	}
	if err := w.ask(ctx, "/api/findings?kind=runtime&limit=200", &page); err != nil {
		return err
	}
	for _, f := range page.Items {
		if !slices.Contains(f.Workloads, pod) || f.Tier != "P0" && f.Tier != "P1" {
			continue
		}
		fits, err := w.fits(ctx, f.ID)
		if err != nil || fits {
			return err
		}
	}
	return fmt.Errorf("no finding on the pod %s has an issue with both kinds of CVEs", pod)
}

// pod is the name of the bare pod.
func (w *walkthrough) pod(ctx context.Context) (string, error) {
	var all []struct {
		Workload int
		Kind, ID string
	}
	if err := w.send(ctx, http.MethodGet, w.demo.AzureURL()+"/_demo/workloads", nil, &all); err != nil {
		return "", err
	}
	for _, x := range all {
		if x.Kind == "pod" {
			w.workload = x.Workload
			parts := strings.Split(x.ID, "-default-")
			name, found := strings.CutSuffix(parts[len(parts)-1], "-reports-api")
			if found {
				return name, nil
			}
		}
	}
	return "", fmt.Errorf("the demo runs no bare pod")
}

func (w *walkthrough) fits(ctx context.Context, id string) (bool, error) {
	var f followed
	if err := w.ask(ctx, "/api/findings/"+id, &f); err != nil {
		return false, err
	}
	if f.Remediation.Issue.Number == 0 || len(f.Finding.CVEs) < 2 {
		return false, nil
	}
	w.finding, w.repository, w.fullName = id, f.Repository.Name, f.Repository.Owner+"/"+f.Repository.Name
	w.assessment, w.issue = f.Finding.Runtime.Assessment, f.Remediation.Issue.Number
	text, err := w.page(ctx)
	if err != nil {
		return false, err
	}
	linked, unknown := 0, 0
	for _, cve := range f.Finding.CVEs {
		for line := range strings.Lines(text) {
			switch {
			case !strings.HasPrefix(line, "| `"+cve+"` |"):
			case strings.Contains(line, "no alert knows it"):
				unknown++
			case strings.Contains(line, "/security/dependabot/"):
				linked++
				w.alerts = numbersAfter(line, "/security/dependabot/")
			}
		}
	}
	return linked > 0 && unknown > 0 && linked+unknown == len(f.Finding.CVEs), nil
}

// numbersAfter reads every number that follows a text.
func numbersAfter(line, text string) []int {
	var all []int
	for _, part := range strings.Split(line, text)[1:] {
		var n int
		if _, err := fmt.Sscanf(part, "%d", &n); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// page is the issue as GitHub shows it.
func (w *walkthrough) page(ctx context.Context) (string, error) {
	var text string
	err := w.send(ctx, http.MethodGet, fmt.Sprintf("%s/%s/issues/%d", w.demo.GitHubURL(), w.fullName, w.issue), nil, &text)
	return text, err
}

func (w *walkthrough) click(ctx context.Context) error {
	var answer struct {
		Requested bool
		Issue     struct{ Number int }
	}
	url := "http://" + address(w.functions) + "/api/findings/" + w.finding + "/issue"
	if err := w.send(ctx, http.MethodPost, url, struct{}{}, &answer); err != nil {
		return err
	}
	if answer.Requested || answer.Issue.Number != w.issue {
		return fmt.Errorf("it answered issue #%d, newly asked for: %t", answer.Issue.Number, answer.Requested)
	}
	return nil
}

// act does something to the issue as a person.
func (w *walkthrough) act(ctx context.Context, action string, body any) error {
	return w.organisation(ctx, fmt.Sprintf("issues/%s/%d/%s", w.repository, w.issue, action), body, nil)
}

func (w *walkthrough) organisation(ctx context.Context, path string, body, into any) error {
	return w.send(ctx, http.MethodPost, w.demo.GitHubURL()+"/_demo/"+path, body, into)
}

func (w *walkthrough) assign(ctx context.Context) error {
	if err := w.act(ctx, "assign", struct{}{}); err != nil {
		return err
	}
	return w.until(ctx, "assigned", func(f followed) bool {
		return f.Remediation.Status == "assigned" && len(f.Remediation.Assignees) == 1
	})
}

func (w *walkthrough) closeEarly(ctx context.Context) error {
	if err := w.act(ctx, "close", map[string]string{"reason": "completed"}); err != nil {
		return err
	}
	return w.until(ctx, "issue closed, assigned", func(f followed) bool { return f.Remediation.Issue.State == "closed" && f.Finding.State == "open" })
}

func (w *walkthrough) reopen(ctx context.Context) error {
	if err := w.act(ctx, "reopen", struct{}{}); err != nil {
		return err
	}
	return w.until(ctx, "assigned", func(f followed) bool { return f.Remediation.Issue.State == "open" })
}

func (w *walkthrough) merge(ctx context.Context) error {
	var made struct{ Number int }
	ask := map[string]any{"repository": w.repository, "title": "Update the package", "body": fmt.Sprintf("Fixes #%d", w.issue)}
	if err := w.organisation(ctx, "pulls", ask, &made); err != nil {
		return err
	}
	if err := w.until(ctx, "in progress", func(f followed) bool { return f.Remediation.Status == "in progress" }); err != nil {
		return err
	}
	if err := w.organisation(ctx, fmt.Sprintf("pulls/%s/%d/merge", w.repository, made.Number), struct{}{}, nil); err != nil {
		return err
	}
	for _, n := range w.alerts {
		if err := w.organisation(ctx, fmt.Sprintf("alerts/dependabot/%s/%d/fix", w.repository, n), struct{}{}, nil); err != nil {
			return err
		}
	}
	return w.until(ctx, "", func(f followed) bool {
		return len(f.Remediation.PullRequests) == 1 && f.Remediation.PullRequests[0].State == "merged"
	})
}

// deploy builds the newest image again and lets every workload run it that runs an image of that name.
func (w *walkthrough) deploy(ctx context.Context) error {
	var images []struct {
		Image     int
		Reference string
	}
	var workloads []struct{ Workload, Image int }
	if err := w.send(ctx, http.MethodGet, w.demo.GitHubURL()+"/_demo/images", nil, &images); err != nil {
		return err
	}
	if err := w.send(ctx, http.MethodGet, w.demo.AzureURL()+"/_demo/workloads", nil, &workloads); err != nil {
		return err
	}
	name := func(image int) string {
		return images[image].Reference[:strings.LastIndexByte(images[image].Reference, ':')]
	}
	pod := slices.IndexFunc(workloads, func(x struct{ Workload, Image int }) bool { return x.Workload == w.workload })
	old := workloads[pod].Image
	var built struct{ Image int }
	if err := w.organisation(ctx, fmt.Sprintf("images/%d/build", old), struct{}{}, &built); err != nil {
		return err
	}
	for _, x := range workloads {
		if name(x.Image) != name(old) {
			continue
		}
		if err := w.send(ctx, http.MethodPost, fmt.Sprintf("%s/_demo/workloads/%d", w.demo.AzureURL(), x.Workload), map[string]int{"image": built.Image}, nil); err != nil {
			return err
		}
	}
	return nil
}

// verified reads everything again, as the timer does, until the issue is closed with the evidence.
func (w *walkthrough) verified(ctx context.Context) error {
	if err := w.send(ctx, http.MethodPost, "http://"+address(w.functions)+"/api/resync", struct{}{}, nil); err != nil {
		return err
	}
	err := w.until(ctx, "verified", func(f followed) bool {
		i := f.Remediation.Issue
		return f.Remediation.Status == "verified" && i.State == "closed" && i.Reason == "completed"
	})
	if err != nil {
		return err
	}
	text, err := w.page(ctx)
	if err != nil {
		return err
	}
	for _, want := range []string{"Verified: the fix runs.", "nothing without it was seen since", "built from"} {
		if !strings.Contains(text, want) {
			return fmt.Errorf("the issue does not say %q:\n%s", want, text)
		}
	}
	return nil
}

// until waits until our view shows what it should and the ticket in Defender for Cloud has a status; "" asks for none.
func (w *walkthrough) until(ctx context.Context, ticket string, shows func(followed) bool) error {
	var f followed
	var status string
	var unanswered error
	for end := time.Now().Add(stepLimit); time.Now().Before(end); {
		f = followed{}
		// While a pod changes its image, its finding has no home until the new image has one.
		unanswered = w.askOnce(ctx, "/api/findings/"+w.finding, &f)
		var err error
		if status, err = w.ticket(ctx); err != nil {
			return err
		}
		if unanswered == nil && shows(f) && (ticket == "" || ticket == status) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return fmt.Errorf("not within %s: the finding is %s, the fix %s, the issue %s %s, the ticket %q, the last question: %v", stepLimit, f.Finding.State,
		f.Remediation.Status, f.Remediation.Issue.State, f.Remediation.Issue.Reason, status, unanswered)
}

// ticket is the status of our ticket on the assessment; empty when there is none.
func (w *walkthrough) ticket(ctx context.Context) (string, error) {
	var list struct {
		Value []struct {
			Properties struct {
				Data struct{ TicketNumber, TicketStatus any } `json:"additionalData"`
			} `json:"properties"`
		} `json:"value"`
	}
	if err := w.send(ctx, http.MethodGet, w.demo.AzureURL()+w.assessment+"/governanceAssignments?api-version=2022-01-01-preview", nil, &list); err != nil {
		return "", err
	}
	for _, a := range list.Value {
		if fmt.Sprint(a.Properties.Data.TicketNumber) == fmt.Sprint(w.issue) {
			return fmt.Sprint(a.Properties.Data.TicketStatus), nil
		}
	}
	return "", nil
}

// send calls one of the parts; into takes JSON, or the text when it is a *string.
func (s *stage) send(ctx context.Context, method, url string, body, into any) error {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer demo")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode > 299 {
		return fmt.Errorf("%s %s: %s: %.500s", method, url, resp.Status, raw)
	}
	if text, plain := into.(*string); plain {
		*text = string(raw)
		return nil
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(raw, into)
}
