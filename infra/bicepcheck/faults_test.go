package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// TestShippedTemplates holds the templates of this repository to their types.
func TestShippedTemplates(t *testing.T) {
	faults, err := check(os.DirFS(".."), data(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// TestSeededFaults breaks one line of the shipped templates at a time: the fault must be found on that line, alone or
// with what follows from it, and with its mend.
func TestSeededFaults(t *testing.T) {
	schema := data(t)
	for name, seed := range seeds {
		t.Run(name, func(t *testing.T) {
			files := shipped(t)
			text := string(files[seed.file].Data)
			before, after, found := strings.Cut(text, seed.old)
			if !found {
				t.Fatalf("%s has no %q any more", seed.file, seed.old)
			}
			files[seed.file] = &fstest.MapFile{Data: []byte(before + seed.with + after)}
			faults, err := check(files, schema)
			if err != nil {
				t.Fatal(err)
			}
			line := 1 + strings.Count(before, "\n") + strings.Count(seed.with[:max(strings.Index(seed.with, seed.at), 0)], "\n")
			in := seed.file
			if seed.in != "" {
				in, line = seed.in, 0
			}
			for _, f := range faults {
				if f.File == in && (line == 0 || f.Line == line) && strings.Contains(f.Path+": "+f.Text, seed.text) && strings.Contains(f.Mend, seed.mend) && f.Mend != "" && f.Col > 0 {
					return
				}
			}
			t.Errorf("not found on %s:%d (%s; %s); found: %v", in, line, seed.text, seed.mend, faults)
		})
	}
	if len(seeds) < 30 {
		t.Errorf("only %d faults are seeded", len(seeds))
	}
}

// seed replaces old with with; at is the part of with that stands on the line of the fault; in is another file that it shows in.
type seed struct{ file, old, with, at, text, mend, in string }

var seeds = map[string]seed{
	"unclosed quote":            {file: "vault.bicep", old: "family: 'A'", with: "family: 'A", text: "syntax", mend: "unclosed"},
	"missing brace":             {file: "identity.bicep", old: "resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {", with: "resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = [", text: "syntax"},
	"spread":                    {file: "cosmos.bicep", old: "    databaseAccountOfferType: 'Standard'", with: "    ...containers[0]", text: "syntax", mend: "plain style"},
	"unknown type":              {file: "vault.bicep", old: "Microsoft.KeyVault/vaults@", with: "Microsoft.KeyVault/vault@", text: "no resource type", mend: "microsoft.keyvault/vaults"},
	"unknown version":           {file: "vault.bicep", old: "vaults@2023-07-01", with: "vaults@2031-01-01", text: "no API version 2031-01-01", mend: "pin 20"},
	"no version":                {file: "vault.bicep", old: "vaults@2023-07-01", with: "vaults", text: "has no API version", mend: "Type@version"},
	"unknown property":          {file: "servicebus.bicep", old: "    requiresSession:", with: "    requiresSesion:", text: "requiresSesion", mend: `"requiresSession"`},
	"unknown nested property":   {file: "functionapp.bicep", old: "perInstanceConcurrency", with: "perInstanceConcurency", text: "perInstanceConcurency", mend: `"perInstanceConcurrency"`},
	"read-only property":        {file: "servicebus.bicep", old: "    maxSizeInMegabytes: 5120", with: "    messageCount: 5120", text: "is read-only", mend: "drop it"},
	"enum":                      {file: "functionapp.bicep", old: "name: 'custom'", with: "name: 'golang'", text: `"golang" is not one of`, mend: ""},
	"enum in other case":        {file: "cosmos.bicep", old: "indexingMode: 'consistent'", with: "indexingMode: 'Consistent'", text: "is not one of", mend: `"consistent"`},
	"enum in a conditional":     {file: "vault.bicep", old: "name: 'standard'", with: "name: closed ? 'standart' : 'premium'", text: `"standart"`, mend: `"standard"`},
	"enum of a parameter":       {file: "servicebus.bicep", old: "param tier string", with: "@allowed([\n  'Golden'\n])\nparam tier string", at: "param tier", text: `allows "Golden"`, mend: ""},
	"missing property":          {file: "cosmos.bicep", old: "    databaseAccountOfferType: 'Standard'\n", with: "", text: "databaseAccountOfferType: is required", mend: "add databaseAccountOfferType", in: "cosmos.bicep"},
	"missing sku name":          {file: "servicebus.bicep", old: "  sku: {\n    name: tier\n", with: "  sku: {\n", at: "sku", text: "namespace.sku.name: is required", mend: "add name"},
	"missing resource name":     {file: "identity.bicep", old: "  name: name\n", with: "", text: "identity.name: is required", mend: "add name", in: "identity.bicep"},
	"missing in an array":       {file: "network.bicep", old: "        name: 'endpoints'\n        properties", with: "        nam: 'endpoints'\n        properties", text: "nam", mend: `"name"`},
	"discriminator":             {file: "cosmos.bicep", old: "type: 'Continuous'", with: "type: 'Continous'", text: `"Continous"`, mend: `"Continuous"`},
	"form of a discriminator":   {file: "cosmos.bicep", old: "continuousModeProperties: {", with: "periodicModeProperties: {", text: "periodicModeProperties", mend: ""},
	"criteria of an alert":      {file: "alerts.bicep", old: "criterionType: 'StaticThresholdCriterion'", with: "criterionType: 'StaticCriterion'", text: `"StaticCriterion" is not one of StaticThresholdCriterion`, mend: "choose"},
	"property of an alert":      {file: "alerts.bicep", old: "timeAggregation: 'Maximum'", with: "timeAgregation: 'Maximum'", text: "timeAggregation: is required", mend: "add timeAggregation", in: "alerts.bicep"},
	"site configuration":        {file: "functionapp.bicep", old: "requireAuthentication: true", with: "requireAuthentification: true", text: "requireAuthentification", mend: `"requireAuthentication"`},
	"event schema":              {file: "events.bicep", old: "'CloudEventSchemaV1_0'", with: "'CloudEventSchemaV1'", text: "is not one of", mend: `"CloudEventSchemaV1_0"`},
	"string for an integer":     {file: "servicebus.bicep", old: "maxSizeInMegabytes: 5120", with: "maxSizeInMegabytes: '5120'", text: "is a string", mend: "a number"},
	"string for a boolean":      {file: "vault.bicep", old: "enablePurgeProtection: true", with: "enablePurgeProtection: 'yes'", text: "is a string", mend: "a boolean"},
	"integer out of range":      {file: "cosmos.bicep", old: "        version: 2", with: "        version: 3", text: "3 is outside 1..2", mend: "inside"},
	"string too short":          {file: "vault.bicep", old: "tenantId: tenant().tenantId", with: "tenantId: 'mine'", text: "at least 36", mend: "longer"},
	"pattern":                   {file: "vault.bicep", old: "  name: name\n  location: location", with: "  name: 'my_vault'\n  location: location", text: "does not match", mend: "pattern"},
	"given twice":               {file: "vault.bicep", old: "enablePurgeProtection: true", with: "enablePurgeProtection: true\n    enablePurgeProtection: true", at: "\n    enable", text: "given twice", mend: "drop", in: "vault.bicep"},
	"undeclared name":           {file: "storage.bicep", old: "location: location", with: "location: locaton", text: "locaton: is not declared", mend: `"location"`},
	"undeclared in a string":    {file: "cosmos.bicep", old: "${database.name}", with: "${databse.name}", text: "databse: is not declared", mend: `"database"`},
	"loop variable outside":     {file: "servicebus.bicep", old: "output id string = namespace.id", with: "output id string = q.name", text: "q: is not declared"},
	"unused parameter":          {file: "identity.bicep", old: "param tags object", with: "param tags object\nparam spare string = ''", at: "param spare", text: "spare: is declared and not used", mend: "drop the parameter"},
	"unused variable":           {file: "vault.bicep", old: "var secretsUser", with: "var spare = 1\nvar secretsUser", at: "var spare", text: "spare: is declared and not used", mend: "variable"},
	"declared twice":            {file: "identity.bicep", old: "param tags object", with: "param tags object\nparam tags object", at: "\nparam", text: "declared twice", mend: "rename", in: "identity.bicep"},
	"unknown function":          {file: "main.bicep", old: "uniqueString(subscription().id", with: "uniqString(subscription().id", text: "is no function", mend: `"uniqueString"`},
	"property that is not read": {file: "vault.bicep", old: "vault.properties.vaultUri", with: "vault.properties.vaultUrl", text: "vaultUrl", mend: `"vaultUri"`},
	"missing file":              {file: "servicebus.bicep", old: "'queues.json'", with: "'queue.json'", text: "is not there", mend: "path"},
	"missing module":            {file: "main.bicep", old: "'cosmos.bicep'", with: "'cosmo.bicep'", text: "is not there", mend: `"cosmos.bicep"`},
	"unknown module parameter":  {file: "main.bicep", old: "    tier: serviceBusTier", with: "    teir: serviceBusTier", text: "teir: is no parameter", mend: `"tier"`},
	"missing module parameter":  {file: "main.bicep", old: "    tier: serviceBusTier\n", with: "", text: "tier: is required and missing", mend: "add tier", in: "main.bicep"},
	"type of module parameter":  {file: "main.bicep", old: "    maxThroughput: cosmosMaxThroughput", with: "    maxThroughput: '4000'", text: "wants a number", mend: "cosmos.bicep"},
	"parameter for parameter":   {file: "main.bicep", old: "    maxThroughput: cosmosMaxThroughput", with: "    maxThroughput: networkPrefix", text: "parameter of type string, not int", mend: "cosmos.bicep"},
	"unknown output":            {file: "main.bicep", old: "cosmos.outputs.endpoint", with: "cosmos.outputs.endpont", text: "is no output", mend: `"endpoint"`},
	"default not allowed":       {file: "main.bicep", old: "param mode string = 'observe'", with: "param mode string = 'watch'", text: `"watch" is not one of`, mend: "default"},
	"default too small":         {file: "main.bicep", old: "param maximumInstances int = 100", with: "param maximumInstances int = 10", text: "below the minValue", mend: "default"},
	"scope of a resource":       {file: "access.bicep", old: "targetScope = 'subscription'", with: "targetScope = 'resourceGroup'", text: "targetScope resourceGroup", in: "main.bicep", mend: "scope"},
	"resource at wrong scope":   {file: "main.bicep", old: "resource keys 'Microsoft.KeyVault/vaults@2023-07-01' existing = {\n  name: vaultName\n  scope: group", with: "resource keys 'Microsoft.KeyVault/vaults@2023-07-01' existing = {\n  name: vaultName", at: "resource keys", text: "is not deployed at the scope subscription", mend: "resourceGroup"},
	"module without scope":      {file: "main.bicep", old: "  name: 'identity'\n  scope: group\n", with: "  name: 'identity'\n", text: "is subscription, and identity.bicep has targetScope resourceGroup", mend: "scope", in: "main.bicep"},
	"wrong parent":              {file: "storage.bicep", old: "  parent: blobs", with: "  parent: account", text: "is no child of", mend: "blobServices"},
	"segments of a name":        {file: "cosmos.bicep", old: "  parent: account\n  name: 'throughline'", with: "  name: 'throughline'", text: "1 segments, its type needs 2", mend: "parent", in: "cosmos.bicep"},
	"unknown in parameters":     {file: "main.parameters.public.json", old: `"mode"`, with: `"mod"`, text: "is no parameter", mend: `"mode"`},
	"not allowed in parameters": {file: "main.parameters.china.json", old: `"value": "china"`, with: `"value": "China"`, text: `"China" is not one of`, in: "main.parameters.china.json", mend: "main.bicep"},
	"missing in parameters":     {file: "main.parameters.china.json", old: `"githubAppId": {`, with: `"githubHostKey": {`, text: "githubAppId: is required", in: "main.parameters.china.json", mend: "add githubAppId"},
	"type in parameters":        {file: "main.parameters.example.json", old: `"value": 24`, with: `"value": "24"`, text: "wants a number", in: "main.parameters.example.json", mend: "main.bicep"},
	"broken parameters":         {file: "main.parameters.public.json", old: `"contentVersion": "1.0.0.0",`, with: `"contentVersion": "1.0.0.0"`, text: "json", in: "main.parameters.public.json", mend: "$schema"},
}

// TestPitfalls holds templates that are right and that a simple checker refuses.
func TestPitfalls(t *testing.T) {
	for name, text := range map[string]string{
		"existing needs no location": "resource v 'Microsoft.KeyVault/vaults@2023-07-01' existing = {\n  name: 'abc'\n}\noutput u string = v.properties.vaultUri\n",
		"nested resource":            "resource n 'Microsoft.ServiceBus/namespaces@2022-10-01-preview' = {\n  name: 'abc'\n  location: 'x'\n  sku: {\n    name: 'Standard'\n  }\n  resource q 'queues' = {\n    name: 'q'\n    properties: {\n      requiresSession: true\n    }\n  }\n}\noutput q string = n::q.name\n",
		"loop with condition":        "param names array\nresource i 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = [for (n, k) in names: if (n != 'x') {\n  name: '${n}${k}'\n  location: 'x'\n}]\n",
		"other case":                 "resource c 'microsoft.insights/components@2020-02-02' = {\n  name: 'a'\n  location: 'x'\n  kind: 'web'\n  properties: {\n    Application_Type: 'web'\n  }\n}\n",
		"call in an array":           "targetScope = 'subscription'\noutput a array = [\n  subscription().id\n]\n",
		"interpolated key":           "param id string\nresource i 'Microsoft.ServiceBus/namespaces@2022-10-01-preview' = {\n  name: 'abc'\n  location: 'x'\n  sku: {\n    name: 'Standard'\n  }\n  identity: {\n    type: 'UserAssigned'\n    userAssignedIdentities: {\n      '${id}': {}\n    }\n  }\n}\n",
		"function and lambda":        "func low(a string) string => toLower(a)\nparam names array\noutput all array = map(filter(names, n => n != 'x'), (n, i) => '${low(n)}${i}')\n",
		"extension anywhere":         "targetScope = 'managementGroup'\nparam p string\nresource g 'Microsoft.Authorization/roleAssignments@2022-04-01' = {\n  name: guid(p)\n  properties: {\n    principalId: p\n    roleDefinitionId: p\n  }\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			faults, err := check(fstest.MapFS{"a.bicep": {Data: []byte(text)}}, data(t))
			if err != nil || len(faults) > 0 {
				t.Errorf("got %v, %v", faults, err)
			}
		})
	}
}

// TestNestedFault finds a fault in a nested resource in a loop with a condition.
func TestNestedFault(t *testing.T) {
	text := "param names array\nresource n 'Microsoft.ServiceBus/namespaces@2022-10-01-preview' = [for n in names: if (n != 'x') {\n  name: n\n  location: 'x'\n  resource q 'queues' = {\n    name: 'q'\n    properties: {\n      requiresSesion: true\n    }\n  }\n}]\n"
	faults, err := check(fstest.MapFS{"a.bicep": {Data: []byte(text)}}, data(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(faults) != 1 || faults[0].Line != 8 {
		t.Errorf("got %v", faults)
	}
}

// TestNoData: without the type data nothing may pass.
func TestNoData(t *testing.T) {
	t.Setenv("GOMODCACHE", t.TempDir())
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOFLAGS", "-modcacherw")
	if _, err := openSchema(); err == nil || !strings.Contains(err.Error(), "nothing was checked") {
		t.Errorf("got %v", err)
	}
	if _, err := check(fstest.MapFS{}, &schema{}); err == nil {
		t.Error("an empty folder passes")
	}
}

// opened reads the type data once for all tests.
var opened = sync.OnceValues(openSchema)

func data(t *testing.T) *schema {
	t.Helper()
	d, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// shipped copies the templates into memory.
func shipped(t *testing.T) fstest.MapFS {
	t.Helper()
	all := fstest.MapFS{}
	for _, pattern := range []string{"*.bicep", "*.json"} {
		names, err := filepath.Glob("../" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.Base(name)] = &fstest.MapFile{Data: text, Mode: fs.ModePerm}
		}
	}
	return all
}
