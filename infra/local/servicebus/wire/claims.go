package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Rights that a key or a token gives.
type Rights uint8

// The rights of Service Bus.
const (
	Send Rights = 1 << iota
	Listen
	Manage

	All = Send | Listen | Manage
)

// Key is a named shared access key; both secrets are good.
type Key struct {
	Secrets []string
	Rights  Rights
}

// Keys are the shared access keys by name.
type Keys map[string]Key

// Grant is what a token gives, for the entity at Path and everything below it; "" is the whole namespace.
type Grant struct {
	Path    string
	Rights  Rights
	Expires time.Time // zero = never
}

// Refusal says why a token is not good.
type Refusal string

// Error implements error.
func (r Refusal) Error() string { return string(r) }

// Check judges a token of $cbs or of an HTTP header: a SAS token must be signed by a key; of any other token it
// is only asked that there is one, for nobody here knows the keys of Entra ID.
func (k Keys) Check(token string, now time.Time) (Grant, error) {
	fields, ok := strings.CutPrefix(token, "SharedAccessSignature ")
	if !ok {
		if token == "" {
			return Grant{}, Refusal("MalformedToken: The token is empty.")
		}
		return Grant{Rights: All}, nil
	}
	return k.checkSAS(fields, now)
}

func (k Keys) checkSAS(fields string, now time.Time) (Grant, error) {
	v := map[string]string{}
	for _, f := range strings.Split(fields, "&") {
		name, value, _ := strings.Cut(f, "=")
		v[name] = value
	}
	expiry, err := strconv.ParseInt(v["se"], 10, 64)
	if err != nil || v["sr"] == "" {
		return Grant{}, Refusal("MalformedToken: The token has no resource or no expiry.")
	}
	name, err := url.QueryUnescape(v["skn"])
	if err != nil {
		name = v["skn"]
	}
	sig, err := url.QueryUnescape(v["sig"])
	if err != nil {
		return Grant{}, Refusal("MalformedToken: The signature cannot be read.")
	}
	key := k[name]
	if !key.signed(v["sr"]+"\n"+v["se"], sig) {
		return Grant{}, Refusal("InvalidSignature: The token has an invalid signature.")
	}
	expires := time.Unix(expiry, 0).UTC()
	if !now.Before(expires) {
		return Grant{}, Refusal(fmt.Sprintf("ExpiredToken: The token is expired. Expiration time: %s.", expires.Format("2006-01-02 15:04:05Z")))
	}
	resource, err := url.QueryUnescape(v["sr"])
	if err != nil {
		return Grant{}, Refusal("MalformedToken: The resource cannot be read.")
	}
	return Grant{Path: AudiencePath(resource), Rights: key.Rights, Expires: expires}, nil
}

func (k Key) signed(text, sig string) bool {
	for _, secret := range k.Secrets {
		h := hmac.New(sha256.New, []byte(secret))
		h.Write([]byte(text))
		if hmac.Equal([]byte(base64.StdEncoding.EncodeToString(h.Sum(nil))), []byte(sig)) {
			return true
		}
	}
	return false
}

// plain judges the response of SASL PLAIN: a key by its name and secret.
func (k Keys) plain(response []byte) (Grant, bool) {
	parts := strings.Split(string(response), "\x00")
	if len(parts) != 3 {
		return Grant{}, false
	}
	key := k[parts[1]]
	for _, secret := range key.Secrets {
		if hmac.Equal([]byte(secret), []byte(parts[2])) {
			return Grant{Rights: key.Rights}, true
		}
	}
	return Grant{}, false
}

// AudiencePath is the path of the entity in an audience such as amqp://host:port/queue/$management.
func AudiencePath(audience string) string {
	if _, rest, ok := strings.Cut(audience, "://"); ok {
		audience = rest
	}
	_, path, _ := strings.Cut(audience, "/")
	path, _, _ = strings.Cut(path, "?")
	return entityOf(path)
}

// entityOf is a path without $management, in the case in which paths are compared.
func entityOf(path string) string {
	path = strings.ToLower(strings.Trim(path, "/"))
	path = strings.TrimSuffix(path, managementSuffix)
	return strings.TrimSuffix(path, "/")
}

// valid tells whether the grant reaches an entity path at the time given.
func (g Grant) valid(path string, now time.Time) bool {
	return (g.Expires.IsZero() || now.Before(g.Expires)) && g.Covers(path)
}

// Covers tells whether the grant reaches a path in lower case.
func (g Grant) Covers(path string) bool {
	path = strings.Trim(path, "/")
	return g.Path == "" || path == g.Path || strings.HasPrefix(path, g.Path+"/")
}
