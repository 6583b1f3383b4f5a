package value

import "strings"

// Lazy is an object over text, which must be compact JSON that Append has written: nothing is checked again. Get looks
// for one property and reads only that, which is what most queries need of a document.
func Lazy(text string) Value { return Value{kind: Object, lazy: true, text: text} }

// read turns a lazy object into a plain one.
func (v Value) read() Value {
	if !v.lazy {
		return v
	}
	plain, err := Parse(v.text)
	if err != nil {
		return Value{kind: Object}
	}
	return plain
}

// find reads the property name of the object in text. The walk trusts the text but never leaves it.
func find(text, name string) Value {
	for at := 1; at < len(text) && text[at] == '"'; {
		end := skipString(text, at)
		if end >= len(text) {
			return Value{}
		}
		hit := sameName(text[at:end], name)
		at = end + 1
		end = skip(text, at)
		if hit {
			return one(text[at:end])
		}
		at = end + 1
	}
	return Value{}
}

// sameName compares a string literal with a name.
func sameName(literal, name string) bool {
	inner := literal[1 : len(literal)-1]
	if strings.IndexByte(inner, '\\') < 0 {
		return inner == name
	}
	v, err := Parse(literal)
	return err == nil && v.text == name
}

func one(text string) Value {
	if text != "" && text[0] == '{' {
		return Lazy(text)
	}
	v, err := Parse(text)
	if err != nil {
		return Value{}
	}
	return v
}

// skip is where the value that begins at at ends.
func skip(text string, at int) int {
	for depth := 0; at < len(text); at++ {
		switch text[at] {
		case '"':
			at = skipString(text, at) - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth < 0 {
				return at
			}
			if depth == 0 {
				return at + 1
			}
		case ',':
			if depth == 0 {
				return at
			}
		}
	}
	return len(text)
}

// skipString is where the string literal that begins at at ends.
func skipString(text string, at int) int {
	for at++; at < len(text); {
		n := strings.IndexByte(text[at:], '"')
		if n < 0 {
			return len(text)
		}
		slashes := 0
		for i := at + n - 1; i >= at && text[i] == '\\'; i-- {
			slashes++
		}
		at += n + 1
		if slashes%2 == 0 {
			return at
		}
	}
	return len(text)
}
