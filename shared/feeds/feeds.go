// Package feeds reads the three public feeds that the rule asks: the KEV catalogue and Vulnrichment of CISA, and EPSS of
// FIRST. Each is read in its published form, checked, kept in the state container, and swapped as a whole.
//
// A feed that is corrupt, cut short, empty, or ten times another size than the one in force changes nothing: the last
// good edition stays, with an alarm beside it. With a folder instead of addresses nothing is asked of any network. The
// package decides nothing; it tells facts, with the edition that they come from.
package feeds

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Feed names one of the three.
type Feed string

// The feeds.
const (
	KEV          Feed = "kev"
	EPSS         Feed = "epss"
	Vulnrichment Feed = "vulnrichment"
)

// All lists the feeds in the order in which they are read.
var All = [...]Feed{KEV, EPSS, Vulnrichment}

// CVE is a CVE identifier in one number: the year above, the number below.
type CVE uint64

// ParseCVE reads CVE-2021-44228; false for anything else.
func ParseCVE(s string) (CVE, bool) {
	rest, found := strings.CutPrefix(s, "CVE-")
	year, number, cut := strings.Cut(rest, "-")
	if !found || !cut || len(year) != 4 || len(number) < 4 || len(number) > 9 {
		return 0, false
	}
	y, errY := strconv.ParseUint(year, 10, 16)
	n, errN := strconv.ParseUint(number, 10, 32)
	if errY != nil || errN != nil || !digits(year) || !digits(number) {
		return 0, false
	}
	return CVE(y<<32 | n), true
}

// digits refuses the signs and underscores that a number may have elsewhere.
func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// String is the identifier as it is published; a number has four digits or more.
func (c CVE) String() string { return fmt.Sprintf("CVE-%04d-%04d", uint64(c)>>32, uint32(c)) }

// Day is a calendar day, UTC, counted from 2020-01-01; EPSS and KEV are younger.
type Day int

var dayZero = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// DayOf is the day of a time.
func DayOf(t time.Time) Day { return Day(t.UTC().Sub(dayZero) / (24 * time.Hour)) }

// Time is the beginning of the day.
func (d Day) Time() time.Time { return dayZero.AddDate(0, 0, int(d)) }

// Facts are what the feeds say of one CVE. Of a feed that was never read nothing is said: its Known is false.
type Facts struct {
	KEV struct {
		Known, Listed bool
		Added         time.Time
	}
	EPSS struct {
		Known   bool    // the feed has a value
		Highest float64 // of the last days
	}
	SSVC SSVC
}

// SSVC are the decision points that CISA publishes; empty where it published none.
type SSVC struct {
	Exploitation string // none, poc, active
	Automatable  string // yes, no
	Impact       string // partial, total
}

// Edition is which edition of a feed is in force.
type Edition struct {
	Version string    `json:"version,omitempty"` // as the feed's own people write it
	Date    time.Time `json:"date,omitzero"`     // the day it is of
	Model   string    `json:"model,omitempty"`   // of EPSS: v4
	Entries int       `json:"entries,omitempty"`
}
