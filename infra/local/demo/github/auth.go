package github

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// NewKey makes a private key for the App and its PEM form.
func NewKey() (*rsa.PrivateKey, []byte, error) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	return k, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}), nil
}

// ParseKey reads the PEM form back.
func ParseKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the App's key is not PEM")
	}
	return x509.ParsePKCS1PrivateKey(block.Bytes)
}

// claims are what a token says. Permissions and Repositories are empty when the token is not narrowed.
type claims struct {
	Installation int64             `json:"installation"`
	Expires      int64             `json:"exp"`
	Serial       int64             `json:"jti"`
	Permissions  map[string]string `json:"permissions,omitempty"`
	Repositories []int64           `json:"repositories,omitempty"`
	User         string            `json:"-"` // whose own token it is
}

// UserToken is the token of a person in the organisation. It protects nothing: the demo listens on loopback.
const UserToken = "github_pat_throughline_demo"

func (t claims) reaches(repository int64) bool {
	return len(t.Repositories) == 0 || slices.Contains(t.Repositories, repository)
}

// refusal is a sentence for the caller, in GitHub's own words.
type refusal string

func (r refusal) Error() string { return string(r) }

func (c *call) authenticate(who audience) error {
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token") || token == "" {
		return refusal("Requires authentication")
	}
	if who == app {
		return c.s.checkAppToken(token)
	}
	t, err := c.s.readToken(token)
	if err != nil {
		return refusal("Bad credentials")
	}
	c.token = t
	return nil
}

// checkAppToken verifies an App's JSON web token by the documented rules: RS256, iat in the past, exp at most 10 minutes ahead.
func (s *Server) checkAppToken(token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return refusal("A JSON web token could not be decoded")
	}
	var head struct {
		Alg string `json:"alg"`
	}
	var body struct {
		Issued  float64 `json:"iat"`
		Expires float64 `json:"exp"`
		Issuer  any     `json:"iss"`
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err = errors.Join(err, decodeSegment(parts[0], &head), decodeSegment(parts[1], &body)); err != nil || head.Alg != "RS256" {
		return refusal("A JSON web token could not be decoded")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return refusal("A JSON web token could not be decoded")
	}
	issuer := fmt.Sprint(body.Issuer)
	if f, isNumber := body.Issuer.(float64); isNumber {
		issuer = strconv.FormatInt(int64(f), 10)
	}
	now := float64(time.Now().Unix())
	switch {
	case issuer != fmt.Sprint(s.world.AppID):
		return refusal("Integration not found")
	case body.Issued > now+30:
		return refusal("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	case body.Expires < now:
		return refusal("'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case body.Expires > now+660:
		return refusal("'Expiration time' claim ('exp') is too far in the future")
	}
	return nil
}

func decodeSegment(segment string, v any) error {
	raw, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// issueToken makes an installation token in the long form, ghs_<App id>_<JWT>. It is stateless, so a restart keeps it.
func (s *Server) issueToken(t claims) string {
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))
	raw, err := json.Marshal(t)
	if err != nil {
		raw = nil // claims are numbers and strings and always marshal
	}
	unsigned := head + "." + base64.RawURLEncoding.EncodeToString(raw)
	return fmt.Sprintf("ghs_%d_%s.%s", s.world.AppID, unsigned, base64.RawURLEncoding.EncodeToString(s.mac(unsigned)))
}

func (s *Server) mac(text string) []byte {
	h := hmac.New(sha256.New, s.key.D.Bytes())
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (s *Server) readToken(token string) (claims, error) {
	var t claims
	if token == UserToken {
		return claims{User: s.world.Users[0].Login}, nil
	}
	body, found := strings.CutPrefix(token, fmt.Sprintf("ghs_%d_", s.world.AppID))
	parts := strings.Split(body, ".")
	if !found || len(parts) != 3 {
		return t, errors.New("not an installation token")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(signature, s.mac(parts[0]+"."+parts[1])) {
		return t, errors.New("not signed by us")
	}
	if err := decodeSegment(parts[1], &t); err != nil {
		return t, err
	}
	if s.now().Unix() >= t.Expires {
		return t, errors.New("expired")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.installation.Suspended || s.installation.Deleted {
		return t, errors.New("the installation is gone")
	}
	return t, nil
}

// permitted compares what a route needs with what the installation was given and the token kept of it.
func (c *call) permitted(needs string) bool {
	name, level, found := strings.Cut(needs, "=")
	if !found || c.token.Installation == 0 {
		return true
	}
	c.s.mu.Lock()
	granted := c.s.installation.Permissions[name]
	c.s.mu.Unlock()
	if !covers(granted, level) {
		return false
	}
	if len(c.token.Permissions) == 0 {
		return true
	}
	return covers(c.token.Permissions[name], level) || (name == "metadata" && level == "read")
}

func covers(granted, level string) bool {
	return granted == level || granted == "write" && level == "read" || granted == "admin"
}

// installation is what the organisation agreed to.
type installation struct {
	Permissions map[string]string `json:"permissions"`
	Suspended   bool              `json:"suspended"`
	Deleted     bool              `json:"deleted"`
}

func (s *Server) loadInstallation() error {
	s.installation = installation{Permissions: map[string]string{
		"metadata": "read", "contents": "read", "actions": "read", "security_events": "write", "vulnerability_alerts": "write",
		"secret_scanning_alerts": "write", "issues": "write", "pull_requests": "read", "deployments": "write", "attestations": "read",
		"artifact_metadata": "write", "packages": "read", "members": "read", "organization_custom_properties": "read", "organization_campaigns": "write",
	}}
	_, err := s.journal.Get("installation", &s.installation)
	return err
}

// createToken gives a token for an hour, narrowed as asked; asking for more than was granted is 422.
func (s *Server) createToken(c *call) reply {
	if c.r.PathValue("id") != fmt.Sprint(s.world.InstallationID) {
		return problem(http.StatusNotFound, "Not Found")
	}
	var ask struct {
		Repositories  []string          `json:"repositories"`
		RepositoryIDs []int64           `json:"repository_ids"`
		Permissions   map[string]string `json:"permissions"`
	}
	if bad := c.decode(&ask); bad != nil {
		return *bad
	}
	s.mu.Lock()
	granted, gone := maps.Clone(s.installation.Permissions), s.installation.Suspended || s.installation.Deleted
	s.requests++
	serial := s.requests
	s.mu.Unlock()
	if gone {
		return problem(http.StatusForbidden, "This installation has been suspended")
	}
	for name, level := range ask.Permissions {
		if !covers(granted[name], level) {
			return problem(http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
		}
	}
	ids, bad := s.chosen(ask.Repositories, ask.RepositoryIDs)
	if bad != nil {
		return *bad
	}
	t := claims{Installation: s.world.InstallationID, Expires: s.now().Add(time.Hour).Unix(), Serial: serial, Permissions: ask.Permissions, Repositories: ids}
	shown := granted
	if len(ask.Permissions) > 0 {
		shown = ask.Permissions
	}
	body := map[string]any{"token": s.issueToken(t), "expires_at": stamp(time.Unix(t.Expires, 0)), "permissions": shown, "repository_selection": "all"}
	if len(ids) > 0 {
		body["repository_selection"] = "selected"
	}
	return reply{status: http.StatusCreated, body: body}
}

func (s *Server) chosen(names []string, ids []int64) ([]int64, *reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		i, found := s.byName[strings.ToLower(s.world.Org.Login+"/"+n)]
		if !found {
			return nil, ptr(problem(http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation."))
		}
		ids = append(ids, s.world.Repositories[i].ID)
	}
	if len(ids) > 500 {
		return nil, ptr(problem(http.StatusUnprocessableEntity, "At most 500 repositories can be chosen."))
	}
	return ids, nil
}

func (s *Server) appJSON() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appJSONLocked()
}

func (s *Server) appJSONLocked() map[string]any {
	created := stamp(s.world.Epoch.AddDate(-1, 0, 0))
	return map[string]any{
		"id": s.world.AppID, "slug": s.world.AppSlug, "client_id": fmt.Sprintf("Iv23li%08d", s.world.AppID), "node_id": node("App", s.world.AppID),
		"owner": s.accountJSON(s.world.Org), "name": s.world.AppSlug, "description": "Follows alerts from code to cloud",
		"external_url": "https://example.com", "html_url": "https://github.com/apps/" + s.world.AppSlug, "created_at": created, "updated_at": created,
		"permissions": maps.Clone(s.installation.Permissions), "events": hookEvents,
	}
}

func (s *Server) getApp(*call) reply {
	a := s.appJSON()
	a["installations_count"] = 1
	return ok(a)
}

func (s *Server) installationJSON() map[string]any {
	created := stamp(s.world.Epoch.AddDate(-1, 0, 0))
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprint(s.world.InstallationID)
	out := map[string]any{
		"id": s.world.InstallationID, "account": s.accountJSON(s.world.Org), "app_id": s.world.AppID, "app_slug": s.world.AppSlug,
		"client_id": fmt.Sprintf("Iv23li%08d", s.world.AppID), "target_id": s.world.Org.ID, "target_type": "Organization", "repository_selection": "all",
		"access_tokens_url": s.base + "/app/installations/" + id + "/access_tokens", "repositories_url": s.base + "/installation/repositories",
		"html_url":    "https://github.com/organizations/" + s.world.Org.Login + "/settings/installations/" + id,
		"permissions": maps.Clone(s.installation.Permissions), "events": hookEvents, "created_at": created, "updated_at": created,
		"single_file_name": nil, "has_multiple_single_files": false, "single_file_paths": []string{}, "suspended_by": nil, "suspended_at": nil,
	}
	if s.installation.Suspended {
		out["suspended_by"], out["suspended_at"] = s.accountJSON(s.world.Users[0]), stamp(s.now())
	}
	return out
}

func (s *Server) listInstallations(c *call) reply {
	one := s.installationJSON()
	// In lists the description asks for the fields of a user and those of an enterprise at once.
	maps.Copy(one["account"].(map[string]any), map[string]any{"name": s.world.Org.Name, "slug": s.world.Org.Login, "created_at": one["created_at"], "updated_at": one["updated_at"]})
	list, header := page(c, []any{one})
	return reply{status: http.StatusOK, body: list, header: header}
}

func (s *Server) getInstallation(c *call) reply {
	if id := c.r.PathValue("id"); id != "" && id != fmt.Sprint(s.world.InstallationID) {
		return problem(http.StatusNotFound, "Not Found")
	}
	return ok(s.installationJSON())
}

func (s *Server) meta(*call) reply {
	return ok(map[string]any{"verifiable_password_authentication": false, "hooks": []string{"127.0.0.1/32"}, "domains": map[string]any{}})
}
