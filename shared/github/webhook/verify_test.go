package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// TestVerify begins with GitHub's own test vector.
func TestVerify(t *testing.T) {
	const secret, body = "It's a Secret to Everybody", "Hello, World!"
	const sum = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	v := Verifier{Secrets: []string{"current", secret}}
	if err := v.Verify(header(signatureHeader, "sha256="+sum), []byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(header(signatureHeader, "sha256="+strings.ToUpper(sum)), []byte(body)); err != nil {
		t.Errorf("hex in capitals: %v", err)
	}
	for name, h := range map[string]http.Header{
		"nothing":       {},
		"wrong":         header(signatureHeader, "sha256="+strings.Repeat("0", 64)),
		"short":         header(signatureHeader, "sha256="+sum[:62]),
		"long":          header(signatureHeader, "sha256="+sum+"00"),
		"no hex":        header(signatureHeader, "sha256="+strings.Repeat("x", 64)),
		"SHA-512":       header(signatureHeader, "sha512="+sum),
		"in capitals":   header(signatureHeader, "SHA256="+sum),
		"twice":         header(signatureHeader, "sha256="+sum, signatureHeader, "sha256="+sum),
		"right, wrong":  header(signatureHeader, "sha256="+sum, signatureHeader, "sha256="+strings.Repeat("0", 64)),
		"SHA-1":         header("X-Hub-Signature", "sha1=0000000000000000000000000000000000000000"),
		"SHA-256 as -1": header("X-Hub-Signature", "sha256="+sum),
	} {
		err := v.Verify(h, []byte(body))
		var r *Refusal
		if !errors.As(err, &r) || !r.Unauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := v.Verify(header(signatureHeader, "sha256="+sum), []byte(body+"\n")); err == nil {
		t.Error("a changed body verifies")
	}
	mac := hmac.New(sha256.New, nil)
	mac.Write([]byte(body))
	empty := header(signatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	for _, secrets := range [][]string{nil, {""}, {"", ""}} {
		if err := (Verifier{Secrets: secrets}).Verify(empty, []byte(body)); err == nil {
			t.Errorf("secrets %q verify the empty key", secrets)
		}
	}
}

func TestHeaders(t *testing.T) {
	const guid = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
	good := header("X-GitHub-Event", "push", "X-GitHub-Delivery", strings.ToUpper(guid), "X-GitHub-Hook-ID", "7", "X-GitHub-Hook-Installation-Target-ID", "42", "X-GitHub-Hook-Installation-Target-Type", "integration")
	d, err := Headers(good)
	want := Delivery{Event: "push", GUID: guid, Hook: "7", Target: "42", TargetType: "integration"}
	if d != want || err != nil {
		t.Errorf("%+v %v", d, err)
	}
	for _, event := range []string{"", "Push", "push event", "push\n", "../push", strings.Repeat("x", 65)} {
		if _, err := Headers(header("X-GitHub-Event", event, "X-GitHub-Delivery", guid)); err == nil {
			t.Errorf("event %q is taken", event)
		}
	}
	for _, bad := range []string{"", "1", "{" + guid[1:35] + "}", "urn:uuid:" + guid, guid + "0", strings.ReplaceAll(guid, "-", ""), strings.Replace(guid, "7", "g", 1)} {
		_, err := Headers(header("X-GitHub-Event", "push", "X-GitHub-Delivery", bad))
		var r *Refusal
		if !errors.As(err, &r) || r.Unauthorized {
			t.Errorf("delivery %q: %v", bad, err)
		}
	}
	other := d
	other.Hook = "8"
	if d.Key() == other.Key() {
		t.Error("two hooks that hear the same event have one key")
	}
}
