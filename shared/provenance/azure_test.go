package provenance

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"throughline/shared/graph"
)

// entra gives tokens that name their audience.
type entra struct{ err error }

func (e entra) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "entra for " + o.Scopes[0], ExpiresOn: time.Now().Add(time.Hour)}, e.err
}

// acr is an Azure Container Registry as far as signing in goes: it knows no image.
type acr struct {
	exchange int // status of the exchange
	calls    []string
}

func (a *acr) RoundTrip(req *http.Request) (*http.Response, error) {
	form := url.Values{}
	if req.Body != nil {
		raw, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		if form, err = url.ParseQuery(string(raw)); err != nil {
			return nil, err
		}
	}
	a.calls = append(a.calls, req.URL.Scheme+"://"+req.URL.Host+req.URL.Path)
	answer := func(status int, body string) (*http.Response, error) {
		h := http.Header{"Content-Type": {"application/json"}}
		if status == 401 {
			h.Set("WWW-Authenticate", `Bearer realm="https://`+req.URL.Host+`/oauth2/token",service="`+req.URL.Host+`"`)
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
	}
	switch {
	case req.URL.Path == "/oauth2/exchange":
		if form.Get("grant_type") != "access_token" || form.Get("service") != req.URL.Host || form.Get("access_token") != "entra for "+azureScope {
			return answer(400, "{}")
		}
		return answer(a.exchange, `{"refresh_token":"refresh"}`)
	case req.URL.Path == "/oauth2/token" && (form.Get("refresh_token") == "refresh" || a.exchange == 401 && req.Method == http.MethodGet):
		return answer(200, `{"access_token":"access","token":"access"}`)
	case req.URL.Path == "/oauth2/token":
		return answer(403, "{}")
	case req.Header.Get("Authorization") != "Bearer access":
		return answer(401, "{}")
	}
	return answer(404, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`)
}

func TestAzure_signs_in_by_exchange(t *testing.T) {
	for name, c := range map[string]struct {
		exchange int
		want     string
	}{"own registry": {200, "image not found"}, "somebody else's": {401, "image not found"}} {
		a := &acr{exchange: c.exchange}
		r := &Registry{Credential: entra{}, Transport: a}
		for range 2 {
			got, err := r.Read(context.Background(), graph.Collection{Scope: "image:shop.azurecr.us/api:1"})
			if err != nil || got.Skipped[c.want] != 1 {
				t.Errorf("%s: %+v, %v\n%v", name, got, err, a.calls)
			}
		}
		exchanges := 0
		for _, call := range a.calls {
			if !strings.HasPrefix(call, "https://shop.azurecr.us/") {
				t.Errorf("%s: call to %s", name, call)
			}
			if strings.HasSuffix(call, "/exchange") {
				exchanges++
			}
		}
		if exchanges != 1 {
			t.Errorf("%s: %d exchanges", name, exchanges)
		}
	}
}

func TestAzure_trouble_is_an_error(t *testing.T) {
	for name, r := range map[string]*Registry{
		"exchange broken": {Credential: entra{}, Transport: &acr{exchange: 500}},
		"no token":        {Credential: entra{errors.New("no identity")}, Transport: &acr{exchange: 200}},
	} {
		if got, err := r.Read(context.Background(), graph.Collection{Scope: "image:shop.azurecr.io/api:1"}); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAzure_tokens_go_to_azure_registries_only(t *testing.T) {
	for _, host := range []string{"ghcr.io", "azurecr.io.evil.example", "evil-azurecr.io"} {
		a := &acr{exchange: 200}
		r := &Registry{Credential: entra{}, Transport: a}
		if _, err := r.Read(context.Background(), graph.Collection{Scope: "image:" + host + "/a/b:1"}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		for _, call := range a.calls {
			if strings.HasSuffix(call, "/exchange") {
				t.Errorf("%s got a token", host)
			}
		}
	}
}

func TestBounded_long_answers_end(t *testing.T) {
	long := &bounded{inner: endless{}, now: time.Now}
	req, err := http.NewRequest(http.MethodGet, "https://x.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := long.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || n != maxAnswer {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type endless struct{}

func (endless) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(zeros{}), Request: req}, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
