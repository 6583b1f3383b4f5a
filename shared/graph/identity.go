package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// RepositoryID is `<host key>-<numeric id>`, for example github-4711. It survives rename and transfer.
type RepositoryID string

// OrgID is `<host key>-org-<numeric owner id>`: the partition of the worklist.
type OrgID string

// FindingID is the alert's id, `<repository>-<kind>-<number>`, or `runtime-<assessment guid>`.
type FindingID string

// RemediationID is `<repository>-fix-` and the first 16 hex digits of the SHA-256 of the fix key.
type RemediationID string

// WorkloadID is `w-` and the first 20 hex digits of the SHA-256 of the workload's lower-case resource path.
type WorkloadID string

// Digest names an image manifest or index: sha256: and 64 lower-case hex digits.
type Digest string

// NewRepositoryID makes the identity of a repository on a host.
func NewRepositoryID(host string, id int64) RepositoryID {
	return RepositoryID(fmt.Sprintf("%s-%d", host, id))
}

// NewOrgID makes the identity of an owner on a host.
func NewOrgID(host string, owner int64) OrgID { return OrgID(fmt.Sprintf("%s-org-%d", host, owner)) }

// NewAlertID makes the identity of an alert.
func NewAlertID(r RepositoryID, kind AlertKind, number int) FindingID {
	return FindingID(fmt.Sprintf("%s-%s-%d", r, kind, number))
}

// ParseAlertID takes an alert's identity apart; ok is false for anything else.
func ParseAlertID(id FindingID) (r RepositoryID, kind AlertKind, number int, ok bool) {
	for _, k := range AlertKinds {
		repository, digits, found := strings.Cut(string(id), "-"+string(k)+"-")
		if !found {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || !RepositoryID(repository).Valid() {
			return "", "", 0, false
		}
		return RepositoryID(repository), k, n, true
	}
	return "", "", 0, false
}

// Valid tells whether the identity has the form that NewRepositoryID makes.
func (r RepositoryID) Valid() bool {
	i := strings.LastIndexByte(string(r), '-')
	if i < 1 {
		return false
	}
	n, err := strconv.ParseInt(string(r[i+1:]), 10, 64)
	return err == nil && n > 0
}

// Host is the key of the GitHub host the repository lives on.
func (r RepositoryID) Host() string {
	host, _, _ := r.cut()
	return host
}

// Number is the repository's numeric id on its host, 0 when the identity is malformed.
func (r RepositoryID) Number() int64 {
	_, digits, _ := r.cut()
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (r RepositoryID) cut() (host, digits string, ok bool) {
	i := strings.LastIndexByte(string(r), '-')
	if i < 0 {
		return "", "", false
	}
	return string(r[:i]), string(r[i+1:]), true
}

// NewRemediationID makes the identity of one fix in one repository.
func NewRemediationID(r RepositoryID, fixKey string) RemediationID {
	return RemediationID(string(r) + "-fix-" + shortHash(fixKey, 16))
}

// NewWorkloadID makes the identity of a workload from its full resource path; case does not matter.
func NewWorkloadID(path string) WorkloadID {
	return WorkloadID("w-" + shortHash(strings.ToLower(path), 20))
}

func shortHash(s string, digits int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:digits]
}

// ParseDigest accepts sha256: and exactly 64 hex digits, in any case.
func ParseDigest(s string) (Digest, error) {
	algorithm, digits, found := strings.Cut(s, ":")
	if !found || !strings.EqualFold(algorithm, "sha256") {
		return "", fmt.Errorf("digest %.80q: want sha256: and 64 hex digits", s)
	}
	if raw, err := hex.DecodeString(digits); err != nil || len(raw) != sha256.Size {
		return "", fmt.Errorf("digest %.80q: want sha256: and 64 hex digits", s)
	}
	return Digest("sha256:" + strings.ToLower(digits)), nil
}

// Short is the digest as people write it, sha256: and 12 digits.
func (d Digest) Short() string {
	if len(d) <= len("sha256:")+12 {
		return string(d)
	}
	return string(d[:len("sha256:")+12])
}

// unmappedHost is the host key of the stand-ins for repositories that are not known.
const unmappedHost = "image"

// UnmappedOrg is the partition of the worklist for findings in images that map to no repository.
const UnmappedOrg OrgID = "unmapped"

// Unmapped stands for the unknown repository of an image, so that its findings are decided and listed like all others.
func Unmapped(d Digest) RepositoryID {
	n, err := strconv.ParseUint(strings.TrimPrefix(shortHash(string(d), 15), "0x"), 16, 64)
	if err != nil || n == 0 {
		n = 1
	}
	return RepositoryID(fmt.Sprintf("%s-%d", unmappedHost, n))
}

// Mapped tells whether the identity is that of a real repository.
func (r RepositoryID) Mapped() bool { return r != "" && r.Host() != unmappedHost }
