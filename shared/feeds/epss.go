package feeds

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// scores is one day of EPSS: each value in hundred-thousandths, as precise as the file.
type scores struct {
	edition Edition
	day     Day
	values  map[CVE]uint32
}

// units are in one: the last digit of a published value.
const units = 100_000

// parseEPSS reads one daily file, epss_scores-<day>.csv.gz or the same without compression, to its end: a line of
// comment with model_version and score_date, the names of the columns, and a line for each CVE.
func parseEPSS(r io.Reader) (scores, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	if magic, err := b.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return scores{}, fmt.Errorf("EPSS: %w", err)
		}
		b = bufio.NewReaderSize(z, 64<<10)
	}
	s, err := readScores(b)
	if err != nil {
		return scores{}, fmt.Errorf("EPSS: %w", err)
	}
	return s, nil
}

func readScores(b *bufio.Reader) (scores, error) {
	s, err := readScoreHead(b)
	if err != nil {
		return s, err
	}
	for n := 3; ; n++ {
		line, err := b.ReadString('\n')
		if err != nil && err != io.EOF {
			return s, fmt.Errorf("line %d: %w", n, err)
		}
		whole := err == nil
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			// A last line without its end may have lost digits.
			if !whole {
				return s, fmt.Errorf("line %d: cut short", n)
			}
			if err := s.take(line); err != nil {
				return s, fmt.Errorf("line %d: %w", n, err)
			}
		}
		if !whole {
			break
		}
	}
	if len(s.values) == 0 {
		return s, fmt.Errorf("it is empty")
	}
	s.edition.Entries = len(s.values)
	return s, nil
}

func readScoreHead(b *bufio.Reader) (scores, error) {
	s := scores{values: map[CVE]uint32{}}
	comment, err := b.ReadString('\n')
	if err != nil {
		return s, fmt.Errorf("no first line: %w", err)
	}
	var model, date string
	for field := range strings.SplitSeq(strings.TrimSpace(strings.TrimPrefix(comment, "#")), ",") {
		switch key, value, _ := strings.Cut(field, ":"); key {
		case "model_version":
			model = value
		case "score_date":
			date = value
		}
	}
	at, err := scoreDate(date)
	if err != nil || model == "" || !strings.HasPrefix(comment, "#") {
		return s, fmt.Errorf("the first line %.80q has no model_version and score_date", comment)
	}
	columns, err := b.ReadString('\n')
	if err != nil || strings.TrimSpace(columns) != "cve,epss,percentile" {
		return s, fmt.Errorf("the columns are %.80q, want cve,epss,percentile", columns)
	}
	s.day = DayOf(at)
	s.edition = Edition{Date: s.day.Time(), Model: modelName(model)}
	s.edition.Version = s.edition.Date.Format(time.DateOnly) + "/" + s.edition.Model
	return s, nil
}

// scoreDate reads the day with or without a time; the offset has been written as +0000, too.
func scoreDate(s string) (at time.Time, err error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05-0700", time.DateOnly} {
		if at, err = time.Parse(layout, s); err == nil && at.After(dayZero) {
			return at, nil
		}
	}
	return at, fmt.Errorf("%.40q is no day", s)
}

// modelName gives a model the name that people and policies use: v2025.03.14 is the fourth.
func modelName(version string) string {
	switch {
	case strings.HasPrefix(version, "v2025."):
		return "v4"
	case strings.HasPrefix(version, "v2023."):
		return "v3"
	case strings.HasPrefix(version, "v2022."):
		return "v2"
	}
	return version
}

func (s *scores) take(line string) error {
	name, rest, _ := strings.Cut(line, ",")
	value, percentile, found := strings.Cut(rest, ",")
	id, ok := ParseCVE(name)
	if !ok || !found || percentile == "" {
		return fmt.Errorf("%.60q is not cve,epss,percentile", line)
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(v) || v < 0 || v > 1 {
		return fmt.Errorf("%.60q: the value is outside 0..1", line)
	}
	s.values[id] = uint32(math.Round(v * units))
	return nil
}

// peaks keeps for each CVE what its highest value of the window may become: values of falling height, oldest first. The
// first one is the highest; it leaves with its day.
type peaks map[CVE][]peak

type peak struct {
	day   Day
	value uint32
}

// add takes one day in and forgets what lies window days back. Days come in their order; a day that is not newer than
// those before changes nothing but what it raises.
func (p peaks) add(s scores, window int) {
	for id, list := range p {
		p[id] = expire(list, s.day, window)
		if len(p[id]) == 0 {
			delete(p, id)
		}
	}
	for id, v := range s.values {
		list := p[id]
		for len(list) > 0 && list[len(list)-1].value <= v {
			list = list[:len(list)-1]
		}
		p[id] = append(list, peak{s.day, v})
	}
}

func expire(list []peak, today Day, window int) []peak {
	for len(list) > 0 && list[0].day <= today-Day(window) {
		list = list[1:]
	}
	return list
}
