package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"throughline/functions/api"
	"throughline/shared/decision"
	"throughline/shared/graph"
)

func keyText(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func keys(t *testing.T) map[string]*evidenceKey {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*evidenceKey{}
	for name, text := range map[string]string{"Ed25519": keyText(t, ed), "ECDSA": strings.ReplaceAll(keyText(t, ec), "\n", `\n`)} {
		if all[name], err = readEvidenceKey(text); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return all
}

func TestEvidenceKeyIsRefused(t *testing.T) {
	for _, text := range []string{"no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"} {
		if k, err := readEvidenceKey(text); err == nil {
			t.Errorf("%q gives %v", text, k)
		}
	}
}

// TestLogSignatures holds that signed segments pass, and that a segment with a signature of another key is found.
func TestLogSignatures(t *testing.T) {
	both := keys(t)
	p := newPipeline(t)
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{running()}, Alerts: []graph.Alert{alertNo(1)}})
	p.answer(digestAPI)
	if err := (graph.Logbook{Store: p.store, Sign: both["ECDSA"].signLog}).Append(context.Background(), p.now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"ECDSA": 0, "Ed25519": 1} {
		report, err := graph.LogCheck{Store: p.store, Verify: both[name].verifyLog}.Of(context.Background(), shop().ID)
		if err != nil || report.Segments != 1 || len(report.Faults) != want {
			t.Errorf("%s: %+v, %v; want %d faults", name, report, err, want)
		}
	}
}

// TestASignatureCannotBeTakenAway holds that segments from before the key pass, and that later ones must be signed.
func TestASignatureCannotBeTakenAway(t *testing.T) {
	key := keys(t)["Ed25519"]
	p := newPipeline(t)
	write := func(number int, sign func(string) ([]byte, error)) {
		t.Helper()
		p.now = p.now.Add(time.Hour)
		p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{running()}, Alerts: []graph.Alert{alertNo(number)}})
		p.answer(digestAPI)
		p.now = p.now.Add(time.Hour)
		if err := (graph.Logbook{Store: p.store, Sign: sign}).Append(context.Background(), p.now); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range []struct {
		sign             func(string) ([]byte, error)
		unsigned, faults int
	}{{nil, 1, 0}, {key.signLog, 1, 0}, {nil, 2, 1}} {
		write(n+1, want.sign)
		report, err := graph.LogCheck{Store: p.store, Verify: key.verifyLog}.Of(context.Background(), shop().ID)
		if err != nil || report.Segments != n+1 || report.Unsigned != want.unsigned || len(report.Faults) != want.faults {
			t.Errorf("after segment %d: %+v, %v; want %+v", n+1, report, err, want)
		}
	}
}

// proven is a remediation that was closed as verified.
func proven(t *testing.T, store graph.Store) graph.Remediation {
	t.Helper()
	a := alertNo(7)
	f := graph.Finding{ID: a.ID, Repository: a.Repository, Kind: a.Kind, State: graph.Fixed, Alert: &a, FixKey: a.FixKey(), CVEs: a.CVEs()}
	m := graph.Remediation{ID: graph.NewRemediationID(a.Repository, f.FixKey), Repository: a.Repository, FixKey: f.FixKey, Status: graph.StatusVerified, Seen: map[graph.FindingID]string{f.ID: "fixed"},
		Closed: &graph.Closing{By: "throughline", At: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}, Proof: &graph.Proof{Commit: strings.Repeat("c", 40), Fixed: []graph.Digest{digestAPI}, Running: 2, Total: 2}}
	for _, w := range []struct {
		k    graph.Key
		kind graph.Kind
		noun any
	}{{graph.FindingKey(f.Repository, f.ID), graph.KindFinding, f}, {graph.RemediationKey(m.Repository, m.ID), graph.KindRemediation, m},
		{graph.ArtifactKey(digestAPI), graph.KindArtifact, graph.Artifact{Digest: digestAPI, Names: []string{"acr.example/shop/api"}}}} {
		write, err := graph.NewWrite(w.k, w.kind, graph.Any, w.noun)
		if err == nil {
			err = store.Write(context.Background(), write)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestEvidenceOfClosure holds that the API gives a DSSE envelope that the public key verifies, with an in-toto statement
// about the running image, and that our own reader of OpenVEX understands its predicate as fixed.
func TestEvidenceOfClosure(t *testing.T) {
	for name, key := range keys(t) {
		store := graph.NewMemory()
		m := proven(t, store)
		a := &api.API{Store: store, Sign: key.envelope, Access: api.Access{Local: true}, Policy: decision.DefaultPolicy, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		body := askEvidence(t, a, m.ID, http.StatusOK)
		var e dsse.Envelope
		if err := json.Unmarshal(body, &e); err != nil {
			t.Fatal(err)
		}
		payload, err := e.DecodeB64Payload()
		if err != nil || e.PayloadType != api.PayloadType || len(e.Signatures) != 1 {
			t.Fatalf("%s: %v, %+v", name, err, e)
		}
		verifyEnvelope(t, key, e, payload)
		var s struct {
			Type      string `json:"_type"`
			Subject   []struct{ Digest map[string]string }
			Predicate json.RawMessage
		}
		if err := json.Unmarshal(payload, &s); err != nil || "sha256:"+s.Subject[0].Digest["sha256"] != string(digestAPI) {
			t.Errorf("%s: statement %s: %v", name, payload, err)
		}
		if _, err := decision.ReadVEX(s.Predicate); err != nil || !bytes.Contains(s.Predicate, []byte(`"status":"fixed"`)) || !bytes.Contains(s.Predicate, []byte("CVE-2026-7")) {
			t.Errorf("%s: predicate %s: %v", name, s.Predicate, err)
		}
		a.Sign = nil
		askEvidence(t, a, m.ID, http.StatusNotFound)
	}
}

// verifyEnvelope checks the signature, and that it does not hold for another text.
func verifyEnvelope(t *testing.T, key *evidenceKey, e dsse.Envelope, payload []byte) {
	t.Helper()
	var signature []byte
	if err := json.Unmarshal([]byte(`"`+e.Signatures[0].Sig+`"`), &signature); err != nil {
		t.Fatal(err)
	}
	if err := key.verify(dsse.PAE(e.PayloadType, payload), signature); err != nil {
		t.Errorf("the envelope does not verify: %v", err)
	}
	if err := key.verify(dsse.PAE(e.PayloadType, append(payload, ' ')), signature); err == nil {
		t.Error("the signature holds for another text")
	}
}

func askEvidence(t *testing.T, a *api.API, id graph.RemediationID, want int) []byte {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/api/evidence/"+string(id), nil)
	r.Host = "127.0.0.1"
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	if w.Code != want {
		t.Fatalf("%d %s, want %d", w.Code, w.Body, want)
	}
	return w.Body.Bytes()
}

// TestVerifyLogCommand asks a served API: silence about a whole log, the place of a forged decision, an exit by error.
func TestVerifyLogCommand(t *testing.T) {
	p := logged(t)
	a := &api.API{Store: p.store, Access: api.Access{Local: true}, Policy: decision.DefaultPolicy, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	var out bytes.Buffer
	if err := verifyLog([]string{"-url", server.URL}, &out); err != nil || !strings.Contains(out.String(), "4 segments (4 not signed) with 8 lines") {
		t.Fatalf("%v: %s", err, &out)
	}
	k := graph.FindingKey(shop().ID, graph.NewAlertID(shop().ID, graph.Dependabot, 1003))
	d, err := p.store.Read(context.Background(), k)
	if err != nil {
		t.Fatal(err)
	}
	p.put(d, bytes.Replace(d.Data, []byte(`"rule":"R`), []byte(`"rule":"S`), 1))
	out.Reset()
	if err := verifyLog([]string{"-url", server.URL, shop().FullName()}, &out); err == nil || !strings.Contains(out.String(), k.String()) {
		t.Errorf("%v: %s", err, &out)
	}
}
