package decision

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// moduleRoot is where relative paths of the environment start.
const moduleRoot = "../.."

// vectorFiles are the published rows, and those named in DECISION_VECTORS (separated by colons).
func vectorFiles() []string {
	fixtures := os.Getenv("FIXTURES")
	if fixtures == "" {
		fixtures = "../shared/fixtures"
	}
	files := []string{fromRoot(filepath.Join(fixtures, "..", "reference", "decision-vectors.csv"))}
	for name := range strings.SplitSeq(os.Getenv("DECISION_VECTORS"), ":") {
		if name != "" {
			files = append(files, fromRoot(name))
		}
	}
	return files
}

func fromRoot(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(moduleRoot, name)
}

// vector is one row: raw inputs and the expected answer.
type vector struct {
	id              string
	in              Inputs
	tier, rule, due string
	score           int
}

// readVectors skips the test loudly when the file is absent, except where everything must run.
func readVectors(t *testing.T, name string) []vector {
	t.Helper()
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED: no vectors at %s; set FIXTURES or DECISION_VECTORS", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	columns := make(map[string]int)
	for i, c := range rows[0] {
		columns[c] = i
	}
	var out []vector
	for _, row := range rows[1:] {
		out = append(out, newVector(t, func(c string) string {
			i, found := columns[c]
			if !found {
				t.Fatalf("%s: no column %s", name, c)
			}
			return row[i]
		}))
	}
	return out
}

func newVector(t *testing.T, get func(string) string) vector {
	t.Helper()
	score, err := strconv.Atoi(get("score"))
	if err != nil {
		t.Fatalf("%s: score: %v", get("id"), err)
	}
	fact := func(c string) Fact { return Fact{Value: get(c), Source: "vector"} }
	in := Inputs{
		Finding: get("id"), Kind: Kind(get("kind")),
		KEV: fact("kev"), Exploitation: fact("exploitation"), ExploitKit: fact("exploit_kit"), EPSS: fact("epss30"),
		Severity: fact("severity"), Automatable: fact("ssvc_automatable"), Impact: fact("ssvc_impact"),
		CVSS: fact("cvss"), CWE: fact("cwe"),
		Internet: fact("internet"), Lateral: fact("lateral"), Sensitive: fact("sensitive"), Critical: fact("critical"),
		Running: fact("running"), Workloads: fact("workloads"),
		Validity: fact("validity"), Leaked: fact("leaked"), VEX: fact("vex"), Accepted: fact("accepted"),
	}
	return vector{get("id"), in, get("tier"), get("rule"), get("due"), score}
}

func (v *vector) differs(d Decision) bool {
	return string(d.Tier) != v.tier || d.Rule != v.rule || d.Score != v.score || d.Due != v.due
}

func TestVectors(t *testing.T) {
	p := DefaultPolicy()
	for _, name := range vectorFiles() {
		t.Run(filepath.Base(name), func(t *testing.T) {
			rows := readVectors(t, name)
			passed := 0
			for _, v := range rows {
				if err := v.in.Validate(); err != nil {
					t.Errorf("%s: %v", v.id, err)
					continue
				}
				if d := Decide(v.in, p); v.differs(d) {
					t.Errorf("%s: got %s %s %d %s, want %s %s %d %s", v.id, d.Tier, d.Rule, d.Score, d.Due, v.tier, v.rule, v.score, v.due)
					continue
				}
				passed++
			}
			t.Logf("%s: %d of %d", filepath.Base(name), passed, len(rows))
			if len(rows) == 0 {
				t.Error("no rows")
			}
		})
	}
}
