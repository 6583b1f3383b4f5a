package api

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
)

// Access decides who may see and who may act.
//
// In Azure, App Service authentication stands in front and names the caller in a header that it overwrites; when it is
// not switched on anybody could write that header, so nothing is served. Locally the host listens on loopback only and
// everybody who asks it by a loopback name is the operator.
type Access struct {
	Local bool
	// Authenticated tells that App Service authentication is switched on.
	Authenticated bool
}

// The roles of the Entra application.
const (
	Reader   = "Reader"
	Operator = "Operator"
)

// Principal is who calls.
type Principal struct {
	Name  string
	Roles []string
}

// May tells whether the caller has the role; an operator may do what a reader may.
func (p Principal) May(role string) bool {
	return slices.Contains(p.Roles, role) || slices.Contains(p.Roles, Operator)
}

// Who reads the caller from the header of App Service authentication; false when nobody is named.
func (a Access) Who(r *http.Request) (Principal, bool) {
	if a.Local {
		return Principal{Name: "local operator", Roles: []string{Operator}}, loopback(r.Host)
	}
	if !a.Authenticated {
		return Principal{}, false
	}
	raw, err := base64.StdEncoding.DecodeString(r.Header.Get("X-MS-CLIENT-PRINCIPAL"))
	if err != nil || len(raw) == 0 {
		return Principal{}, false
	}
	var token struct {
		RoleType string `json:"role_typ"`
		NameType string `json:"name_typ"`
		Claims   []struct {
			Type  string `json:"typ"`
			Value string `json:"val"`
		} `json:"claims"`
	}
	if err := json.Unmarshal(raw, &token); err != nil {
		return Principal{}, false
	}
	var p Principal
	for _, c := range token.Claims {
		switch c.Type {
		case "roles", token.RoleType:
			p.Roles = append(p.Roles, c.Value)
		case "preferred_username", token.NameType:
			p.Name = c.Value
		}
	}
	return p, p.Name != ""
}

// loopback keeps a foreign name that resolves to this machine from being served.
func loopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// act also refuses what another site made the browser send.
func (a Access) act(role string, next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(a.Need(role, next))
}

// Need serves next to callers who have the role.
func (a Access) Need(role string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, known := a.Who(r)
		switch {
		case !known:
			problem(w, http.StatusUnauthorized, "sign in first; if there is no sign-in page, App Service authentication is not configured")
		case !p.May(role):
			problem(w, http.StatusForbidden, "this needs the role "+role)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
