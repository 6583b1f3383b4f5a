package api

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3gen"
	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// route is one line of the description.
type route struct {
	method, path, what string
	answer             any // nil: see media
	media              string
	query              []string
	body               any    // what a POST takes as JSON
	takes              string // or in another form
}

var filters = []string{"tier", "risk", "kind", "repository", "state", "status", "unmapped", "q", "sort", "limit", "cursor"}

var routes = []route{
	{method: "GET", path: "/api/findings", what: "The findings, most urgent first", answer: list[graph.Summary]{}, query: filters},
	{method: "GET", path: "/api/findings.csv", what: "The same list as a file", media: "text/csv", query: filters[:9]},
	{method: "GET", path: "/api/findings/{id}", what: "A finding with its path, decision, reasons and timeline", answer: graph.FindingView{}},
	{method: "GET", path: "/api/repositories", what: "All repositories", answer: list[graph.Name]{}},
	{method: "GET", path: "/api/repositories/{owner}/{name}", what: "A repository and where its code runs", answer: graph.RepositoryView{}},
	{method: "GET", path: "/api/artifacts", what: "All images", answer: list[graph.ArtifactLine]{}},
	{method: "GET", path: "/api/artifacts/{digest}", what: "An image: where it comes from and where it runs", answer: graph.ArtifactView{}},
	{method: "GET", path: "/api/artifacts/{digest}/findings", what: "The open findings that lie in an image, most urgent first", answer: list[graph.Summary]{}},
	{method: "GET", path: "/api/blast", what: "The images, workloads and repositories behind an image (image=digest) or a vulnerability (cve=id)", answer: graph.Blast{}, query: []string{"image", "cve"}},
	{method: "GET", path: "/api/workloads", what: "All workloads", answer: list[graph.Place]{}},
	{method: "GET", path: "/api/workloads/{id}", what: "A workload: its images and their repositories", answer: graph.WorkloadView{}},
	{method: "GET", path: "/api/graph", what: "A part of the mapping graph as JSON, DOT or SVG", answer: graph.Picture{}, query: []string{"from", "format"}},
	{method: "GET", path: "/api/summary", what: "Counts", answer: Summary{}},
	{method: "GET", path: "/api/coverage", what: "What is not mapped and why", answer: graph.Coverage{}},
	{method: "GET", path: "/api/log/{owner}/{name}", what: "Whether the decision log of a repository is as it was written, and where not", answer: graph.LogReport{}},
	{method: "GET", path: "/api/evidence/{remediation}", what: "The signed evidence of a verified fix: an in-toto statement with OpenVEX in a DSSE envelope; 404 before, or without EVIDENCE_KEY", answer: map[string]any{}},
	{method: "GET", path: "/api/withheld", what: "What readings did not contain and what waits for a person before it is retired", answer: list[graph.Withheld]{}},
	{method: "GET", path: "/api/readiness", what: "Every permission and source: whether it is there, what is lost without it, and the mend", answer: list[graph.Readiness]{}},
	{method: "GET", path: "/api/healing", what: "Webhooks that did not arrive and were asked for again, by day", answer: list[graph.Healing]{}},
	{method: "POST", path: "/api/withheld/approve", what: "Let the next reading of a scope retire what it does not contain, and begin it", body: approval{}, answer: graph.Withheld{}},
	{method: "GET", path: "/api/runs", what: "The last reading of every scope", answer: list[graph.RunReport]{}},
	{method: "GET", path: "/api/parked", what: "Messages that no retry can heal", answer: list[Letter]{}, query: []string{"cursor"}},
	{method: "GET", path: "/api/actions", what: "What people did: who, what, on what, why, and how it went", answer: list[graph.Action]{}, query: []string{"cursor"}},
	{method: "GET", path: "/api/guards", what: "Causes whose issues wait, or waited, for a person", answer: list[graph.Guard]{}},
	{method: "GET", path: "/api/campaigns", what: "Campaigns with their progress, newest first", answer: list[graph.Campaign]{}},
	{method: "POST", path: "/api/campaigns", what: "Begin a campaign over what a filter of the list finds; of code scanning alerts on GitHub", answer: graph.Campaign{}, body: campaign{}},
	{method: "POST", path: "/api/campaigns/{id}/close", what: "End a campaign of our own", answer: graph.Campaign{}, body: ask{}},
	{method: "GET", path: "/api/budget", what: "What may still be written through each installation, how many issues wait, and when the last will be open", answer: list[graph.Allowance]{}},
	{method: "GET", path: "/api/due", what: "What is overdue and due within the week, by who has it", answer: graph.Reminder{}},
	{method: "GET", path: "/api/trend", what: "Open findings and verified fixes by day, how long fixes took, and what became of those given to Copilot", answer: trends{}},
	{method: "GET", path: "/api/health", what: "The parts; 503 when one is down", answer: map[string]any{}},
	{method: "GET", path: "/api/openapi.json", what: "This description", answer: map[string]any{}},
	{method: "GET", path: "/api/deadletters", what: "Messages that Service Bus gave up", answer: list[Letter]{}},
	{method: "POST", path: "/api/deadletters/{queue}/replay", what: "Send the dead letters of a queue again", answer: map[string]string{}},
	{method: "POST", path: "/api/parked/{id}/replay", what: "Send a parked message again", answer: map[string]string{}},
	{method: "POST", path: "/api/resync", what: "Begin a full run now", answer: map[string]string{}},
	{method: "POST", path: "/api/plan", what: "What a policy would change, without doing it", answer: Plan{}, query: []string{"name", "most"}, takes: "application/yaml"},
	{method: "POST", path: "/api/guards/{id}/approve", what: "Let the issues open that a cause would open beyond the policy's bound", answer: released{}, body: ask{}},
	{method: "POST", path: "/api/findings/{id}/issue", what: "Open the issue of a finding now", answer: asked{}, body: ask{}},
	{method: "POST", path: "/api/findings/{id}/copilot", what: "Give the issue of a finding to GitHub's coding agent", answer: given{}, body: ask{}},
	{method: "POST", path: "/api/findings/{id}/accept", what: "Accept the risk of a finding until a day", answer: changed{}, body: ask{}},
	{method: "POST", path: "/api/findings/{id}/reassess", what: "Decide a finding again without waiting for the end of its hold", answer: changed{}, body: ask{}},
}

// describeAll makes the description from the table above and the types of the answers.
func describeAll(t *testing.T) []byte {
	t.Helper()
	doc := &openapi3.T{OpenAPI: "3.0.3", Info: &openapi3.Info{Title: "Throughline", Version: "1", Description: "Findings by urgency, the mapping from source to workload both ways, and why. In Azure, App Service authentication stands in front: Reader sees, Operator acts."},
		Paths: openapi3.NewPaths(), Components: &openapi3.Components{Schemas: openapi3.Schemas{}}}
	maker := openapi3gen.NewGenerator(openapi3gen.UseAllExportedFields(), openapi3gen.CreateComponentSchemas(openapi3gen.ExportComponentSchemasOptions{ExportComponentSchemas: true}),
		openapi3gen.SchemaCustomizer(exact))
	for _, r := range routes {
		op := openapi3.NewOperation()
		op.Summary, op.OperationID = r.what, strings.Trim(strings.NewReplacer("/", "-", "{", "", "}", "", ".", "-").Replace(strings.ToLower(r.method)+r.path), "-")
		for _, part := range strings.Split(r.path, "/") {
			if name, ok := strings.CutPrefix(part, "{"); ok {
				op.AddParameter(openapi3.NewPathParameter(strings.TrimSuffix(name, "}")).WithSchema(openapi3.NewStringSchema()))
			}
		}
		for _, q := range r.query {
			op.AddParameter(openapi3.NewQueryParameter(q).WithSchema(openapi3.NewStringSchema()))
		}
		if r.method == http.MethodPost {
			describeAction(t, doc, maker, op, r)
		}
		ok := openapi3.NewResponse().WithDescription(r.what)
		if r.answer != nil {
			from := maker.NewSchemaRefForValue
			if _, counts := r.answer.(Summary); counts { // the graph has a noun of the same name
				from = openapi3gen.NewGenerator(openapi3gen.UseAllExportedFields()).NewSchemaRefForValue
			}
			ref, err := from(r.answer, doc.Components.Schemas)
			if err != nil {
				t.Fatal(err)
			}
			ok.Content = openapi3.NewContentWithJSONSchemaRef(ref)
		} else {
			ok.Content = openapi3.NewContentWithSchema(openapi3.NewStringSchema(), []string{r.media})
		}
		fault := openapi3.NewResponse().WithDescription("What is wrong and the mend").
			WithContent(openapi3.NewContentWithSchema(openapi3.NewObjectSchema().WithProperty("status", openapi3.NewIntegerSchema()).WithProperty("title", openapi3.NewStringSchema()).WithProperty("detail", openapi3.NewStringSchema()), []string{"application/problem+json"}))
		op.Responses = openapi3.NewResponses(openapi3.WithStatus(200, &openapi3.ResponseRef{Value: ok}), openapi3.WithName("default", fault))
		doc.AddOperation(r.path, r.method, op)
	}
	raw, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(raw, '\n')
}

// describeAction adds what only actions take.
func describeAction(t *testing.T, doc *openapi3.T, maker *openapi3gen.Generator, op *openapi3.Operation, r route) {
	t.Helper()
	op.AddParameter(openapi3.NewHeaderParameter("Idempotency-Key").WithSchema(openapi3.NewStringSchema()).WithDescription("The same key does the same action only once; the answer is that of the first time."))
	switch {
	case r.takes != "":
		op.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithContent(openapi3.NewContentWithSchema(openapi3.NewStringSchema(), []string{r.takes}))}
	case r.body != nil:
		ref, err := maker.NewSchemaRefForValue(r.body, doc.Components.Schemas)
		if err != nil {
			t.Fatal(err)
		}
		op.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithJSONSchemaRef(ref)}
	}
}

// exact lets lists and maps that hold nothing be null, as Go writes them.
func exact(_ string, t reflect.Type, _ reflect.StructTag, s *openapi3.Schema) error {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Pointer {
		s.Nullable = true
	}
	if t == reflect.TypeFor[json.RawMessage]() {
		*s = openapi3.Schema{Nullable: true}
	}
	return nil
}

func TestDescriptionFitsTheTypes(t *testing.T) {
	want := describeAll(t)
	if *update {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(description, want) {
		t.Error("openapi.json is not what the types say; go test ./functions/api -run FitsTheTypes -update writes it anew")
	}
	doc, err := openapi3.NewLoader().LoadFromData(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestDescriptionNamesWhatIsServed compares the table of the API with its description, both ways.
func TestDescriptionNamesWhatIsServed(t *testing.T) {
	served, described := []string{}, []string{}
	for _, e := range newAPI(t).routes() {
		served = append(served, e.method+" "+e.path)
	}
	for _, r := range routes {
		described = append(described, r.method+" "+r.path)
	}
	slices.Sort(served)
	slices.Sort(described)
	if diff := cmp.Diff(described, served); diff != "" {
		t.Errorf("described (-) and served (+) differ:\n%s", diff)
	}
}
