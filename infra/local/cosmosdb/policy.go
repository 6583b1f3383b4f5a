package cosmosdb

import (
	"slices"
	"strings"

	"throughline/infra/local/cosmosdb/sql"
	"throughline/infra/local/cosmosdb/value"
)

// hasComposite reports whether a composite index of the container serves the order: the same paths in the same
// sequence, all in the order given or all the other way round.
func (k *container) hasComposite(order []sql.Order) bool {
	for _, index := range k.body.Get("indexingPolicy").Get("compositeIndexes").Items() {
		if serves(index.Items(), order) {
			return true
		}
	}
	return false
}

func serves(index []value.Value, order []sql.Order) bool {
	if len(index) != len(order) {
		return false
	}
	same, turned := true, true
	for i, part := range index {
		path, ok := parsePath(part.Get("path").Text())
		if !ok || !slices.Equal(path, order[i].Path) {
			return false
		}
		descending := strings.EqualFold(part.Get("order").Text(), "descending")
		same = same && descending == order[i].Descending
		turned = turned && descending != order[i].Descending
	}
	return same || turned
}

// sortable tells whether a document with these sort values appears in the order: without the property it does
// only where the indexing policy names that very path, or a composite index holds it.
func (k *container) sortable(order []sql.Order, keys []value.Value) bool {
	if len(order) > 1 {
		return true
	}
	return keys[0].Kind() != value.Undefined || k.includes(order[0].Path)
}

func (k *container) includes(path []string) bool {
	for _, p := range k.body.Get("indexingPolicy").Get("includedPaths").Items() {
		text, ok := strings.CutSuffix(p.Get("path").Text(), "/?")
		if !ok {
			continue
		}
		if steps, ok := parsePath(text); ok && slices.Equal(steps, path) {
			return true
		}
	}
	return false
}
