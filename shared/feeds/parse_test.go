package feeds

import (
	"bytes"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseCVE(t *testing.T) {
	for s, want := range map[string]bool{"CVE-2021-44228": true, "CVE-1999-0001": true, "CVE-2026-123456789": true,
		"": false, "CVE-21-44228": false, "CVE-2021-4": false, "cve-2021-44228": false, "CVE-2021-+4228": false, "CVE-2021-4422a": false, "GHSA-jfh8-c2jp-5v3q": false, "CVE-2021-1234567890": false} {
		c, ok := ParseCVE(s)
		if ok != want || ok && c.String() != s {
			t.Errorf("ParseCVE(%q) = %s, %t", s, c, ok)
		}
	}
}

func TestTablesComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Custom(func(t *rapid.T) CVE {
			return CVE(uint64(rapid.IntRange(1999, 2030).Draw(t, "year"))<<32 | uint64(rapid.IntRange(0, 99999).Draw(t, "number")))
		})
		kev := rapid.MapOf(id, rapid.Map(rapid.IntRange(0, 5000), func(n int) Day { return Day(n) })).Draw(t, "kev")
		packed, err := packKEV(kev)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := unpackKEV(packed); err != nil || !maps.Equal(got, kev) {
			t.Fatalf("%v came back as %v, %v", kev, got, err)
		}
		one := rapid.Custom(func(t *rapid.T) peak {
			return peak{Day(rapid.IntRange(0, 5000).Draw(t, "day")), uint32(rapid.IntRange(0, units).Draw(t, "value"))}
		})
		epss := peaks(rapid.MapOf(id, rapid.SliceOfN(one, 1, 5)).Draw(t, "epss"))
		packed, err = packEPSS(epss)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := unpackEPSS(packed); err != nil || !maps.EqualFunc(got, epss, slices.Equal) {
			t.Fatalf("%v came back as %v, %v", epss, got, err)
		}
	})
}

func TestHighestIsTheHighestOfTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.IntRange(1, 40).Draw(t, "window")
		table, all := peaks{}, map[Day]uint32{}
		day := Day(1000)
		for range rapid.IntRange(1, 60).Draw(t, "days") {
			day += Day(rapid.IntRange(1, 4).Draw(t, "step"))
			v := uint32(rapid.IntRange(0, 20).Draw(t, "value"))
			all[day] = v
			table.add(scores{day: day, values: map[CVE]uint32{7: v}}, window)
			want := uint32(0)
			for d, v := range all {
				if d > day-Day(window) {
					want = max(want, v)
				}
			}
			if got := table[7][0].value; got != want {
				t.Fatalf("on day %d the highest of %d days is %d, want %d", day, window, got, want)
			}
		}
	})
}

func TestSSVCTableComesBack(t *testing.T) {
	table := map[CVE]SSVC{1: {"none", "no", "partial"}, 2: {"active", "yes", "total"}, 3: {"poc", "", ""}, 1 << 40: {"", "yes", ""}}
	packed, err := packSSVC(table)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unpackSSVC(packed); err != nil || !maps.Equal(got, table) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := unpackSSVC(packed[:len(packed)-9]); err == nil {
		t.Error("a table cut short was taken")
	}
}

func TestEPSSRefusesALineThatIsCutShort(t *testing.T) {
	text := "#model_version:v2025.03.14,score_date:2025-03-17T12:55:00+0000\ncve,epss,percentile\nCVE-2024-10000,0.5,0.5\n"
	if s, err := parseEPSS(strings.NewReader(text)); err != nil || s.edition.Version != "2025-03-17/v4" || len(s.values) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for name, bad := range map[string]string{"cut": strings.TrimSuffix(text, "\n"), "value": strings.Replace(text, "0.5,", "1.5,", 1), "not a number": strings.Replace(text, "0.5,", "NaN,", 1),
		"columns": strings.Replace(text, "percentile", "rank", 1), "comment": strings.TrimPrefix(text, "#"), "date": strings.Replace(text, "score_date", "date", 1)} {
		if _, err := parseEPSS(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestRecordKeepsTheNewestPoints(t *testing.T) {
	raw := []byte(`{"cveMetadata":{"cveId":"CVE-2024-1234"},"containers":{"adp":[{"metrics":[
		{"other":{"type":"ssvc","content":{"timestamp":"2024-01-01T00:00:00Z","options":[{"Exploitation":"none"},{"Automatable":"no"},{"Technical Impact":"partial"}]}}},
		{"cvssV3_1":{"vectorString":"x"}}]},
		{"metrics":[{"other":{"type":"ssvc","content":{"timestamp":"2025-01-01T00:00:00Z","options":[{"Exploitation":"Active"},{"Automatable":"maybe"},{"Technical Impact":7}]}}}]}]}}`)
	_, points, at, err := parseRecord(raw)
	if err != nil || points != (SSVC{Exploitation: "active"}) || at.Year() != 2025 {
		t.Errorf("%+v at %s, %v", points, at, err)
	}
}

func TestFewFaultyRecordsAreToleratedManyAreNot(t *testing.T) {
	for n, want := range map[int]bool{1: true, 3: false} {
		a := assessments{points: map[CVE]SSVC{1: {Exploitation: "none"}}, records: 200, faulty: n}
		if err := a.check(); (err == nil) != want {
			t.Errorf("%d of 200 faulty: %v", n, err)
		}
	}
}

func FuzzKEV(f *testing.F) {
	sample, err := os.ReadFile("testdata/sample/known_exploited_vulnerabilities.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Add(kevOf(2))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := parseKEV(bytes.NewReader(raw)); err == nil && (len(c.added) == 0 || c.edition.Version == "") {
			t.Fatalf("taken without content: %+v", c.edition)
		}
	})
}

func FuzzEPSS(f *testing.F) {
	f.Add(epssOf("2026-11-20", 3, 0.5))
	f.Add([]byte("#model_version:v2025.03.14,score_date:2025-03-17\ncve,epss,percentile\nCVE-2024-10000,0.5,0.5\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := parseEPSS(bytes.NewReader(raw))
		if err != nil {
			return
		}
		for id, v := range s.values {
			if v > units {
				t.Fatalf("%s has %d", id, v)
			}
		}
	})
}

func FuzzRecord(f *testing.F) {
	sample, err := os.ReadFile("testdata/sample/vulnrichment/2021/44xxx/CVE-2021-44228.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, points, _, err := parseRecord(raw)
		if err == nil && (!slices.Contains(exploitations, points.Exploitation) || !slices.Contains(answers, points.Automatable) || !slices.Contains(impacts, points.Impact)) {
			t.Fatalf("%+v", points)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	packed, err := packSSVC(map[CVE]SSVC{1: {"none", "no", "partial"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, err := range []error{second(unpackKEV(raw)), second(unpackEPSS(raw)), second(unpackSSVC(raw))} {
			_ = err // only panics and endless loops are faults here
		}
	})
}

func second[T any](_ T, err error) error { return err }
