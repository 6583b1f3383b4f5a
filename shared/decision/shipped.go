package decision

import _ "embed" // policy.yaml

// DefaultPolicyText is policy.yaml as shipped. It parses to DefaultPolicy.
//
//go:embed policy.yaml
var DefaultPolicyText []byte
