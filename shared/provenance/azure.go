package provenance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	// azureScope is the audience of Azure Container Registry, the same in every cloud.
	azureScope = "https://containerregistry.azure.net/.default"
	// exchangeAge is how long a registry's own token is used; it lives three hours.
	exchangeAge = time.Hour
)

// isAzure tells whether a host is an Azure Container Registry, in any cloud.
func isAzure(host string) bool {
	for _, suffix := range []string{".azurecr.io", ".azurecr.us", ".azurecr.cn"} {
		if strings.HasSuffix(strings.ToLower(host), suffix) {
			return true
		}
	}
	return false
}

// exchanges remembers the tokens of registries by host.
type exchanges struct {
	mu     sync.Mutex
	byHost map[string]exchanged
}

type exchanged struct {
	token string // empty: the registry does not know us, read without signing in
	at    time.Time
}

// azureAuth signs in to one Azure Container Registry: an Entra token is exchanged for the registry's own.
type azureAuth struct {
	host      string
	registry  *Registry
	transport http.RoundTripper
}

// Authorization is AuthorizationContext without a deadline.
func (a *azureAuth) Authorization() (*authn.AuthConfig, error) {
	return a.AuthorizationContext(context.Background())
}

// AuthorizationContext answers the registry's refresh token, or nothing when the registry belongs to somebody else.
func (a *azureAuth) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	x := &a.registry.azure
	x.mu.Lock()
	known, ok := x.byHost[a.host]
	x.mu.Unlock()
	if !ok || time.Since(known.at) > exchangeAge {
		token, err := a.exchange(ctx)
		if err != nil {
			return nil, fmt.Errorf("sign in to %s: %w", a.host, err)
		}
		known = exchanged{token, time.Now()}
		x.mu.Lock()
		if x.byHost == nil {
			x.byHost = map[string]exchanged{}
		}
		x.byHost[a.host] = known
		x.mu.Unlock()
	}
	return &authn.AuthConfig{IdentityToken: known.token}, nil
}

func (a *azureAuth) exchange(ctx context.Context) (string, error) {
	token, err := a.registry.Credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{azureScope}})
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"access_token"}, "service": {a.host}, "access_token": {token.Token}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+a.host+"/oauth2/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// The token must not travel on: an exchange has no redirects.
	client := &http.Client{Transport: a.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		return "", nil
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("exchange answers status %d", resp.StatusCode)
	}
	var body struct {
		Refresh string `json:"refresh_token"`
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(raw, &body); err != nil || body.Refresh == "" {
		return "", fmt.Errorf("exchange answers no refresh token")
	}
	return body.Refresh, nil
}
