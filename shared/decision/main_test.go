package decision

import (
	"flag"
	"os"
	"testing"
)

// long asks for the heavy variants.
var long = os.Getenv("THROUGHLINE_LONG") == "1"

// TestMain sets how many states each property is tried on, unless the command line does.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		checks := "500"
		if long {
			checks = "100000"
		}
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
