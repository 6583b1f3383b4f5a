package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"throughline/infra/local/demo"
)

// parts are what -only chooses from, in the order in which they start.
var parts = []string{"servicebus", "cosmosdb", "demo", "functionapp"}

// options are the flags of the command; they are part of the project's contract.
type options struct {
	once, json, demo   bool
	walkthrough        bool
	seed               int64
	estate, data, only string
	pack, arch         string
	servicebus, admin  int
	cosmos, functions  int
	github, azure      int
	chosen             []string
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("local", flag.ContinueOnError)
	f.SetOutput(out)
	f.BoolVar(&o.once, "once", false, "play the demo, wait until the queues are empty, print the summary, and stop")
	f.BoolVar(&o.walkthrough, "walkthrough", false, "after the demo, follow one finding from the pod to the closed issue")
	f.BoolVar(&o.json, "json", false, "print the summary as one JSON object on the last line")
	f.BoolVar(&o.demo, "demo", true, "the demo organisation; false: the real world, with GITHUB_* and AZURE_* set")
	f.Int64Var(&o.seed, "seed", 1, "which demo estate")
	f.StringVar(&o.estate, "estate", "small", "size of the demo estate: small, medium, large, or large/N for an Nth of it")
	f.StringVar(&o.data, "data", ".local", `folder that keeps everything; "" keeps it in memory`)
	f.StringVar(&o.only, "only", "", "start just these, separated by commas: "+strings.Join(parts, ","))
	f.StringVar(&o.pack, "package", "", "lay out what ships in this folder, and stop")
	f.StringVar(&o.arch, "arch", "amd64", "architecture of -package: amd64, as Azure Functions wants it, or arm64")
	f.IntVar(&o.servicebus, "port-servicebus", 5672, "Service Bus, AMQP")
	f.IntVar(&o.admin, "port-servicebus-admin", 5300, "Service Bus, administration")
	f.IntVar(&o.cosmos, "port-cosmos", 8081, "Cosmos DB")
	f.IntVar(&o.functions, "port-functions", 7071, "Functions host: the dashboard, the API and the webhooks")
	f.IntVar(&o.github, "port-github", 7080, "GitHub stand-in")
	f.IntVar(&o.azure, "port-azure", 7090, "Azure stand-in")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	return o, o.check(f.Args())
}

func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q is not a flag; flags begin with -", rest[0])
	case o.estate != "small" && o.estate != "medium" && !o.large():
		return fmt.Errorf("-estate: %q is not one of small, medium, large, large/2 to large/100", o.estate)
	case o.arch != "amd64" && o.arch != "arm64":
		return fmt.Errorf("-arch: %q is not one of amd64, arm64", o.arch)
	case o.once && !o.demo:
		return fmt.Errorf("-once plays the demo: it does not go with -demo=false")
	case o.walkthrough && (!o.demo || o.estate != "small" || o.seed != 1 || o.only != ""):
		return fmt.Errorf("-walkthrough follows the small demo of seed 1: it goes with neither -demo=false nor -estate large, another -seed or -only")
	}
	o.chosen = parts
	if o.only != "" {
		o.chosen = nil
		for _, p := range strings.Split(o.only, ",") {
			p = strings.TrimSpace(p)
			if !slices.Contains(parts, p) {
				return fmt.Errorf("-only: %q is not one of %s", p, strings.Join(parts, ", "))
			}
			o.chosen = append(o.chosen, p)
		}
		if o.once {
			return fmt.Errorf("-once needs every part: it does not go with -only")
		}
	}
	return nil
}

func (o *options) starts(part string) bool { return slices.Contains(o.chosen, part) }

// large tells whether the estate is the one that the performance goals speak of, or a part of it.
func (o *options) large() bool {
	_, large := demo.Part(o.estate)
	return large
}
