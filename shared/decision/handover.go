package decision

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"throughline/shared/graph"
)

// HandOver tells why a fix may not be given to a coding agent; empty when it may. The policy must ask for it at the tier of
// every open finding, and nothing of the fix may be what an agent must not be let near: secrets, what anybody can upload
// as an alert, and the files that steer agents and pipelines.
func (p *Policy) HandOver(findings []graph.Finding) string {
	open := slices.DeleteFunc(slices.Clone(findings), func(f graph.Finding) bool { return f.State != graph.Open })
	if len(open) == 0 {
		return "nothing of it is open"
	}
	for _, f := range open {
		if why := p.notForAgents(f); why != "" {
			return why
		}
	}
	return ""
}

func (p *Policy) notForAgents(f graph.Finding) string {
	switch {
	case f.Decision == nil || f.Decision.Provisional:
		return "it is not decided yet"
	case !slices.Contains(p.Actions(f.Decision.Published, f.FixExists()), ActionCopilot):
		return fmt.Sprintf("the policy does not ask for copilot at %s", f.Decision.Published)
	case f.Kind == graph.SecretScanning:
		return "a secret is never given to an agent"
	case f.Alert == nil:
		return "no alert of GitHub stands behind it"
	case f.Alert.Code != nil && f.Alert.Code.Tool != trustedScanner:
		return "its alert was uploaded by another tool than " + trustedScanner
	}
	for _, file := range filesOf(f) {
		if steers(file) {
			return "it lies in a file that steers agents or pipelines"
		}
	}
	return ""
}

// trustedScanner writes its own texts; those of other tools are anybody's who may upload a file.
const trustedScanner = "CodeQL"

func filesOf(f graph.Finding) []string {
	switch {
	case f.Alert.Code != nil:
		return []string{f.Alert.Code.Path}
	case f.Alert.Dependency != nil:
		return []string{f.Alert.Dependency.Manifest}
	}
	return nil
}

// The names, endings and folders of files that tell agents, pipelines or reviews what to do.
var (
	steeringNames   = []string{"agents.md", "agent.md", "claude.md", "gemini.md", "codeowners", ".cursorrules", ".windsurfrules", ".mcp.json", "mcp.json", "skill.md", "llms.txt"}
	steeringEndings = []string{"copilot-instructions.md", ".instructions.md", ".prompt.md", ".agent.md", ".chatmode.md"}
	steeringFolders = []string{".github", ".claude", ".cursor", ".copilot", ".gemini", ".codex", ".agents", ".vscode", ".devcontainer", ".git"}
)

// steers tells whether a file steers agents or pipelines. A path that cannot be believed counts as one.
func steers(file string) bool {
	file = strings.ToLower(strings.ReplaceAll(file, `\`, "/"))
	if strings.Contains(file, "..") || strings.ContainsFunc(file, func(r rune) bool { return r < ' ' || r > '~' }) {
		return true
	}
	parts := strings.Split(path.Clean("/"+file), "/")
	name := parts[len(parts)-1]
	return slices.ContainsFunc(parts, func(s string) bool { return slices.Contains(steeringFolders, s) }) || slices.Contains(steeringNames, name) ||
		slices.ContainsFunc(steeringEndings, func(end string) bool { return strings.HasSuffix(name, end) })
}
