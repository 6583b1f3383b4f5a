package assign

import (
	"html"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// breaker stands between characters that GitHub would read together: a mention, a reference, an address. It is the only
// invisible character in what we write, because plain takes out all others first.
const breaker = "\u200b"

// maxValue is the longest value of unknown origin in one place of an issue.
const maxValue = 200

// code puts a value of unknown origin into a code span, where GitHub neither links, mentions, nor renders.
func code(s string) string {
	s = strings.NewReplacer("`", "'", "|", "¦").Replace(plain(s)) // a pipe ends a table cell even inside a code span
	s = clip(s, maxValue)
	return "`" + nonEmpty(s, "—") + "`"
}

// sentence escapes a sentence that holds values of unknown origin, so that nothing in it is active.
func sentence(s string) string {
	s = apart(clip(plain(s), 2*maxValue))
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune("\\`*_{}[]()<>!|~$^", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	s = b.String()
	if first, _ := utf8.DecodeRuneInString(s); !unicode.IsLetter(first) {
		s = breaker + s // neither a list, a heading, a rule, nor a command
	}
	return s
}

// heading makes a value fit for a title, where GitHub shows code spans and emoji, and whoever lists issues may render
// more.
func heading(s string) string {
	s = strings.NewReplacer("`", "'", "<", "‹", ">", "›", "[", "(", "]", ")", "*", "∗", "_", "_"+breaker, "~", "∼", "&", "+", "|", "¦", "\\", "/", "$", "S", "!", "ǃ").Replace(plain(s))
	return apart(s)
}

var (
	hexRun     = regexp.MustCompile(`[0-9a-fA-F]{7,}`)
	emoji      = regexp.MustCompile(`:([a-zA-Z0-9_+-]+):`)
	references = regexp.MustCompile(`(?i)\b(gh|www|copilot|dependabot)([-.\s])`)
)

// apart breaks what GitHub would link or notify: mentions, numbers of issues, addresses, emoji, commits, bots.
func apart(s string) string {
	s = strings.NewReplacer("@", "@"+breaker, "#", "#"+breaker, "://", ":"+breaker+"//").Replace(s)
	s = emoji.ReplaceAllString(s, ":"+breaker+"${1}:")
	s = references.ReplaceAllString(s, "${1}"+breaker+"${2}")
	return hexRun.ReplaceAllStringFunc(s, func(run string) string {
		var parts []string
		for len(run) > 6 {
			parts, run = append(parts, run[:6]), run[6:]
		}
		return strings.Join(append(parts, run), breaker)
	})
}

// plain makes one printable line in normal form: entities decoded, control, zero-width and direction characters gone.
func plain(s string) string {
	if len(s) > 64*maxValue {
		s = strings.ToValidUTF8(s[:64*maxValue], "")
	}
	s = norm.NFC.String(s)
	for range 4 {
		decoded := html.UnescapeString(s)
		if decoded == s {
			break
		}
		s = decoded
	}
	s = ansi.ReplaceAllString(s, "")
	for comment.MatchString(s) {
		s = comment.ReplaceAllString(s, "")
	}
	return strings.Join(strings.Fields(strings.Map(printable, s)), " ")
}

// ansi are the sequences that color a terminal: without their first character they would stay as noise.
var ansi = regexp.MustCompile("(?:\x1b\\[|\u009b)[0-9;?]*[A-Za-z]")

// comment begins or ends an HTML comment, in which a marker could be forged.
var comment = regexp.MustCompile(`<!--|--!?>`)

func printable(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), unicode.Is(unicode.Variation_Selector, r):
		return -1
	case r == '\u115F', r == '\u1160', r == '\u3164', r == '\uFFA0', r == '\u034F': // letters without a shape
		return -1
	case r >= '\uFF01' && r <= '\uFF5E':
		return r - 0xFEE0 // full width forms
	case r == '\u2028' || r == '\u2029':
		return ' '
	}
	return r
}

// clip cuts at a number of runes and shows that it did.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	const mark = " …"
	rs := []rune(s)
	return string(rs[:n-len([]rune(mark))]) + mark
}

// cut shortens a body between two lines and says what is missing.
func cut(body string, n int) string {
	if utf8.RuneCountInString(body) <= n {
		return body
	}
	const note = "\n\nThe rest of this text was left out: GitHub takes no more. Throughline shows all of it.\n"
	rs := []rune(body)
	kept := string(rs[:n-len([]rune(note))])
	return strings.TrimRight(kept[:strings.LastIndexByte(kept, '\n')+1], "\n") + note
}
