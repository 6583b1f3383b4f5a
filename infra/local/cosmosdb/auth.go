package cosmosdb

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"throughline/infra/local/cosmosdb/value"
)

// authorize checks the Authorization header against the key, or reads the Entra token in it. kind and link are the resource
// type and address that the client has signed.
func (s *Server) authorize(r *http.Request, kind, link string) *failure {
	header := r.Header.Get("Authorization")
	if header == "" {
		return unauthorized("Required Header authorization is missing. Ensure a valid Authorization token is passed.")
	}
	if rest, ok := strings.CutPrefix(header, "type=aad&ver=1.0&sig="); ok {
		return checkToken(rest, time.Now())
	}
	token, err := url.QueryUnescape(header)
	sig, ok := strings.CutPrefix(token, "type=master&ver=1.0&sig=")
	if rest, aad := strings.CutPrefix(token, "type=aad&ver=1.0&sig="); err == nil && aad {
		return checkToken(rest, time.Now())
	}
	if err != nil || !ok {
		return unauthorized("The authorization token is not valid at the current time.")
	}
	date := r.Header.Get("X-Ms-Date")
	if date == "" {
		date = r.Header.Get("Date")
	}
	got, err := base64.StdEncoding.DecodeString(sig)
	if err != nil || !hmac.Equal(got, s.signatures.sign(r.Method, kind, link, date)) {
		return unauthorized("The input authorization token can't serve the request. The wrong key is being used or the expected payload is not built as per the protocol.")
	}
	return nil
}

// signer signs with one key. What the key alone decides is computed once for many signatures.
type signer struct{ hashes sync.Pool }

func newSigner(key []byte) *signer {
	return &signer{sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

func (s *signer) sign(verb, kind, link, date string) []byte {
	h := s.hashes.Get().(hash.Hash)
	defer s.hashes.Put(h)
	h.Reset()
	b := make([]byte, 0, 256)
	b = append(b, strings.ToLower(verb)...)
	b = append(b, '\n')
	b = append(b, kind...)
	b = append(b, '\n')
	b = append(b, link...)
	b = append(b, '\n')
	b = append(b, strings.ToLower(date)...)
	b = append(b, '\n', '\n')
	h.Write(b)
	return h.Sum(nil)
}

// checkToken wants the shape of a JWT that has not expired. Who signed it is not checked: there is no tenant here.
func checkToken(token string, now time.Time) *failure {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return unauthorized("The Entra token is not a JWT.")
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return unauthorized("The Entra token is not a JWT.")
	}
	claims, err := value.Parse(string(payload))
	if err != nil || claims.Kind() != value.Object {
		return unauthorized("The Entra token is not a JWT.")
	}
	if exp := claims.Get("exp"); exp.Kind() == value.Number && exp.Float() < float64(now.Unix()) {
		return unauthorized("The Entra token has expired.")
	}
	return nil
}
