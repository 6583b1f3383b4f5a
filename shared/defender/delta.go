package defender

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// deltaSpan is how far a delta without a time looks back.
const deltaSpan = time.Hour

// delta reads what Defender says of rows whose status moved since the time in the cursor, `<RFC 3339> <cursor of a list>`.
// It retires nothing: what is gone has no row.
func (r *reading) delta(ctx context.Context, cursor string) error {
	text, rest, _ := strings.Cut(cursor, " ")
	since, err := time.Parse(time.RFC3339, text)
	if err != nil {
		since, rest = r.at.Add(-deltaSpan), ""
	}
	r.scopeID = Source + " findings" // the list retires it, not the delta
	if err := r.paged(ctx, changedQuery(since), rest, r.findings); err != nil {
		return err
	}
	r.out.Seen = nil
	if r.out.Next != "" {
		r.out.Next = since.UTC().Format(time.RFC3339) + " " + r.out.Next
	}
	return nil
}

// changedQuery is the query of the findings, of those whose status moved since a time.
func changedQuery(since time.Time) string {
	moved := fmt.Sprintf("| where todatetime(properties.status.statusChangeDate) >= datetime(%s)\n", since.UTC().Format(time.RFC3339))
	return strings.Replace(findingQuery, "| project ", moved+"| project ", 1)
}
