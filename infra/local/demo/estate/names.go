package estate

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"
)

var domains = []string{
	"orders", "payments", "catalog", "shipping", "identity", "search", "billing", "notify", "pricing", "returns",
	"loyalty", "inventory", "checkout", "reviews", "ledger", "fraud", "claims", "quotes", "media", "reports",
	"partner", "support", "tariff", "meter", "booking", "fleet", "routes", "consent", "archive", "alerts",
}

var firstNames = []string{
	"amara", "bjorn", "chiara", "dmitri", "elif", "farid", "greta", "hana", "ines", "jonas", "kavya", "liam",
	"mei", "noor", "oscar", "priya", "quentin", "rosa", "sven", "tomas", "uma", "vera", "wei", "yara", "zoe",
}

var lastNames = []string{
	"adler", "bakker", "costa", "dubois", "eriksen", "fischer", "garcia", "haas", "ito", "jansen", "kovac", "lindt",
	"moreau", "novak", "okafor", "petrov", "quist", "rossi", "santos", "tanaka", "ueda", "vogel", "weiss", "young",
}

var regions = []string{"westeurope", "northeurope", "germanywestcentral"}

// GUID derives a version-5-shaped GUID from its parts: the same parts, the same GUID.
func GUID(parts ...any) string {
	h := sha1.Sum([]byte(fmt.Sprint(parts...)))
	h[6] = h[6]&0x0f | 0x50
	h[8] = h[8]&0x3f | 0x80
	x := hex.EncodeToString(h[:16])
	return strings.Join([]string{x[:8], x[8:12], x[12:16], x[16:20], x[20:]}, "-")
}

// Commit is the id of the n-th commit of a repository, 0 the first. Histories are linear.
func (e *Estate) Commit(repo, n int) string {
	h := sha1.Sum(fmt.Appendf(nil, "commit/%d/%s/%d/%d", e.Seed, e.Size, e.Repositories[repo].ID, n))
	return hex.EncodeToString(h[:])
}

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
