package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestE2EFromPushToPod follows an image that CI pushes, that runs as a bare pod and that a rule calls critical: from the
// first event on, three questions must be answered within five seconds.
func TestE2EFromPushToPod(t *testing.T) {
	endToEnd(t)
	c := start(t, freePorts(t), "-data", "")
	c.settled(4 * time.Minute)
	var built struct{ Digest, Reference, Revision string }
	c.post("github", "/_demo/images/1/build", nil, map[string]any{}, &built)
	index := built.Digest
	begun := time.Now()
	registry, rest, _ := strings.Cut(built.Reference, "/")
	name, tag, _ := strings.Cut(rest, ":")
	at := begun.UTC().Format(time.RFC3339)
	c.event("Microsoft.ContainerRegistry.ImagePushed", map[string]any{"timestamp": at, "action": "push",
		"target": map[string]any{"digest": index, "repository": name, "tag": tag, "mediaType": "application/vnd.oci.image.index.v1+json"}, "request": map[string]any{"host": registry}})
	c.event("io.throughline.deployment.v1", map[string]any{"workloads": []any{map[string]any{
		"path": "clusters/edge/namespaces/shop/pods/scenario", "kind": "Pod", "name": "scenario", "namespace": "shop", "cluster": "edge",
		"annotations": map[string]string{"metadata.github.com/runtime-risks": "internet-exposed,critical-resource"},
		"containers":  []any{map[string]any{"name": "app", "image": registry + "/" + name + ":" + tag, "digest": index}},
	}}})
	var repository string
	c.eventually(10*time.Second, func() (err error) {
		repository, err = c.mapsTo(index)
		return err
	})
	mapped := time.Since(begun)
	c.alert(repository)
	c.eventually(10*time.Second, func() error { return c.answered(index, repository) })
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("all three questions were answered after %s", took.Round(time.Millisecond))
	} else {
		t.Logf("repository → image after %s, image with vulnerabilities and image on the cluster after %s", mapped.Round(time.Millisecond), took.Round(time.Millisecond))
	}
}

// mapsTo asks which repository built an image, by verified evidence.
func (c *command) mapsTo(digest string) (string, error) {
	var v struct {
		Evidence []struct{ Method, Repository, RepositoryName, Refused string }
	}
	if err := c.question("/api/artifacts/"+digest, &v); err != nil {
		return "", err
	}
	if len(v.Evidence) == 0 || v.Evidence[0].Method != "attestation-verified" || v.Evidence[0].Refused != "" {
		return "", fmt.Errorf("evidence %+v", v.Evidence)
	}
	return v.Evidence[0].RepositoryName, nil
}

// answered asks the three questions.
func (c *command) answered(digest, repository string) error {
	var source struct {
		Exposure struct {
			Artifacts []struct{ Digest string }
			Workloads []struct{ Name, Kind string }
		}
	}
	if err := c.question("/api/repositories/"+repository, &source); err != nil {
		return err
	}
	if !slices.ContainsFunc(source.Exposure.Artifacts, func(a struct{ Digest string }) bool { return a.Digest == digest }) {
		return fmt.Errorf("%s is not among the images of %s", digest, repository)
	}
	var found struct {
		Items []struct {
			Title, Tier, Rule string
			Risks             []string
		}
	}
	if err := c.question("/api/artifacts/"+digest+"/findings", &found); err != nil {
		return err
	}
	critical := false
	for _, f := range found.Items {
		if f.Title == "Scenario overflow" {
			critical = (f.Tier == "P0" || f.Tier == "P1") && slices.Contains(f.Risks, "internet-exposed") && slices.Contains(f.Risks, "critical-resource")
			if !critical {
				return fmt.Errorf("the vulnerability is not critical: %+v", f)
			}
		}
	}
	if !critical {
		return fmt.Errorf("the vulnerability is not among the %d findings in the image", len(found.Items))
	}
	var image struct {
		Workloads []struct{ Name, Kind, Cluster string }
	}
	if err := c.question("/api/artifacts/"+digest, &image); err != nil {
		return err
	}
	if !slices.Contains(image.Workloads, struct{ Name, Kind, Cluster string }{"scenario", "Pod", "edge"}) {
		return fmt.Errorf("the pod does not run the image: %+v", image.Workloads)
	}
	return nil
}

// alert tells of a critical vulnerability in a repository.
func (c *command) alert(fullName string) {
	c.t.Helper()
	var v struct{ Repository struct{ ID string } }
	if err := c.question("/api/repositories/"+fullName, &v); err != nil {
		c.t.Fatal(err)
	}
	owner, name, _ := strings.Cut(fullName, "/")
	now := time.Now().UTC().Format(time.RFC3339)
	body := fmt.Sprintf(`{"action":"created","alert":{"number":9100,"state":"open","dependency":{"package":{"ecosystem":"npm","name":"left-pad"},"manifest_path":"package.json","scope":"runtime"},
	 "security_advisory":{"ghsa_id":"GHSA-aaaa-bbbb-cccc","cve_id":"CVE-2026-99999","summary":"Scenario overflow","severity":"critical"},
	 "security_vulnerability":{"package":{"ecosystem":"npm","name":"left-pad"},"severity":"critical","first_patched_version":{"identifier":"2.0.0"}},
	 "html_url":"https://github.com/x/y/security/dependabot/9100","created_at":%q,"updated_at":%q},
	 "repository":{"id":%s,"name":%q,"full_name":%q,"private":true,"owner":{"login":%q,"id":1,"type":"Organization"},"updated_at":%q}}`,
		now, now, strings.TrimPrefix(v.Repository.ID, "github-"), name, fullName, owner, now)
	if status := c.deliver("dependabot_alert", "33333333-3333-3333-3333-333333333333", []byte(body)); status != http.StatusAccepted {
		c.t.Fatalf("the alert got %d", status)
	}
}

func (c *command) question(path string, into any) error {
	body, err := c.get("functions", path)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// event sends a CloudEvent with the demo's key.
func (c *command) event(kind string, data any) {
	c.t.Helper()
	e := map[string]any{"specversion": "1.0", "id": fmt.Sprint(time.Now().UnixNano()), "source": "/scenario", "type": kind, "time": time.Now().UTC().Format(time.RFC3339Nano), "data": data}
	c.post("functions", "/ingest/events", http.Header{"Content-Type": {"application/cloudevents+json"}, "Authorization": {"Bearer " + eventsKey}}, e, nil)
}

func (c *command) post(part, path string, header http.Header, body, into any) {
	c.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, c.url(part, path), bytes.NewReader(raw))
	if err != nil {
		c.t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode > 299 {
		c.t.Fatalf("POST %s: %s %s %v", path, resp.Status, answer, err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			c.t.Fatalf("POST %s: %s: %v", path, answer, err)
		}
	}
}
