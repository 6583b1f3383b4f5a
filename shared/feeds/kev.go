package feeds

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// catalogue is the KEV catalogue as a table.
type catalogue struct {
	edition Edition
	added   map[CVE]Day
}

// parseKEV reads CISA's catalogue, known_exploited_vulnerabilities.json, to its end. It is one JSON object that states
// how many entries it has; a catalogue with another number of them is not whole.
func parseKEV(r io.Reader) (catalogue, error) {
	var file struct {
		Version  string    `json:"catalogVersion"`
		Released time.Time `json:"dateReleased"`
		Count    int       `json:"count"`
		Entries  []struct {
			CVE   string `json:"cveID"`
			Added string `json:"dateAdded"`
		} `json:"vulnerabilities"`
	}
	d := json.NewDecoder(r)
	if err := d.Decode(&file); err != nil {
		return catalogue{}, fmt.Errorf("KEV catalogue: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return catalogue{}, fmt.Errorf("KEV catalogue: there is something behind its end")
	}
	switch {
	case file.Version == "" || file.Released.IsZero():
		return catalogue{}, fmt.Errorf("KEV catalogue: no catalogVersion or dateReleased")
	case len(file.Entries) == 0:
		return catalogue{}, fmt.Errorf("KEV catalogue: it is empty")
	case file.Count != len(file.Entries):
		return catalogue{}, fmt.Errorf("KEV catalogue: it says %d entries and has %d", file.Count, len(file.Entries))
	}
	c := catalogue{Edition{Version: file.Version, Date: file.Released.UTC()}, make(map[CVE]Day, len(file.Entries))}
	for i, e := range file.Entries {
		id, ok := ParseCVE(e.CVE)
		if !ok {
			return catalogue{}, fmt.Errorf("KEV catalogue: entry %d: %.40q is no CVE", i, e.CVE)
		}
		added, err := time.Parse(time.DateOnly, e.Added)
		if err != nil || added.Before(dayZero) {
			return catalogue{}, fmt.Errorf("KEV catalogue: entry %d: dateAdded %.40q is no day", i, e.Added)
		}
		c.added[id] = DayOf(added)
	}
	c.edition.Entries = len(c.added)
	return c, nil
}
