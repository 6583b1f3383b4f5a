package github

import "encoding/base64"

func encodeCursor(rank string) string { return base64.RawURLEncoding.EncodeToString([]byte(rank)) }

// decodeCursor of something that is no cursor gives "", which stands before everything.
func decodeCursor(cursor string) string {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return ""
	}
	return string(raw)
}
