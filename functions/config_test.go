package main

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func working() map[string]string {
	return map[string]string{
		"FUNCTIONS_CUSTOMHANDLER_PORT": "7070",
		"ServiceBusConnection":         "Endpoint=sb://127.0.0.1:5672;SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true",
		"CosmosConnection":             "AccountEndpoint=http://127.0.0.1:8081/;AccountKey=a2V5",
		"GITHUB_APP_ID":                "1",
		"GITHUB_APP_PRIVATE_KEY":       "-----BEGIN RSA PRIVATE KEY-----\\nabc\\n-----END RSA PRIVATE KEY-----",
		"GITHUB_WEBHOOK_SECRET":        "0123456789abcdef",
		"MARKER_KEY":                   "0123456789abcdef",
	}
}

func TestConfigWithTheLeastThatWorks(t *testing.T) {
	env := working()
	c, err := readConfig(func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	if c.Mode != "observe" || c.Database != "throughline" || c.GitHubURL != "https://api.github.com" || c.Local {
		t.Errorf("defaults: %+v", c)
	}
	if !strings.Contains(string(c.AppKey), "\nabc\n") {
		t.Error("the line ends of the key were not restored")
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	env := map[string]string{"GITHUB_APP_ID": "seven", "GITHUB_WEBHOOK_SECRET": "short", "MODE": "maybe", "RESYNC_INTERVAL": "soon",
		"GITHUB_API_URL": "github.example", "REGISTRY_MIRRORS": "acr", "GITHUB_INSTALLATIONS": "x", "AZURE_CLOUD": "moon", "GITHUB_CONTENT_LIMITS": "80"}
	_, err := readConfig(func(k string) string { return env[k] })
	if err == nil {
		t.Fatal("no fault was found")
	}
	for _, name := range []string{"FUNCTIONS_CUSTOMHANDLER_PORT", "ServiceBusConnection", "CosmosConnection", "GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY",
		"GITHUB_WEBHOOK_SECRET", "MARKER_KEY", "MODE", "RESYNC_INTERVAL", "GITHUB_API_URL", "REGISTRY_MIRRORS", "GITHUB_INSTALLATIONS", "AZURE_CLOUD", "GITHUB_CONTENT_LIMITS"} {
		if !strings.Contains(err.Error(), name+":") {
			t.Errorf("%s is not named in:\n%v", name, err)
		}
	}
}

func TestUnresolvedVaultReferenceIsNoSecret(t *testing.T) {
	env := working()
	env["GITHUB_WEBHOOK_SECRET"] = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/webhook)"
	_, err := readConfig(func(k string) string { return env[k] })
	if err == nil || !strings.Contains(err.Error(), "GITHUB_WEBHOOK_SECRET: is a Key Vault reference") {
		t.Errorf("an unresolved reference passed as a secret: %v", err)
	}
}

func TestSecretsNeverShow(t *testing.T) {
	env := working()
	c, err := readConfig(func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []secret{c.MarkerKey, c.AppKey, c.ServiceBus.String} {
		if s.String() != "[redacted]" || s.LogValue().String() != "[redacted]" {
			t.Errorf("a secret shows itself as %q", s)
		}
	}
}

// The example file and the reader name the same settings.
func TestExampleSettingsAgree(t *testing.T) {
	raw, err := os.ReadFile("../local.settings.example.json")
	if err != nil {
		t.Fatal(err)
	}
	var example struct{ Values map[string]string }
	if err := json.Unmarshal(raw, &example); err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{}
	_, _ = readConfig(func(k string) string { read[k] = true; return "" }) // every fault is expected here
	for k := range read {
		if _, ok := example.Values[k]; !ok && !strings.HasPrefix(k, "FUNCTIONS_") && k != "WEBSITE_AUTH_ENABLED" {
			t.Errorf("%s is read but not in the example", k)
		}
	}
	byHost := []string{"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage", "RESYNC_SCHEDULE"} // read by the Functions host
	for _, k := range slices.Sorted(maps.Keys(example.Values)) {
		if !read[k] && !slices.Contains(byHost, k) {
			t.Errorf("%s is in the example but never read", k)
		}
	}
}

// Nobody but config.go reads the environment.
func TestOnlyConfigReadsTheEnvironment(t *testing.T) {
	reads := regexp.MustCompile(`os\.(Getenv|LookupEnv|Environ)\b`)
	walk(t, func(path, dir string, test bool, _ []string) {
		if test || !strings.HasPrefix(dir, "functions") && !strings.HasPrefix(dir, "shared") || path == "../functions/main.go" {
			return
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if reads.Match(raw) {
			t.Errorf("%s reads the environment", path)
		}
	})
}
