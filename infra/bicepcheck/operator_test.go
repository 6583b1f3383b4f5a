package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// all gives the first group of every match, once each, sorted.
func all(pattern, text string) []string {
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found[m[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// section gives the text under a heading of the operator's page.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, after, found := strings.Cut(page, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("README.md has no section %s", heading)
	}
	text, _, _ := strings.Cut(after, "\n## ")
	return text
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// notSet are the settings of the example that a deployment must not have, each with its reason.
var notSet = map[string]string{
	"AzureWebJobsStorage":      "the __ form stands for it: storage has no keys",
	"ServiceBusConnection":     "the __ form stands for it: no connection string",
	"CosmosConnection":         "the __ form stands for it: no connection string",
	"THROUGHLINE_CLOCK":        "for drills on one machine, refused elsewhere",
	"FUNCTIONS_WORKER_RUNTIME": "Flex Consumption takes the runtime from functionAppConfig",
}

// TestAppSettings: what the handler reads is what the deployment sets.
func TestAppSettings(t *testing.T) {
	var example struct{ Values map[string]string }
	if err := json.Unmarshal([]byte(read(t, "local.settings.example.json")), &example); err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(read(t, "infra/main.bicep"), "    settings: {")
	list, _, _ = strings.Cut(list, "    }")
	_, own, _ := strings.Cut(read(t, "infra/functionapp.bicep"), "properties: union(settings, {")
	own, _, _ = strings.Cut(own, "\n  })")
	set := all(`(?m)^ +(\w+):`, list+own)
	for name := range example.Values {
		if slices.Contains(set, name) == (notSet[name] != "") {
			t.Errorf("%s: set %t, reason not to be set %q", name, slices.Contains(set, name), notSet[name])
		}
	}
	for _, name := range set {
		_, known := example.Values[name]
		if !known && !regexp.MustCompile(`^(APPLICATIONINSIGHTS_|AzureWebJobs)|__credential$`).MatchString(name) {
			t.Errorf("%s is set and nothing reads it", name)
		}
	}
	if !strings.Contains(own, "AzureWebJobsDisableHomepage: 'true'") {
		t.Error("the host's own home page is on")
	}
}

// TestIndexing: the deployment indexes what the store asks for, no more.
func TestIndexing(t *testing.T) {
	paths := regexp.MustCompile(`return \[\]string\{([^}]*)\}`).FindAllStringSubmatch(read(t, "shared/cosmos/container.go"), -1)
	blocks := regexp.MustCompile(`(?s)name: '\w+'\n    key: '/\w+'\n    paths: \[(.*?)\n    \]`).FindAllStringSubmatch(read(t, "infra/cosmos.bicep"), -1)
	if len(paths) != 3 || len(blocks) != 3 {
		t.Fatalf("got %d containers in the code, %d in the template", len(paths), len(blocks))
	}
	for i := range paths {
		same(t, "indexed paths", all(`'([^']+)'`, blocks[i][1]), all(`"([^"]+)"`, paths[i][1]))
	}
}

// TestManifest: the App asks for the events that are handled, and the page says why it needs each permission.
func TestManifest(t *testing.T) {
	var manifest struct {
		Permissions map[string]string `json:"default_permissions"`
		Events      []string          `json:"default_events"`
	}
	if err := json.Unmarshal([]byte(read(t, ".github/app-manifest.json")), &manifest); err != nil {
		t.Fatal(err)
	}
	handled := all(`(?m)^\t"(\w+)": +(?:say|func)`, read(t, "shared/github/webhook/webhook.go"))
	// Every App gets these; the last is not for Apps.
	unasked := []string{"installation", "installation_repositories", "meta", "ping", "repository_vulnerability_alert"}
	same(t, "events", manifest.Events, slices.DeleteFunc(handled, func(e string) bool { return slices.Contains(unasked, e) }))
	var named []string
	for name, level := range manifest.Permissions {
		named = append(named, name+": "+level)
	}
	same(t, "permissions on the page", all(`(?m)^\| (\w+: (?:read|write)) \|`, section(t, read(t, "infra/README.md"), "Roles")), named)
}

// TestPage walks the operator's page: what it names is there, and it leaves out nothing.
func TestPage(t *testing.T) {
	page := read(t, "infra/README.md")
	main := read(t, "infra/main.bicep")
	params := all(`(?m)^param (\w+) `, main)
	same(t, "parameters", all("(?m)^\\| `(\\w+)` \\|", section(t, page, "Parameters")), params)

	var example struct{ Parameters map[string]any }
	if err := json.Unmarshal([]byte(read(t, "infra/main.parameters.example.json")), &example); err != nil {
		t.Fatal(err)
	}
	same(t, "parameters of the example", slices.Collect(maps.Keys(example.Parameters)), params)

	templates := ""
	names, err := filepath.Glob("../*.bicep")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		templates += read(t, "infra/"+filepath.Base(name))
	}
	const guid = `([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`
	same(t, "roles", all(`\| `+guid+` \|`, section(t, page, "Roles")), all(`'`+guid+`'`, templates))
	alerts := all(`(?m)^  name: '([\w-]+)-\$\{name\}'\n  location: (?:'global'|location)`, read(t, "infra/alerts.bicep"))
	same(t, "alerts", all(`(?m)^\| ([a-z-]+) \| [a-z]`, strings.Replace(section(t, page, "Watch"), "| alert | cause | mend |", "", 1)), alerts)
	same(t, "secrets", all(`--name ([\w-]+) --(?:file|value)`, page), []string{"github-app-private-key", "github-webhook-secret", "marker-key"})
	for _, secret := range all(`secrets/([\w-]+)\)`, templates) {
		if !strings.Contains(page, secret) {
			t.Errorf("secret %s is not named", secret)
		}
	}
}

// TestPageCommands: files, make targets, options of the script and parameters of commands exist.
func TestPageCommands(t *testing.T) {
	page := read(t, "infra/README.md")
	page = strings.Replace(page, section(t, page, "Events from clusters and CI"), "", 1) // of other people's files and fields
	for _, name := range all("((?:infra|\\.github)/[\\w./-]*\\w)", page) {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Errorf("%s is named and not there", name)
		}
	}
	makefile := read(t, "Makefile")
	for _, target := range all(`(?m)^make ([a-z-]+)`, page) {
		if !regexp.MustCompile(`(?m)^` + target + `:`).MatchString(makefile) {
			t.Errorf("make %s is no target", target)
		}
	}
	script := read(t, "infra/deploy.sh")
	for _, line := range all(`bash infra/deploy\.sh (.*)`, page+read(t, ".github/workflows/deploy.yml")) {
		for _, option := range all(`--(\w+)`, line) {
			if !strings.Contains(script, "--"+option) {
				t.Errorf("deploy.sh has no --%s", option)
			}
		}
	}
	declared := all(`(?m)^param (\w+) `, read(t, "infra/managementgroup.bicep"))
	for _, line := range all(`managementgroup\.bicep --parameters (.*)`, page) {
		same(t, "parameters of managementgroup.bicep", all(`(\w+)=`, line), declared)
	}
	for _, output := range all(`of (\w+)\)`, script) {
		if !strings.Contains(read(t, "infra/main.bicep"), "output "+output+" ") {
			t.Errorf("main.bicep has no output %s", output)
		}
	}
	for _, key := range append(all("`(events|name|mode|[a-z]+[A-Z]\\w+)`", page), "mode") {
		if !regexp.MustCompile(`\b` + key + `\b`).MatchString(read(t, "infra/main.bicep") + read(t, "infra/managementgroup.bicep") + read(t, "infra/queues.json")) {
			t.Errorf("%s is named and is no parameter, output or queue property", key)
		}
	}
}
