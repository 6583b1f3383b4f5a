package cosmosdb

import (
	"strings"

	"throughline/infra/local/cosmosdb/value"
)

// newContainer reads what the server must know from the body of a container resource.
func newContainer(db string, body value.Value) (*container, *failure) {
	k := &container{database: db, id: body.Get("id").Text(), rid: body.Get("_rid").Text(), self: body.Get("_self").Text(), body: body, state: &containerState{}}
	if rid := decodeRID(k.rid); len(rid) == 8 {
		k.number = int64(rid[4]&0x7f)<<24 | int64(rid[5])<<16 | int64(rid[6])<<8 | int64(rid[7])
	}
	for _, p := range body.Get("partitionKey").Get("paths").Items() {
		path, ok := parsePath(p.Text())
		if !ok {
			return nil, badRequest("The partition key path '%s' is not valid.", p.Text())
		}
		k.paths = append(k.paths, path)
	}
	if len(k.paths) == 0 || len(k.paths) > 3 {
		return nil, badRequest("A container needs a partition key with one to three paths.")
	}
	for _, key := range body.Get("uniqueKeyPolicy").Get("uniqueKeys").Items() {
		var paths [][]string
		for _, p := range key.Get("paths").Items() {
			path, ok := parsePath(p.Text())
			if !ok {
				return nil, badRequest("The unique key path '%s' is not valid.", p.Text())
			}
			paths = append(paths, path)
		}
		k.uniques = append(k.uniques, paths)
	}
	if ttl := body.Get("defaultTtl"); ttl.Kind() == value.Number {
		if k.ttl = int64(ttl.Float()); k.ttl == 0 || k.ttl < -1 {
			return nil, badRequest("The defaultTtl must be -1 or positive.")
		}
	}
	return k, nil
}

// parsePath splits /a/b/"c d" into its steps.
func parsePath(path string) ([]string, bool) {
	if len(path) < 2 || path[0] != '/' {
		return nil, false
	}
	var steps []string
	for _, s := range strings.Split(path[1:], "/") {
		if len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"' {
			s = s[1 : len(s)-1]
		}
		if s == "" {
			return nil, false
		}
		steps = append(steps, s)
	}
	return steps, true
}

// at follows steps through objects.
func at(v value.Value, steps []string) value.Value {
	for _, s := range steps {
		v = v.Get(s)
	}
	return v
}

// withDefaults completes the body of a new container as the gateway does.
func withDefaults(body value.Value) value.Value {
	pk := body.Get("partitionKey")
	if pk.Get("kind").Kind() == value.Undefined {
		kind := "Hash"
		if len(pk.Get("paths").Items()) > 1 {
			kind = "MultiHash"
		}
		pk = pk.With("kind", value.OfString(kind))
	}
	if v := pk.Get("version"); v.Kind() != value.Number {
		pk = pk.With("version", value.OfNumber(2))
	}
	body = body.With("partitionKey", pk)
	policy := body.Get("indexingPolicy")
	if policy.Kind() != value.Object {
		policy = value.OfObject(nil, nil)
	}
	for _, d := range defaultPolicy.Names() {
		if policy.Get(d).Kind() == value.Undefined {
			policy = policy.With(d, defaultPolicy.Get(d))
		}
	}
	return body.With("indexingPolicy", policy)
}

// defaultPolicy is the indexing policy of a container that was created without one.
var defaultPolicy = value.OfObject(
	[]string{"indexingMode", "automatic", "includedPaths", "excludedPaths"},
	[]value.Value{
		value.OfString("consistent"), value.OfBool(true),
		value.OfArray([]value.Value{value.OfObject([]string{"path"}, []value.Value{value.OfString("/*")})}),
		value.OfArray([]value.Value{value.OfObject([]string{"path"}, []value.Value{value.OfString(`/"_etag"/?`)})}),
	})

// partitionOf is the encoded partition key that the document itself has.
func (k *container) partitionOf(doc value.Value) string {
	var values []value.Value
	for _, path := range k.paths {
		values = append(values, at(doc, path))
	}
	return encodePartition(values)
}

// encodePartition writes partition key values so that equal keys are equal texts and a prefix of the values is a prefix of
// the text: canonical JSON, each ended by U+001F.
func encodePartition(values []value.Value) string {
	var b []byte
	for _, v := range values {
		switch v.Kind() {
		case value.Number:
			b = value.AppendNumber(b, v.Float())
		case value.Undefined:
			b = append(b, "{}"...)
		default:
			b = v.Append(b)
		}
		b = append(b, '\x1f')
	}
	return string(b)
}

// maxPartitionKey is the limit of Cosmos DB for the values of a partition key.
const maxPartitionKey = 2048

// partitionHeader reads x-ms-documentdb-partitionkey: a JSON array of scalars, {} for undefined.
func partitionHeader(header string) ([]value.Value, *failure) {
	v, err := value.Parse(header)
	if err != nil || v.Kind() != value.Array {
		return nil, badRequest("Partition key %s is invalid.", clip(header))
	}
	if len(header) > maxPartitionKey {
		return nil, badRequest("The partition key is longer than %d bytes.", maxPartitionKey)
	}
	values := make([]value.Value, len(v.Items()))
	for i, item := range v.Items() {
		switch {
		case item.Kind() == value.Object && len(item.Names()) == 0:
		case item.Kind() < value.Array:
			values[i] = item
		default:
			return nil, badRequest("Partition key %s is invalid.", clip(header))
		}
	}
	return values, nil
}

func clip(s string) string {
	if len(s) > 100 {
		return s[:100]
	}
	return s
}
