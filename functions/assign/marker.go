package assign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"throughline/shared/graph"
)

// Marker signs the first line of our issues, so that nobody else's text is taken for ours.
type Marker struct {
	Key []byte
}

const (
	markerHead = "<!-- throughline "
	markerTail = " -->"
)

// Line is the marker of a remediation: an HTML comment with its identity and an HMAC over it.
func (m Marker) Line(id graph.RemediationID) string {
	return markerHead + string(id) + " " + m.sign(id) + markerTail
}

// Comment is the marker of a comment on the issue of a remediation: why and since tell it from its others.
func (m Marker) Comment(id graph.RemediationID, why string, since time.Time) string {
	return markerHead + m.sign(id+graph.RemediationID("\x00"+why+"\x00"+since.UTC().Format(time.RFC3339Nano))) + markerTail
}

// Read finds the remediation on the first line of an issue's body; false when there is no valid signature.
func (m Marker) Read(body string) (graph.RemediationID, bool) {
	line, _, _ := strings.Cut(body, "\n")
	line = strings.TrimSuffix(line, "\r")
	inner, ok := strings.CutPrefix(line, markerHead)
	if !ok {
		return "", false
	}
	inner, ok = strings.CutSuffix(inner, markerTail)
	id, signature, both := strings.Cut(inner, " ")
	if !ok || !both || !hmac.Equal([]byte(signature), []byte(m.sign(graph.RemediationID(id)))) {
		return "", false
	}
	return graph.RemediationID(id), true
}

func (m Marker) sign(id graph.RemediationID) string {
	mac := hmac.New(sha256.New, m.Key)
	mac.Write([]byte("throughline remediation " + string(id)))
	return hex.EncodeToString(mac.Sum(nil))
}
