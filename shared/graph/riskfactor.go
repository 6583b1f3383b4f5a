package graph

import (
	"slices"
	"strings"
	"unicode"
)

// ParseRiskFactor reads the free text in which Defender for Cloud, GitHub and annotations name a risk factor: "Exposure
// to the Internet", "containsSensitiveData", "critical-resource". It answers nothing for a text that it does not
// understand, and for one that begins with a denial.
func ParseRiskFactor(raw string) []Factor {
	words := splitWords(raw)
	if len(words) == 0 || slices.Contains([]string{"no", "not", "non"}, words[0]) {
		return nil
	}
	starts := func(prefix string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, prefix) })
	}
	has := func(word string) bool { return slices.Contains(words, word) }
	var factors []Factor
	if starts("internet") || has("public") && starts("expos") {
		factors = append(factors, InternetExposed)
	}
	if starts("sensitiv") {
		factors = append(factors, SensitiveData)
	}
	if has("critical") && !starts("severit") && !starts("vulnerab") {
		factors = append(factors, CriticalResource)
	}
	if has("lateral") {
		factors = append(factors, LateralMovement)
	}
	return factors
}

// splitWords cuts camelCase and punctuation and lower-cases what is left.
func splitWords(s string) []string {
	var words []string
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			words = append(words, strings.ToLower(word.String()))
			word.Reset()
		}
	}
	lower := false
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) || unicode.IsUpper(r) && lower {
			flush()
		}
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			word.WriteRune(r)
		}
		lower = unicode.IsLower(r)
	}
	flush()
	return words
}
