package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// evidenceKey signs the evidence of closed fixes and the segments of the decision log: an ECDSA or Ed25519 key.
type evidenceKey struct {
	key crypto.Signer
	id  string // hash of the public key
}

// readEvidenceKey reads a PKCS #8 private key; app settings may hold its line ends as \n.
func readEvidenceKey(text string) (*evidenceKey, error) {
	block, _ := pem.Decode([]byte(strings.ReplaceAll(text, `\n`, "\n")))
	if block == nil {
		return nil, errors.New("is no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("is no PKCS #8 private key")
	}
	k := &evidenceKey{}
	switch private := key.(type) {
	case ed25519.PrivateKey:
		k.key = private
	case *ecdsa.PrivateKey:
		k.key = private
	default:
		return nil, errors.New("is neither an ECDSA nor an Ed25519 key")
	}
	public, err := x509.MarshalPKIXPublicKey(k.key.Public())
	if err != nil {
		return nil, fmt.Errorf("has no public half: %w", err)
	}
	sum := sha256.Sum256(public)
	k.id = hex.EncodeToString(sum[:])
	return k, nil
}

// KeyID is the SHA-256 of the public key.
func (k *evidenceKey) KeyID() (string, error) { return k.id, nil }

// Sign signs a text; ECDSA over its SHA-256.
func (k *evidenceKey) Sign(_ context.Context, data []byte) ([]byte, error) {
	if _, ok := k.key.(ed25519.PrivateKey); ok {
		return k.key.Sign(rand.Reader, data, crypto.Hash(0))
	}
	sum := sha256.Sum256(data)
	return k.key.Sign(rand.Reader, sum[:], crypto.SHA256)
}

// verify tells whether a signature is of this key.
func (k *evidenceKey) verify(data, signature []byte) error {
	ok := false
	switch public := k.key.Public().(type) {
	case ed25519.PublicKey:
		ok = ed25519.Verify(public, data, signature)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(data)
		ok = ecdsa.VerifyASN1(public, sum[:], signature)
	}
	if !ok {
		return errors.New("another key, or another text")
	}
	return nil
}

// envelope wraps a statement in DSSE.
func (k *evidenceKey) envelope(ctx context.Context, payloadType string, body []byte) (json.RawMessage, error) {
	signer, err := dsse.NewEnvelopeSigner(k)
	if err != nil {
		return nil, err
	}
	e, err := signer.SignPayload(ctx, payloadType, body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(e)
}

// logText is what is signed of a segment, so that no signature of one thing passes for another.
func logText(hash string) []byte { return []byte("throughline decision log segment " + hash) }

func (k *evidenceKey) signLog(hash string) ([]byte, error) {
	return k.Sign(context.Background(), logText(hash))
}

func (k *evidenceKey) verifyLog(hash string, signature []byte) error {
	return k.verify(logText(hash), signature)
}
