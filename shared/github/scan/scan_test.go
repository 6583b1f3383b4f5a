package scan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// tree reads any value through the cursor into what encoding/json would make of it.
func tree(c *Cursor) any {
	switch {
	case c.IsObject():
		object := map[string]any{}
		for c.Object(); c.Field(); {
			key := string(c.Key())
			object[key] = tree(c)
		}
		return object
	case c.peek() == '[':
		array := []any{}
		for c.Array(); c.Element(); {
			array = append(array, tree(c))
		}
		return array
	case c.IsString():
		return c.String()
	case c.peek() == 't' || c.peek() == 'f':
		return c.Bool()
	case c.IsNull():
		c.Skip()
		return nil
	}
	return json.Number(c.Number())
}

var texts = []string{
	`{}`, `[]`, `""`, `null`, `true`, `false`, `0`, `-0`, `-1.5e+10`, `1E5`, ` { "a" : [ 1 , {"b":null} ] } `,
	`{"a":{"b":{"c":[[],[[]],{}]}}}`, `"\u0041\n\ud83d\ude00\ud800x\udc00\ud800\u0041"`, `{"\u0061":1,"a":2}`, `"/\/\\\""`,
	`01`, `1.`, `.5`, `+1`, `-`, `1e`, `1e+`, `tru`, `truex`, `nul`, `{`, `[`, `"`, `"\`, `"\u12`, `"\x"`, `{"a"}`, `{"a":}`,
	`{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `[1 2]`, `{"a":1 "b":2}`, `[}`, `{]`, `[1}`, `{"a":1]`, `{1:2}`, `{} {}`, `1 2`, ``, ` `,
	"\"\x01\"", "\"\x7f\"", "\"\xff\"", "\"a\tb\"", "\"12345678\x1f\"", `"12345678\"90123456"`, "[1]\n\r\t ", "[\v1]", "\ufeff{}",
	`"é漢字😀é漢字😀"`, `[123456789012345678901234567890,1e999]`, `{"a":1}}`, `{"a":"b`, `[[[[`, `nan`, `"\ud83d\ude0"`,
}

func FuzzCheck(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := utf8.Valid(text) && json.Valid(text)
		if deep(text) > maxDepth {
			want = false
		}
		if err := Check(text); (err == nil) != want {
			t.Fatalf("Check(%q) = %v, encoding/json says valid: %v", text, err, want)
		}
		if !want {
			c := New(text)
			tree(c)
			if c.End() == nil {
				t.Fatalf("walking %q ended without an error", text)
			}
			return
		}
		agree(t, text)
	})
}

func agree(t *testing.T, text []byte) {
	t.Helper()
	var want any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&want); err != nil {
		t.Fatalf("encoding/json: %v", err)
	}
	c := New(text)
	got := tree(c)
	if err := c.End(); err != nil {
		t.Fatalf("walking %q: %v", text, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q reads differently (-encoding/json +scan):\n%s", text, diff)
	}
}

// deep is the nesting of a valid text.
func deep(text []byte) int {
	depth, most, inString, escaped := 0, 0, false, false
	for _, b := range text {
		switch {
		case escaped:
			escaped = false
		case inString && b == '\\':
			escaped = true
		case b == '"':
			inString = !inString
		case !inString && (b == '{' || b == '['):
			depth++
			most = max(most, depth)
		case !inString && (b == '}' || b == ']'):
			depth--
		}
	}
	return most
}

func TestCursor(t *testing.T) {
	t.Run("what is not asked for is skipped and a wrong type reads as absent", func(t *testing.T) {
		c := New([]byte(`{"skip":{"x":[1,{"y":2}]},"n":7,"s":8,"o":[1],"a":{"k":1},"b":"yes","last":"é\n"}`))
		var n int64
		var s, last string
		fields, elements := 0, 0
		var b bool
		for c.Object(); c.Field(); {
			switch string(c.Key()) {
			case "n":
				n = c.Int()
			case "s":
				s = c.String()
			case "o":
				for c.Object(); c.Field(); {
					fields++
				}
			case "a":
				for c.Array(); c.Element(); {
					elements++
				}
			case "b":
				b = c.Bool()
			case "last":
				last = c.String()
			}
		}
		if err := c.End(); err != nil {
			t.Fatal(err)
		}
		if n != 7 || s != "" || fields != 0 || elements != 0 || b || last != "é\n" {
			t.Errorf("got n=%d s=%q fields=%d elements=%d b=%v last=%q", n, s, fields, elements, b, last)
		}
	})
	t.Run("numbers that do not fit read as zero", func(t *testing.T) {
		c := New([]byte(`[99999999999999999999, 1.5, "1", 12]`))
		var got []int64
		for c.Array(); c.Element(); {
			got = append(got, c.Int())
		}
		if diff := cmp.Diff([]int64{0, 0, 0, 12}, got); diff != "" || c.End() != nil {
			t.Error(diff, c.End())
		}
	})
	t.Run("depth is bounded without recursion", func(t *testing.T) {
		if err := Check([]byte(strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth))); err != nil {
			t.Errorf("%d levels: %v", maxDepth, err)
		}
		if err := Check([]byte(strings.Repeat("[", 1<<20))); err == nil || !strings.Contains(err.Error(), "too deeply") {
			t.Errorf("a million levels: %v", err)
		}
		if err := Check([]byte(strings.Repeat(`{"a":`, 1<<20))); err == nil || !strings.Contains(err.Error(), "too deeply") {
			t.Errorf("a million objects: %v", err)
		}
	})
	t.Run("an error sticks", func(t *testing.T) {
		c := New([]byte(`{"a":1,"b":tru,"c":3}`))
		seen := 0
		for c.Object(); c.Field(); {
			if string(c.Key()) == "c" {
				seen++
			}
		}
		if c.End() == nil || seen != 0 {
			t.Errorf("End = %v, saw c %d times", c.End(), seen)
		}
	})
}
