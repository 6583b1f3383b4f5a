package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Version is a short hash of nouns as they are stored: equal content, equal version.
func Version(nouns ...any) string {
	raw, err := json.Marshal(nouns)
	if err != nil {
		// Nouns are plain data; one that does not encode is never equal to another.
		return fmt.Sprintf("unencodable: %v", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}
