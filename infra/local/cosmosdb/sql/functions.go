package sql

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"throughline/infra/local/cosmosdb/value"
)

// function is a built-in: how many arguments it takes and what it gives. Wrong kinds give undefined.
type function struct {
	least, most int
	of          func(args []value.Value) value.Value
}

type call struct {
	function function
	args     []expr
}

func (c *call) eval(r *row) value.Value {
	args := make([]value.Value, len(c.args), max(len(c.args), 4))
	for i, e := range c.args {
		args[i] = e.eval(r)
	}
	return c.function.of(args)
}
func (c *call) parts() []expr { return c.args }

// many stands for any number of arguments.
const many = 1 << 20

func newCall(name string, args []expr) (expr, error) {
	upper := strings.ToUpper(name)
	switch upper {
	case "COUNT", "SUM", "AVG", "MIN", "MAX":
		return newAggregate(upper, args)
	}
	f, ok := functions[upper]
	if !ok {
		return nil, fmt.Errorf("%w: '%s' is not a recognized built-in function name", ErrSyntax, clip(name))
	}
	if len(args) < f.least || len(args) > f.most {
		return nil, fmt.Errorf("%w: The %s function does not take %d argument(s)", ErrSyntax, upper, len(args))
	}
	return &call{f, args}, nil
}

var functions = map[string]function{
	"STARTSWITH":   {2, 3, textTest(strings.HasPrefix)},
	"ENDSWITH":     {2, 3, textTest(strings.HasSuffix)},
	"CONTAINS":     {2, 3, textTest(strings.Contains)},
	"STRINGEQUALS": {2, 3, textTest(func(a, b string) bool { return a == b })},
	"REGEXMATCH":   {2, 3, regexMatch},
	"INDEX_OF":     {2, 3, indexOf},
	"LEFT":         {2, 2, func(a []value.Value) value.Value { return substring(a[0], value.OfNumber(0), a[1]) }},
	"RIGHT":        {2, 2, right},
	"SUBSTRING":    {3, 3, func(a []value.Value) value.Value { return substring(a[0], a[1], a[2]) }},
	"LENGTH":       {1, 1, length},
	"LOWER":        {1, 1, textMap(strings.ToLower)},
	"UPPER":        {1, 1, textMap(strings.ToUpper)},
	"TRIM":         {1, 1, textMap(strings.TrimSpace)},
	"LTRIM":        {1, 1, textMap(func(s string) string { return strings.TrimLeft(s, " \t\r\n") })},
	"RTRIM":        {1, 1, textMap(func(s string) string { return strings.TrimRight(s, " \t\r\n") })},
	"REVERSE":      {1, 1, textMap(reverse)},
	"REPLACE":      {3, 3, replace},
	"REPLICATE":    {2, 2, replicate},
	"CONCAT":       {2, many, concat},
	"STRINGSPLIT":  {2, 2, stringSplit},
	"STRINGJOIN":   {2, 2, stringJoin},
	"TOSTRING":     {1, 1, toString},

	"STRINGTONUMBER":  {1, 1, parseAs(value.Number)},
	"STRINGTOBOOLEAN": {1, 1, parseAs(value.Bool)},
	"STRINGTONULL":    {1, 1, parseAs(value.Null)},
	"STRINGTOARRAY":   {1, 1, parseAs(value.Array)},
	"STRINGTOOBJECT":  {1, 1, parseAs(value.Object)},

	"ARRAY_CONTAINS":     {2, 3, arrayContains},
	"ARRAY_CONTAINS_ANY": {2, many, arrayContainsAny},
	"ARRAY_CONTAINS_ALL": {2, many, arrayContainsAll},
	"ARRAY_LENGTH":       {1, 1, arrayLength},
	"ARRAY_SLICE":        {2, 3, arraySlice},
	"ARRAY_CONCAT":       {2, many, arrayConcat},
	"SETINTERSECT":       {2, 2, setIntersect},
	"SETUNION":           {2, 2, setUnion},

	"IS_ARRAY":         {1, 1, isKind(value.Array)},
	"IS_BOOL":          {1, 1, isKind(value.Bool)},
	"IS_NULL":          {1, 1, isKind(value.Null)},
	"IS_NUMBER":        {1, 1, isKind(value.Number)},
	"IS_OBJECT":        {1, 1, isKind(value.Object)},
	"IS_STRING":        {1, 1, isKind(value.String)},
	"IS_FINITE_NUMBER": {1, 1, isKind(value.Number)},
	"IS_DEFINED":       {1, 1, func(a []value.Value) value.Value { return value.OfBool(a[0].Kind() != value.Undefined) }},
	"IS_PRIMITIVE": {1, 1, func(a []value.Value) value.Value {
		return value.OfBool(a[0].Kind() > value.Undefined && a[0].Kind() < value.Array)
	}},
	"IS_INTEGER": {1, 1, func(a []value.Value) value.Value {
		return value.OfBool(a[0].Kind() == value.Number && a[0].Float() == math.Trunc(a[0].Float()))
	}},
	"IIF": {3, 3, func(a []value.Value) value.Value {
		if a[0].IsTrue() {
			return a[1]
		}
		return a[2]
	}},

	"ABS":     {1, 1, numberMap(math.Abs)},
	"CEILING": {1, 1, numberMap(math.Ceil)},
	"FLOOR":   {1, 1, numberMap(math.Floor)},
	"ROUND":   {1, 2, round},
	"TRUNC":   {1, 1, numberMap(math.Trunc)},
	"SIGN":    {1, 1, numberMap(sign)},
	"SQRT":    {1, 1, numberMap(math.Sqrt)},
	"SQUARE":  {1, 1, numberMap(func(f float64) float64 { return f * f })},
	"EXP":     {1, 1, numberMap(math.Exp)},
	"LOG":     {1, 2, logarithm},
	"LOG10":   {1, 1, numberMap(math.Log10)},
	"POWER":   {2, 2, power},
	"PI":      {0, 0, func([]value.Value) value.Value { return value.OfNumber(math.Pi) }},
	"SIN":     {1, 1, numberMap(math.Sin)},
	"COS":     {1, 1, numberMap(math.Cos)},
	"TAN":     {1, 1, numberMap(math.Tan)},

	"ACOS":      {1, 1, numberMap(math.Acos)},
	"ASIN":      {1, 1, numberMap(math.Asin)},
	"ATAN":      {1, 1, numberMap(math.Atan)},
	"ATN2":      {2, 2, numbersMap(math.Atan2)},
	"COT":       {1, 1, numberMap(func(f float64) float64 { return 1 / math.Tan(f) })},
	"DEGREES":   {1, 1, numberMap(func(f float64) float64 { return f * 180 / math.Pi })},
	"RADIANS":   {1, 1, numberMap(func(f float64) float64 { return f * math.Pi / 180 })},
	"RAND":      {0, 0, func([]value.Value) value.Value { return value.OfNumber(rand.Float64()) }},
	"NUMBERBIN": {1, 2, numberBin},

	"INTADD":           {2, 2, integers(func(a, b int64) int64 { return a + b })},
	"INTSUB":           {2, 2, integers(func(a, b int64) int64 { return a - b })},
	"INTMUL":           {2, 2, integers(func(a, b int64) int64 { return a * b })},
	"INTDIV":           {2, 2, quotient(func(a, b int64) int64 { return a / b })},
	"INTMOD":           {2, 2, quotient(func(a, b int64) int64 { return a % b })},
	"INTBITAND":        {2, 2, integers(func(a, b int64) int64 { return a & b })},
	"INTBITOR":         {2, 2, integers(func(a, b int64) int64 { return a | b })},
	"INTBITXOR":        {2, 2, integers(func(a, b int64) int64 { return a ^ b })},
	"INTBITLEFTSHIFT":  {2, 2, integers(func(a, b int64) int64 { return a << uint64(b) })},
	"INTBITRIGHTSHIFT": {2, 2, integers(func(a, b int64) int64 { return a >> uint64(b) })},

	"CHOOSE":        {2, many, choose},
	"OBJECTTOARRAY": {1, 3, objectToArray},
	"LASTINDEXOF":   {2, 2, lastIndexOf},

	"GETCURRENTDATETIME":  {0, 0, func([]value.Value) value.Value { return ofTime(time.Now()) }},
	"GETCURRENTTIMESTAMP": {0, 0, current(time.Millisecond)},
	"GETCURRENTTICKS":     {0, 0, current(tick)},
	"DATETIMEADD":         {3, 3, dateTimeAdd},
	"DATETIMEDIFF":        {3, 3, dateTimeDiff},
	"DATETIMEPART":        {2, 2, dateTimePart},
	"DATETIMEFROMPARTS":   {3, 7, dateTimeFromParts},
	"DATETIMETOTICKS":     {1, 1, dateTimeTo(tick)},
	"DATETIMETOTIMESTAMP": {1, 1, dateTimeTo(time.Millisecond)},
	"TICKSTODATETIME":     {1, 1, toDateTime(tick)},
	"TIMESTAMPTODATETIME": {1, 1, toDateTime(time.Millisecond)},

	"FULLTEXTCONTAINS":    {2, 2, fullTextContainsAll},
	"FULLTEXTCONTAINSALL": {2, many, fullTextContainsAll},
	"FULLTEXTCONTAINSANY": {2, many, fullTextContainsAny},
}

func isKind(k value.Kind) func([]value.Value) value.Value {
	return func(a []value.Value) value.Value { return value.OfBool(a[0].Kind() == k) }
}

func numberMap(f func(float64) float64) func([]value.Value) value.Value {
	return func(a []value.Value) value.Value {
		if a[0].Kind() != value.Number {
			return value.Value{}
		}
		return value.OfNumber(f(a[0].Float()))
	}
}

func sign(f float64) float64 {
	switch {
	case f > 0:
		return 1
	case f < 0:
		return -1
	}
	return 0
}

// numbers reports whether all arguments are numbers.
func numbers(a []value.Value) bool {
	for _, v := range a {
		if v.Kind() != value.Number {
			return false
		}
	}
	return true
}

func round(a []value.Value) value.Value {
	if !numbers(a) {
		return value.Value{}
	}
	scale := 1.0
	if len(a) == 2 {
		scale = math.Pow(10, math.Trunc(a[1].Float()))
	}
	return value.OfNumber(math.Round(a[0].Float()*scale) / scale)
}

func logarithm(a []value.Value) value.Value {
	switch {
	case !numbers(a):
		return value.Value{}
	case len(a) == 2:
		return value.OfNumber(math.Log(a[0].Float()) / math.Log(a[1].Float()))
	}
	return value.OfNumber(math.Log(a[0].Float()))
}

func power(a []value.Value) value.Value {
	if !numbers(a) {
		return value.Value{}
	}
	return value.OfNumber(math.Pow(a[0].Float(), a[1].Float()))
}
