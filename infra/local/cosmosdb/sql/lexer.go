package sql

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"throughline/infra/local/cosmosdb/value"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenKeyword
	tokenNumber
	tokenString
	tokenParameter
	tokenSign
)

// token is one lexical piece: text is the word, the parameter with its @, the sign, the upper-case keyword, or the
// string without quotes.
type token struct {
	kind tokenKind
	text string
	num  float64
	at   int
}

// keywords cannot be names, not even after a dot: Cosmos DB wants c["value"], not c.value.
var keywords = map[string]bool{
	"AND": true, "ARRAY": true, "AS": true, "ASC": true, "BETWEEN": true, "BY": true, "DESC": true, "DISTINCT": true,
	"ESCAPE": true, "EXISTS": true, "FALSE": true, "FROM": true, "GROUP": true, "IN": true, "JOIN": true, "LIKE": true,
	"LIMIT": true, "NOT": true, "NULL": true, "OFFSET": true, "OR": true, "ORDER": true, "SELECT": true, "TOP": true,
	"TRUE": true, "UNDEFINED": true, "VALUE": true, "WHERE": true,
}

// signs from long to short, so that the first that fits is the right one.
var signs = []string{
	">>>", "!=", "<>", "<=", ">=", "<<", ">>", "||", "??",
	"=", "<", ">", "+", "-", "*", "/", "%", "&", "|", "^", "~", "(", ")", "[", "]", "{", "}", ",", ".", ":", "?",
}

func lex(text string) ([]token, error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%w: the query is not UTF-8", ErrSyntax)
	}
	var tokens []token
	for at := 0; ; {
		at = skipSpace(text, at)
		if at >= len(text) {
			return append(tokens, token{kind: tokenEnd, at: at}), nil
		}
		t, next, err := lexOne(text, at)
		if err != nil {
			return nil, err
		}
		t.at = at
		tokens = append(tokens, t)
		at = next
	}
}

func skipSpace(text string, at int) int {
	for at < len(text) {
		r, size := utf8.DecodeRuneInString(text[at:])
		switch {
		case unicode.IsSpace(r):
			at += size
		case strings.HasPrefix(text[at:], "--"):
			end := strings.IndexByte(text[at:], '\n')
			if end < 0 {
				return len(text)
			}
			at += end
		default:
			return at
		}
	}
	return at
}

func lexOne(text string, at int) (token, int, error) {
	c := text[at]
	switch {
	case c == '"' || c == '\'':
		return lexString(text, at)
	case isDigit(c), c == '.' && at+1 < len(text) && isDigit(text[at+1]):
		return lexNumber(text, at)
	case c == '@':
		end := wordEnd(text, at+1, true)
		if end == at+1 {
			return token{}, 0, syntaxAt(at, "@")
		}
		return token{kind: tokenParameter, text: text[at:end]}, end, nil
	}
	if end := wordEnd(text, at, false); end > at {
		word := text[at:end]
		if upper := strings.ToUpper(word); keywords[upper] {
			return token{kind: tokenKeyword, text: upper}, end, nil
		}
		return token{kind: tokenWord, text: word}, end, nil
	}
	for _, s := range signs {
		if strings.HasPrefix(text[at:], s) {
			return token{kind: tokenSign, text: s}, at + len(s), nil
		}
	}
	r, _ := utf8.DecodeRuneInString(text[at:])
	return token{}, 0, syntaxAt(at, string(r))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// wordEnd is where the word that starts at at ends; at itself when none starts there. The name of a parameter may begin with a digit.
func wordEnd(text string, at int, digitFirst bool) int {
	for i, r := range text[at:] {
		letter := r == '_' || r == '$' || unicode.IsLetter(r)
		digit := unicode.IsDigit(r) && (i > 0 || digitFirst)
		if !letter && !digit {
			return at + i
		}
	}
	return len(text)
}

func lexNumber(text string, at int) (token, int, error) {
	end := at
	for end < len(text) {
		c := text[end]
		sign := (c == '+' || c == '-') && (text[end-1] == 'e' || text[end-1] == 'E')
		if !isDigit(c) && c != '.' && c != 'e' && c != 'E' && !(end > at && sign) {
			break
		}
		end++
	}
	if word := wordEnd(text, end, false); word > end {
		return token{}, 0, syntaxAt(at, text[at:word])
	}
	f, err := strconv.ParseFloat(text[at:end], 64)
	if err != nil {
		return token{}, 0, syntaxAt(at, text[at:end])
	}
	return token{kind: tokenNumber, num: f, text: text[at:end]}, end, nil
}

// lexString reads a string in either quotes; its escapes are those of JSON and \'.
func lexString(text string, at int) (token, int, error) {
	quote := text[at]
	literal := []byte{'"'}
	for i := at + 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			s, err := value.Parse(string(append(literal, '"')))
			if err != nil {
				return token{}, 0, syntaxAt(at, text[at:i+1])
			}
			return token{kind: tokenString, text: s.Text()}, i + 1, nil
		case c == '\\' && i+1 < len(text):
			i++
			if text[i] != '\'' {
				literal = append(literal, '\\')
			}
			literal = append(literal, text[i])
		case c == '"':
			literal = append(literal, '\\', '"')
		case c < 0x20:
			literal = append(literal, fmt.Sprintf(`\u%04x`, c)...)
		default:
			literal = append(literal, c)
		}
	}
	return token{}, 0, syntaxAt(at, text[at:])
}

func syntaxAt(at int, near string) error {
	return fmt.Errorf("%w: Syntax error, incorrect syntax near '%s' at %d", ErrSyntax, clip(near), at)
}

func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40])
	}
	return s
}
