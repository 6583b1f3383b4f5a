package cosmosdb

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"throughline/infra/local/cosmosdb/store"
	"throughline/infra/local/cosmosdb/value"
)

const (
	maxBatch      = 100
	maxBatchBytes = 2 << 20
)

// errBatchFailed ends the transaction of a batch without a trace.
var errBatchFailed = errors.New("batch failed")

// batch carries out all operations of the body in one partition, or none.
func (s *Server) batch(q *request) (*reply, error) {
	partition, fail := q.partition()
	if fail != nil {
		return nil, fail
	}
	text, err := q.text()
	if err != nil {
		return nil, err
	}
	if len(text) > maxBatchBytes {
		return nil, tooLarge()
	}
	changes, early := s.readBatch(q, text, partition)
	if early.fail != nil && changes == nil {
		return nil, early.fail
	}
	results := make([]outcome, len(changes))
	failed, why := early.at, early.fail
	err = s.store.Write(q.Context(), func(t *store.Tx) error {
		for i, c := range changes {
			if early.fail != nil && i == early.at {
				return errBatchFailed
			}
			var err error
			if results[i], err = c.apply(t, time.Now()); err != nil {
				failed = i
				return errors.Join(errBatchFailed, err)
			}
		}
		return nil
	})
	if errors.Is(err, errBatchFailed) {
		if !errors.As(err, &why) && why == nil {
			return nil, err
		}
		return failedBatch(changes, failed, why), nil
	}
	if err != nil {
		return nil, err
	}
	return doneBatch(changes, results, q.Header.Get("Prefer") != "return=minimal"), nil
}

// earlyFailure is an operation that cannot even be read: the batch fails there.
type earlyFailure struct {
	at   int
	fail *failure
}

// readBatch reads the operations. A body that is no batch gives no changes and a failure.
func (s *Server) readBatch(q *request, text, partition string) ([]*change, earlyFailure) {
	body, err := value.Parse(text)
	if err != nil || body.Kind() != value.Array || len(body.Items()) == 0 {
		return nil, earlyFailure{fail: badRequest("The batch is no JSON array of operations.")}
	}
	if len(body.Items()) > maxBatch {
		return nil, earlyFailure{fail: badRequest("A batch holds at most %d operations.", maxBatch)}
	}
	var changes []*change
	var early earlyFailure
	for i, item := range body.Items() {
		c := &change{op: item.Get("operationType").Text(), ifMatch: item.Get("ifMatch").Text(), container: q.container}
		c.key = store.Key{Container: q.container.number, Partition: partition, ID: item.Get("id").Text()}
		changes = append(changes, c)
		if fail := c.readItem(item.Get("resourceBody"), s.parsed); fail != nil && early.fail == nil {
			early = earlyFailure{at: i, fail: fail}
		}
	}
	return changes, early
}

func (c *change) readItem(body value.Value, parsed *statements) (fail *failure) {
	switch c.op {
	case opCreate, opUpsert, opReplace:
		return c.take(body, 512)
	case opPatch:
		c.patch, fail = readPatch(body, parsed)
		return fail
	case opDelete, opRead:
		return nil
	}
	return badRequest("The operation type '%s' is not known.", clip(c.op))
}

func failedBatch(changes []*change, failed int, why *failure) *reply {
	b := []byte{'['}
	for i := range changes {
		status, charge := http.StatusFailedDependency, 0.0
		if i == failed {
			status, charge = why.status, refusedWriteCharge
		}
		b = appendResult(b, i, status, charge)
		if i == failed {
			if why.substatus != 0 {
				b = strconv.AppendInt(append(b, `,"subStatusCode":`...), int64(why.substatus), 10)
			}
			b = value.AppendString(append(b, `,"message":`...), why.message)
		}
		b = append(b, '}')
	}
	return &reply{status: http.StatusMultiStatus, body: string(append(b, ']')), charge: refusedWriteCharge}
}

// appendResult begins one result; the caller closes it.
func appendResult(b []byte, i, status int, charge float64) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	b = strconv.AppendInt(append(b, `{"statusCode":`...), int64(status), 10)
	return strconv.AppendFloat(append(b, `,"requestCharge":`...), charge, 'f', 2, 64)
}

// doneBatch shows the bodies when the client wants them or when one operation reads.
func doneBatch(changes []*change, results []outcome, bodies bool) *reply {
	a := &reply{status: http.StatusOK}
	for _, c := range changes {
		bodies = bodies || c.op == opRead
	}
	b := []byte{'['}
	for i, o := range results {
		b = appendResult(b, i, o.status, o.charge)
		if o.etag != "" {
			b = value.AppendString(append(b, `,"eTag":`...), o.etag)
		}
		if bodies && o.body != "" {
			b = append(append(b, `,"resourceBody":`...), o.body...)
		}
		b = append(b, '}')
		a.charge += o.charge
		a.lsn = max(a.lsn, o.lsn)
		if changes[i].op != opRead {
			a.written++
		}
	}
	a.body = string(append(b, ']'))
	return a
}
