package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Refusal tells why a delivery is not taken. Unauthorized means that it does not prove to come from GitHub; otherwise it
// is authentic, or claims to be, and cannot be understood.
type Refusal struct {
	Reason       string // one of a few, fit for counting
	Detail       string
	Unauthorized bool
}

// Error gives the reason and its detail.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return r.Reason
	}
	return r.Reason + ": " + r.Detail
}

func unauthorized(reason string) error { return &Refusal{Reason: reason, Unauthorized: true} }

func malformed(reason string) error { return &Refusal{Reason: reason} }

// Verifier decides whether a delivery comes from GitHub and concerns us.
type Verifier struct {
	// Secrets are the current webhook secret and, during a rotation, the previous one. An empty secret never verifies.
	Secrets []string
	// AppID refuses deliveries that GitHub addresses to another App; 0 accepts all.
	AppID int64
	// Installations is the allow-list; empty allows all.
	Installations []int64
}

const (
	signatureHeader = "X-Hub-Signature-256"
	signaturePrefix = "sha256="
)

// Verify checks the signature over the exact bytes of the body. Only X-Hub-Signature-256 counts, with exactly one value.
// Every error is a *Refusal.
func (v Verifier) Verify(header http.Header, body []byte) error {
	claimed, err := signature(header)
	if err != nil {
		return err
	}
	if !v.signs(body, claimed) {
		return unauthorized("the signature does not match the body")
	}
	if v.AppID != 0 && foreign(header, v.AppID) {
		return unauthorized("the delivery is addressed to another App")
	}
	return nil
}

// Allows tells whether the installation is on the allow-list. A delivery without an installation is 0.
func (v Verifier) Allows(installation int64) bool {
	return len(v.Installations) == 0 || slices.Contains(v.Installations, installation)
}

func signature(header http.Header) ([]byte, error) {
	switch values := header.Values(signatureHeader); {
	case len(values) == 0 && header.Get("X-Hub-Signature") != "":
		return nil, unauthorized("only a SHA-1 signature is given; X-Hub-Signature-256 is wanted")
	case len(values) == 0:
		return nil, unauthorized("X-Hub-Signature-256 is missing; set a secret on the webhook")
	case len(values) > 1:
		return nil, unauthorized("X-Hub-Signature-256 is given more than once")
	default:
		digits, ok := strings.CutPrefix(values[0], signaturePrefix)
		sum, err := hex.DecodeString(digits)
		if !ok || err != nil || len(sum) != sha256.Size {
			return nil, unauthorized("X-Hub-Signature-256 is not sha256= and 64 hex digits")
		}
		return sum, nil
	}
}

func (v Verifier) signs(body, claimed []byte) bool {
	for _, secret := range v.Secrets {
		if secret == "" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), claimed) {
			return true
		}
	}
	return false
}

// foreign tells whether the headers name another App as the target. Hooks of repositories and organisations name none.
func foreign(header http.Header, app int64) bool {
	switch header.Get("X-Github-Hook-Installation-Target-Type") {
	case "integration", "app":
		return header.Get("X-Github-Hook-Installation-Target-Id") != strconv.FormatInt(app, 10)
	}
	return false
}
