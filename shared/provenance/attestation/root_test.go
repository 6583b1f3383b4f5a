package attestation

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// shelfOfRoots is a TUF repository with one target, signed by one key for all roles.
func shelfOfRoots(t *testing.T, target []byte) (files map[string][]byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := metadata.KeyFromPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signature.LoadSigner(private, crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	root, targets := metadata.Root(tomorrow), metadata.Targets(tomorrow)
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		if err := root.Signed.AddKey(key, role); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256(target)
	info, err := metadata.TargetFile().FromBytes("trusted_root.json", target, "sha256")
	if err != nil {
		t.Fatal(err)
	}
	targets.Signed.Targets["trusted_root.json"] = info
	files = map[string][]byte{"/targets/" + hex.EncodeToString(sum[:]) + ".trusted_root.json": target}
	files["/1.root.json"] = signed(t, root, signer)
	files["/1.targets.json"] = signed(t, targets, signer)
	files["/1.snapshot.json"] = signed(t, metadata.Snapshot(tomorrow), signer)
	files["/timestamp.json"] = signed(t, metadata.Timestamp(tomorrow), signer)
	return files
}

func signed[T metadata.Roles](t *testing.T, m *metadata.Metadata[T], signer signature.Signer) []byte {
	t.Helper()
	if _, err := m.Sign(signer); err != nil {
		t.Fatal(err)
	}
	raw, err := m.ToBytes(false)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRootRepository(t *testing.T) {
	roots := attestation(t, "trusted-root-public-good.json")
	files := shelfOfRoots(t, roots)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, ok := files[req.URL.Path]
		if !ok {
			http.NotFound(w, req)
			return
		}
		_, _ = w.Write(body)
	}))
	defer server.Close()
	r := RootRepository{URL: server.URL, First: files["/1.root.json"], Dir: t.TempDir()}
	got, err := r.Fetch(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewVerifier(Trust{Roots: got}); err != nil {
		t.Error(err)
	}

	other := shelfOfRoots(t, roots)
	if _, err := (RootRepository{URL: server.URL, First: other["/1.root.json"]}).Fetch(context.Background()); err == nil {
		t.Error("a repository that somebody else signs is believed")
	}
	for path := range files {
		if len(path) > 60 {
			files[path] = append([]byte(" "), roots...)
		}
	}
	r.Dir = ""
	if _, err := r.Fetch(context.Background()); err == nil {
		t.Error("a changed root is believed")
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if _, err := r.Fetch(stopped); err == nil {
		t.Error("fetched after the end")
	}
}
