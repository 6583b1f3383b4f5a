package ingest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"
)

// KeySet fetches the public keys of an issuer and keeps them. A key that is not known is looked for again, at most once
// a minute; all keys are fetched again once a day.
type KeySet struct {
	URL    string
	Client *http.Client
	Now    func() time.Time

	mu      sync.Mutex
	keys    map[string]any
	fetched time.Time
	failed  time.Time // of the last fetch, when it failed
}

const (
	keysAge    = 24 * time.Hour
	keysPause  = time.Minute     // between fetches
	keysMishap = 5 * time.Second // after a failed one
	maxKeys    = 1 << 20         // bytes of the document
)

// Key gives the public key with that id.
func (k *KeySet) Key(ctx context.Context, id string) (any, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.Now()
	key, known := k.keys[id]
	if known && now.Sub(k.fetched) < keysAge {
		return key, nil
	}
	if now.Sub(k.fetched) >= keysPause && now.Sub(k.failed) >= keysMishap {
		fresh, err := k.fetch(ctx)
		if err == nil {
			k.keys, k.fetched, k.failed = fresh, now, time.Time{}
		} else {
			k.failed = now
		}
		if err != nil && !known {
			return nil, fmt.Errorf("%w: fetch keys: %w", errUnchecked, err)
		}
	}
	// A key that was there stays good while its issuer does not answer.
	if again, still := k.keys[id]; still {
		return again, nil
	}
	if !k.failed.IsZero() {
		return nil, fmt.Errorf("%w: the keys could not be fetched", errUnchecked)
	}
	return nil, fmt.Errorf("key %.40q is not among the issuer's", id)
}

func (k *KeySet) fetch(ctx context.Context) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.URL, nil)
	if err != nil {
		return nil, err
	}
	answer, err := k.Client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", k.URL, answer.Status)
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxKeys)).Decode(&set); err != nil {
		return nil, fmt.Errorf("%s: %w", k.URL, err)
	}
	keys := map[string]any{}
	for _, j := range set.Keys {
		if key := j.public(); key != nil && j.ID != "" {
			keys[j.ID] = key
		}
	}
	return keys, nil
}

// jwk is a public key as RFC 7517 writes it.
type jwk struct {
	ID    string `json:"kid"`
	Type  string `json:"kty"`
	Use   string `json:"use"`
	N     string `json:"n"`
	E     string `json:"e"`
	Curve string `json:"crv"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

// public is nil for a key that cannot be used to verify.
func (j jwk) public() any {
	if j.Use != "" && j.Use != "sig" {
		return nil
	}
	switch j.Type {
	case "RSA":
		n, e := number(j.N), number(j.E)
		if n == nil || e == nil || n.BitLen() < 2048 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
			return nil
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}
	case "EC":
		return j.curvePoint()
	}
	return nil
}

func (j jwk) curvePoint() any {
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()}[j.Curve]
	x, errX := base64.RawURLEncoding.DecodeString(j.X)
	y, errY := base64.RawURLEncoding.DecodeString(j.Y)
	if curve == nil || errX != nil || errY != nil {
		return nil
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
	if err != nil {
		return nil
	}
	return key
}

func number(text string) *big.Int {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 {
		return nil
	}
	return new(big.Int).SetBytes(raw)
}
