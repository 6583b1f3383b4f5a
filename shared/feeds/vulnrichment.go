package feeds

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// assessments is Vulnrichment as a table.
type assessments struct {
	edition Edition
	points  map[CVE]SSVC
	records int
	faulty  int
}

// tolerated is the share of records that may be no CVE records before the whole is refused: one in so many.
const tolerated = 100

// largestRecord is more than any CVE record has.
const largestRecord = 16 << 20

// readVulnrichment reads the records of cisagov/vulnrichment in bulk: an archive as GitHub gives it (.tar.gz, .zip; its
// comment is the commit), or a folder of a clone. A record is a file named CVE-<year>-<number>.json in CVE JSON 5.
func readVulnrichment(name string) (assessments, error) {
	a := assessments{points: map[CVE]SSVC{}}
	info, err := os.Stat(name)
	if err != nil {
		return a, fmt.Errorf("read Vulnrichment: %w", err)
	}
	switch {
	case info.IsDir():
		err = a.folder(name)
	case strings.HasSuffix(name, ".zip"):
		err = a.zip(name)
	default:
		err = a.tar(name)
	}
	if err == nil {
		err = a.check()
	}
	if err != nil {
		return a, fmt.Errorf("read Vulnrichment %s: %w", path.Base(name), err)
	}
	return a, nil
}

func (a *assessments) check() error {
	switch {
	case len(a.points) == 0:
		return errors.New("no record has decision points")
	case a.faulty*tolerated > a.records:
		return fmt.Errorf("%d of %d records are no CVE records", a.faulty, a.records)
	}
	a.edition.Entries = len(a.points)
	return nil
}

func isRecord(name string) bool {
	base, found := strings.CutSuffix(path.Base(name), ".json")
	_, ok := ParseCVE(base)
	return found && ok
}

func (a *assessments) folder(name string) error {
	sum := sha256.New()
	err := fs.WalkDir(os.DirFS(name), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !isRecord(file) {
			return err
		}
		raw, err := fs.ReadFile(os.DirFS(name), file)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", file, len(raw))
		sum.Write(raw)
		a.take(raw)
		return nil
	})
	a.edition.Version = "folder-" + hex.EncodeToString(sum.Sum(nil))[:12]
	return err
}

func (a *assessments) zip(name string) error {
	z, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer z.Close()
	a.edition.Version = strings.TrimSpace(z.Comment)
	for _, f := range z.File {
		if !isRecord(f.Name) {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		raw, err := readRecord(r)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		a.take(raw)
	}
	return nil
}

func (a *assessments) tar(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 256<<10))
	if err != nil {
		return err
	}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		switch {
		case h.Typeflag == tar.TypeXGlobalHeader:
			a.edition.Version = h.PAXRecords["comment"]
		case h.Typeflag == tar.TypeReg && isRecord(h.Name):
			raw, err := readRecord(io.NopCloser(t))
			if err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
			a.take(raw)
		}
	}
	// The checksum stands behind the last byte: only who reads to the end knows that it is whole.
	_, err = io.Copy(io.Discard, z)
	return err
}

func readRecord(r io.ReadCloser) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, largestRecord+1))
	if err == nil && len(raw) > largestRecord {
		err = errors.New("a record of this size is none")
	}
	return raw, errors.Join(err, r.Close())
}

// take reads one record and keeps its newest decision points.
func (a *assessments) take(raw []byte) {
	a.records++
	id, points, at, err := parseRecord(raw)
	if err != nil {
		a.faulty++
		return
	}
	if points != (SSVC{}) {
		a.points[id] = points
	}
	if at.After(a.edition.Date) {
		a.edition.Date = at
	}
}

// record is the part of a CVE JSON 5 record that holds CISA's container.
type record struct {
	Metadata struct {
		ID string `json:"cveId"`
	} `json:"cveMetadata"`
	Containers struct {
		ADP []struct {
			Metrics []struct {
				Other struct {
					Type    string          `json:"type"`
					Content json.RawMessage `json:"content"`
				} `json:"other"`
			} `json:"metrics"`
		} `json:"adp"`
	} `json:"containers"`
}

// parseRecord reads the decision points of one record and when they were set; a record may have none.
func parseRecord(raw []byte) (CVE, SSVC, time.Time, error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return 0, SSVC{}, time.Time{}, err
	}
	id, ok := ParseCVE(r.Metadata.ID)
	if !ok {
		return 0, SSVC{}, time.Time{}, fmt.Errorf("cveId %.40q is no CVE", r.Metadata.ID)
	}
	var points SSVC
	var newest time.Time
	for _, adp := range r.Containers.ADP {
		for _, m := range adp.Metrics {
			if m.Other.Type != "ssvc" {
				continue
			}
			p, at, err := parsePoints(m.Other.Content)
			if err != nil {
				return 0, SSVC{}, time.Time{}, err
			}
			if points == (SSVC{}) || at.After(newest) {
				points, newest = p, at
			}
		}
	}
	return id, points, newest, nil
}

// parsePoints reads `{"timestamp": …, "options": [{"Exploitation": "none"}, {"Automatable": "no"}, …]}`. A value that is
// not one of those published counts as not given.
func parsePoints(raw json.RawMessage) (SSVC, time.Time, error) {
	var content struct {
		At      string           `json:"timestamp"`
		Options []map[string]any `json:"options"`
	}
	if err := json.Unmarshal(raw, &content); err != nil {
		return SSVC{}, time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, content.At)
	if err != nil {
		at = time.Time{} // the points count without their time, too
	}
	var p SSVC
	for _, option := range content.Options {
		for name, value := range option {
			text, _ := value.(string)
			p.set(strings.ToLower(name), strings.ToLower(text))
		}
	}
	return p, at.UTC(), nil
}

func (p *SSVC) set(name, value string) {
	for _, point := range []struct {
		name  string
		known []string
		to    *string
	}{{"exploitation", exploitations, &p.Exploitation}, {"automatable", answers, &p.Automatable}, {"technical impact", impacts, &p.Impact}} {
		for _, known := range point.known {
			if name == point.name && value == known && known != "" {
				*point.to = known
			}
		}
	}
}

// The published values; the empty one is "not given". Their places are what is stored.
var (
	exploitations = []string{"", "none", "poc", "active"}
	answers       = []string{"", "no", "yes"}
	impacts       = []string{"", "partial", "total"}
)
