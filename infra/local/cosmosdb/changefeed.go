package cosmosdb

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"throughline/infra/local/cosmosdb/store"
	"throughline/infra/local/cosmosdb/value"
)

// changeFeed gives the latest version of what was written after the etag, in the order of the writes. Deletes do not appear.
func (s *Server) changeFeed(q *request) (*reply, error) {
	size, fail := pageSize(q)
	if fail != nil {
		return nil, fail
	}
	partition, exact, fail := q.feedPartition()
	if fail != nil {
		return nil, fail
	}
	last, err := s.store.LastChange(q.Context(), q.container.number)
	if err != nil {
		return nil, err
	}
	after, since, fail := feedStart(q, last)
	if fail != nil {
		return nil, fail
	}
	p, upTo, now := &page{}, after, time.Now()
	err = s.store.Walk(q.Context(), store.Range{Container: q.container.number, Now: now.Unix(), Changed: true, After: after}, func(d store.Document) bool {
		upTo = d.LSN
		wanted := d.Time >= since && (d.Partition == partition || !exact && strings.HasPrefix(d.Partition, partition))
		if wanted {
			p.add(withLSN(d))
		}
		return len(p.documents) < size && p.bytes < maxPageBytes
	})
	if err != nil {
		return nil, err
	}
	a := &reply{status: http.StatusNotModified}
	if len(p.documents) > 0 {
		a = documentsReply(q.container.rid, p.documents, p.bytes)
	}
	a.charge = queryCharge(len(p.documents), p.bytes)
	a.etag, a.lsn = `"`+strconv.FormatInt(upTo, 10)+`"`, upTo
	return a.set("x-ms-item-count", strconv.Itoa(len(p.documents))), nil
}

// feedPartition is the partition of the header, or a prefix of it; without a header every partition has the prefix.
func (q *request) feedPartition() (string, bool, *failure) {
	header := q.Header.Get("X-Ms-Documentdb-Partitionkey")
	if header == "" {
		return "", false, nil
	}
	values, fail := partitionHeader(header)
	if fail != nil || len(values) > len(q.container.paths) {
		return "", false, badRequest("Partition key %s is invalid.", clip(header))
	}
	return encodePartition(values), len(values) == len(q.container.paths), nil
}

// feedStart reads where to begin: after an LSN, at a time, now (*), or at the beginning.
func feedStart(q *request, last int64) (after, since int64, fail *failure) {
	if h := q.Header.Get("If-Modified-Since"); h != "" && q.Header.Get("If-None-Match") == "" {
		// The Go SDK writes UTC where HTTP wants GMT.
		t, err := http.ParseTime(strings.Replace(h, "UTC", "GMT", 1))
		if err != nil {
			return 0, 0, badRequest("If-Modified-Since is not a date.")
		}
		return 0, t.Unix(), nil
	}
	switch h := q.Header.Get("If-None-Match"); h {
	case "":
		return 0, 0, nil
	case "*":
		return last, 0, nil
	default:
		n, err := strconv.ParseInt(strings.Trim(h, `"`), 10, 64)
		if err != nil || n < 0 {
			return 0, 0, badRequest("If-None-Match is no etag of this change feed.")
		}
		return n, 0, nil
	}
}

func withLSN(d store.Document) string {
	b := append(make([]byte, 0, len(d.Body)+32), d.Body[:len(d.Body)-1]...)
	b = append(b, `,"_lsn":`...)
	return string(append(strconv.AppendInt(b, d.LSN, 10), '}'))
}

// listDocuments is the plain feed of a container or partition: a query without a filter.
func (s *Server) listDocuments(q *request) (*reply, error) {
	statement, err := s.parsed.query("SELECT * FROM c")
	if err != nil {
		return nil, err
	}
	bound, err := statement.Bind(nil)
	if err != nil {
		return nil, err
	}
	q.Header.Set("X-Ms-Documentdb-Query-Enablecrosspartition", "true")
	return s.search(q, bound)
}

// ranges answers the partition key ranges: one, online, for all keys.
func (s *Server) ranges(q *request) (*reply, error) {
	if !q.feed || q.Method != http.MethodGet {
		return nil, methodNotAllowed()
	}
	etag := `"` + q.container.rid + `-1"`
	if q.Header.Get("If-None-Match") == etag {
		return &reply{status: http.StatusNotModified, charge: metadataCharge, etag: etag}, nil
	}
	empty := value.OfArray(nil)
	one := value.OfObject(
		[]string{"id", "minInclusive", "maxExclusive", "ridPrefix", "throughputFraction", "status", "parents", "ownedArchivalPKRangeIds", "lsn"},
		[]value.Value{value.OfString("0"), value.OfString(""), value.OfString("FF"), value.OfNumber(0), value.OfNumber(1), value.OfString("online"), empty, empty, value.OfNumber(1)})
	rid := documentRID(q.container.rid, 1)
	self := q.container.body.Get("_self").Text() + "pkranges/" + rid + "/"
	one = withSystem(one, rid, self, etag, time.Unix(int64(q.container.body.Get("_ts").Float()), 0))
	a := list("PartitionKeyRanges", q.container.rid, []value.Value{one})
	a.etag = etag
	return a, nil
}
