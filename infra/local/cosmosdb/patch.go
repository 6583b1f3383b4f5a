package cosmosdb

import (
	"math"
	"strconv"
	"strings"

	"throughline/infra/local/cosmosdb/sql"
	"throughline/infra/local/cosmosdb/value"
)

// maxPatch is the number of operations that one patch may hold.
const maxPatch = 10

type patch struct {
	condition  *sql.Query
	operations []patchOperation
}

type patchOperation struct {
	op    string
	path  []string
	from  []string
	value value.Value
	text  string // the path as it was sent
}

func parsePatch(text string, parsed *statements) (*patch, *failure) {
	body, err := value.Parse(text)
	if err != nil || body.Kind() != value.Object {
		return nil, badRequest("The patch cannot be read: it is no JSON object.")
	}
	return readPatch(body, parsed)
}

func readPatch(body value.Value, parsed *statements) (*patch, *failure) {
	p := &patch{}
	if c := body.Get("condition"); c.Kind() != value.Undefined {
		statement, err := parsed.condition(c.Text())
		if err != nil {
			return nil, badRequest("The condition of the patch is not valid: %v", err)
		}
		if p.condition, err = statement.Bind(nil); err != nil {
			return nil, badRequest("The condition of the patch is not valid: %v", err)
		}
	}
	list := body.Get("operations").Items()
	if len(list) == 0 || len(list) > maxPatch {
		return nil, badRequest("A patch holds 1 to %d operations.", maxPatch)
	}
	for _, item := range list {
		o, fail := readPatchOperation(item)
		if fail != nil {
			return nil, fail
		}
		p.operations = append(p.operations, o)
	}
	return p, nil
}

func readPatchOperation(item value.Value) (patchOperation, *failure) {
	o := patchOperation{op: item.Get("op").Text(), value: item.Get("value"), text: item.Get("path").Text()}
	var ok bool
	if o.path, ok = pointer(o.text); !ok {
		return o, badRequest("The path '%s' of the patch is not valid.", clip(o.text))
	}
	switch o.op {
	case "add", "set", "replace":
		if o.value.Kind() == value.Undefined {
			return o, badRequest("The patch operation %s %s has no value.", o.op, clip(o.text))
		}
	case "incr":
		if o.value.Kind() != value.Number {
			return o, badRequest("The patch operation incr %s needs a number.", clip(o.text))
		}
	case "move":
		if o.from, ok = pointer(item.Get("from").Text()); !ok {
			return o, badRequest("The patch operation move %s needs a from path.", clip(o.text))
		}
	case "remove":
	default:
		return o, badRequest("The patch operation '%s' is not known.", clip(o.op))
	}
	switch o.path[0] {
	case "id", "_rid", "_self", "_etag", "_ts", "_attachments":
		return o, badRequest("The path '%s' cannot be patched.", clip(o.text))
	}
	return o, nil
}

// pointer reads a JSON pointer of at least one step.
func pointer(path string) ([]string, bool) {
	if len(path) < 2 || path[0] != '/' {
		return nil, false
	}
	steps := strings.Split(path[1:], "/")
	for i, s := range steps {
		steps[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return steps, true
}

// check evaluates the condition.
func (p *patch) check(doc value.Value) *failure {
	if p.condition != nil && !p.condition.Matches(doc) {
		return preconditionFailed()
	}
	return nil
}

// apply carries out all operations or, when one cannot be, none.
func (p *patch) apply(doc value.Value) (value.Value, *failure) {
	for i, o := range p.operations {
		changed, ok := o.apply(doc)
		if !ok {
			return doc, badRequest("For Operation(%d): the patch operation %s cannot be applied at path '%s'.", i+1, o.op, clip(o.text))
		}
		doc = changed
	}
	return doc, nil
}

func (o patchOperation) apply(doc value.Value) (value.Value, bool) {
	if o.op == "move" {
		moved := follow(doc, o.from)
		if moved.Kind() == value.Undefined {
			return doc, false
		}
		doc, ok := edit(doc, o.from, patchOperation{op: "remove"})
		if !ok {
			return doc, false
		}
		return edit(doc, o.path, patchOperation{op: "add", value: moved})
	}
	return edit(doc, o.path, o)
}

func follow(v value.Value, path []string) value.Value {
	for _, s := range path {
		if v.Kind() == value.Array {
			n, ok := place(s, len(v.Items()))
			if !ok {
				return value.Value{}
			}
			v = v.At(n)
			continue
		}
		v = v.Get(s)
	}
	return v
}

// edit carries out o at the path inside v. The way to the path must exist.
func edit(v value.Value, path []string, o patchOperation) (value.Value, bool) {
	step := path[0]
	switch v.Kind() {
	case value.Object:
		old := v.Get(step)
		if len(path) > 1 {
			changed, ok := edit(old, path[1:], o)
			return v.With(step, changed), ok
		}
		changed, ok := o.replacement(old)
		return v.With(step, changed), ok
	case value.Array:
		return editArray(v, step, path[1:], o)
	}
	return v, false
}

// replacement is the value that takes the place of old in an object.
func (o patchOperation) replacement(old value.Value) (value.Value, bool) {
	exists := old.Kind() != value.Undefined
	switch o.op {
	case "add", "set":
		return o.value, true
	case "replace":
		return o.value, exists
	case "remove":
		return value.Value{}, exists
	}
	if !exists {
		return o.value, true
	}
	if old.Kind() != value.Number {
		return old, false
	}
	sum := old.Float() + o.value.Float()
	return value.OfNumber(sum), !math.IsInf(sum, 0)
}

// editArray works at an index; `-` and the length stand for the end. add inserts, the others replace.
func editArray(v value.Value, step string, rest []string, o patchOperation) (value.Value, bool) {
	items := v.Items()
	end := step == "-" || step == strconv.Itoa(len(items))
	if len(rest) == 0 && end && (o.op == "add" || o.op == "set") {
		return value.OfArray(append(append([]value.Value{}, items...), o.value)), true
	}
	n, ok := place(step, len(items))
	if !ok {
		return v, false
	}
	changed := append([]value.Value{}, items[:n]...)
	switch {
	case len(rest) > 0:
		inner, ok := edit(items[n], rest, o)
		return value.OfArray(append(append(changed, inner), items[n+1:]...)), ok
	case o.op == "add":
		return value.OfArray(append(append(changed, o.value), items[n:]...)), true
	case o.op == "remove":
		return value.OfArray(append(changed, items[n+1:]...)), true
	}
	replaced, ok := o.replacement(items[n])
	return value.OfArray(append(append(changed, replaced), items[n+1:]...)), ok
}

// place is an index below length.
func place(step string, length int) (int, bool) {
	n, err := strconv.Atoi(step)
	return n, err == nil && n >= 0 && n < length && strconv.Itoa(n) == step
}
