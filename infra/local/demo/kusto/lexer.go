package kusto

import (
	"fmt"
	"strings"
)

type kind int

const (
	end kind = iota
	name
	text
	digits
	symbol
)

type token struct {
	kind kind
	text string
	at   int
}

type lexer struct {
	text string
	at   int
}

func letter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// lex gives the next token. Names may hold dashes where Kusto's operators do (project-away, mv-expand); !in and in~ are
// one token.
func (l *lexer) lex() (token, error) {
	l.blank()
	at := l.at
	if at >= len(l.text) {
		return token{kind: end, at: at}, nil
	}
	c := l.text[at]
	switch {
	case letter(c) || c == '$':
		return l.word(), nil
	case digit(c):
		for l.at < len(l.text) && (digit(l.text[l.at]) || letter(l.text[l.at]) || l.text[l.at] == '.') {
			l.at++
		}
		return token{digits, l.text[at:l.at], at}, nil
	case c == '"' || c == '\'':
		return l.quoted(c)
	case c == '!' && at+1 < len(l.text) && letter(l.text[at+1]):
		l.at++
		t := l.word()
		return token{symbol, "!" + t.text, at}, nil
	}
	for _, s := range []string{"==", "!=", "=~", "!~", "<=", ">="} {
		if strings.HasPrefix(l.text[at:], s) {
			l.at += 2
			return token{symbol, s, at}, nil
		}
	}
	if strings.IndexByte("|()[],.=<>+-*/{}:", c) < 0 {
		return token{}, fmt.Errorf("unexpected %q at %d", c, at)
	}
	l.at++
	return token{symbol, string(c), at}, nil
}

// blank skips spaces and comments.
func (l *lexer) blank() {
	for l.at < len(l.text) {
		if strings.HasPrefix(l.text[l.at:], "//") {
			for l.at < len(l.text) && l.text[l.at] != '\n' {
				l.at++
			}
			continue
		}
		if strings.IndexByte(" \t\r\n", l.text[l.at]) < 0 {
			return
		}
		l.at++
	}
}

func (l *lexer) word() token {
	from := l.at
	for l.at < len(l.text) && (letter(l.text[l.at]) || digit(l.text[l.at]) || l.text[l.at] == '$') {
		l.at++
	}
	w := l.text[from:l.at]
	for _, tail := range []string{"-away", "-expand", "-keep", "-rename", "-reorder"} {
		if (w == "project" || w == "mv") && strings.HasPrefix(l.text[l.at:], tail) {
			l.at += len(tail)
			w += tail
		}
	}
	if (w == "in" || w == "has_any") && strings.HasPrefix(l.text[l.at:], "~") {
		l.at++
		w += "~"
	}
	return token{name, w, from}
}

func (l *lexer) quoted(q byte) (token, error) {
	var b strings.Builder
	at := l.at
	for l.at++; l.at < len(l.text); l.at++ {
		switch c := l.text[l.at]; {
		case c == '\\' && l.at+1 < len(l.text):
			l.at++
			b.WriteByte(l.text[l.at])
		case c == q:
			l.at++
			return token{text, b.String(), at}, nil
		default:
			b.WriteByte(c)
		}
	}
	return token{}, fmt.Errorf("a string that begins at %d does not end", at)
}
