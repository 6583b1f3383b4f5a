// Package filter evaluates the SQL-like conditions and actions of subscription rules.
//
// Conditions follow three-valued logic: a comparison with a property that is absent is unknown, and a message
// matches only when the whole is true. Arithmetic on what is no number is an error of evaluation, which Service
// Bus can dead-letter for.
//
// It knows properties as plain values: nil, bool, int64, float64, string, time.Time; and no messages.
package filter

import (
	"fmt"
	"strings"
)

type kind int

const (
	end kind = iota
	word
	quoted // a delimited identifier
	number
	text
	parameter
	sign
)

type token struct {
	kind kind
	text string
	at   int
}

// lexer cuts an expression into tokens.
type lexer struct {
	in  string
	pos int
}

func (l *lexer) next() (token, error) {
	for l.pos < len(l.in) && strings.IndexByte(" \t\r\n", l.in[l.pos]) >= 0 {
		l.pos++
	}
	at := l.pos
	if at == len(l.in) {
		return token{kind: end, at: at}, nil
	}
	switch c := l.in[at]; {
	case c == '\'':
		s, err := l.delimited('\'', '\'')
		return token{text, s, at}, err
	case c == '"':
		s, err := l.delimited('"', '"')
		return token{quoted, s, at}, err
	case c == '[':
		s, err := l.delimited('[', ']')
		return token{quoted, s, at}, err
	case isDigit(c) || c == '.' && at+1 < len(l.in) && isDigit(l.in[at+1]):
		return token{number, l.number(), at}, nil
	case c == '@':
		l.pos++
		return token{parameter, "@" + l.word(), at}, nil
	case isLetter(c):
		return token{word, l.word(), at}, nil
	}
	return l.sign(at)
}

func (l *lexer) sign(at int) (token, error) {
	for _, s := range []string{"<>", "!=", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ",", ".", ";"} {
		if strings.HasPrefix(l.in[at:], s) {
			l.pos += len(s)
			return token{sign, s, at}, nil
		}
	}
	return token{}, fmt.Errorf("unexpected %q at %d", l.in[at], at)
}

// delimited reads up to the closing mark; the mark doubled stands for itself.
func (l *lexer) delimited(_, closing byte) (string, error) {
	at := l.pos
	var b strings.Builder
	for l.pos++; l.pos < len(l.in); l.pos++ {
		if l.in[l.pos] != closing {
			b.WriteByte(l.in[l.pos])
			continue
		}
		if l.pos+1 < len(l.in) && l.in[l.pos+1] == closing {
			b.WriteByte(closing)
			l.pos++
			continue
		}
		l.pos++
		return b.String(), nil
	}
	return "", fmt.Errorf("no end of what begins at %d", at)
}

func (l *lexer) number() string {
	at := l.pos
	for l.pos < len(l.in) && (isDigit(l.in[l.pos]) || l.in[l.pos] == '.') {
		l.pos++
	}
	if l.pos < len(l.in) && (l.in[l.pos] == 'e' || l.in[l.pos] == 'E') {
		mark := l.pos
		l.pos++
		if l.pos < len(l.in) && (l.in[l.pos] == '+' || l.in[l.pos] == '-') {
			l.pos++
		}
		if l.pos == len(l.in) || !isDigit(l.in[l.pos]) {
			l.pos = mark
		}
		for l.pos < len(l.in) && isDigit(l.in[l.pos]) {
			l.pos++
		}
	}
	return l.in[at:l.pos]
}

func (l *lexer) word() string {
	at := l.pos
	for l.pos < len(l.in) && (isLetter(l.in[l.pos]) || isDigit(l.in[l.pos])) {
		l.pos++
	}
	return l.in[at:l.pos]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$' || c == '#' || c >= 0x80
}
