package estate

import "strings"

// Rule is a code scanning rule.
type Rule struct {
	Language, ID, Name string // Language "" fits every repository
	Severity           string // note, warning, error
	SecuritySeverity   string // low, medium, high, critical, or "" when the tool gives none
	Tags               []string
	Description        string
	Tool               string
	Message            string
}

// a line: language|id|severity|security severity|cwe|tool|description|message
const ruleText = `
TypeScript|js/sql-injection|error|high|089|CodeQL|Database query built from user-controlled sources|This query string depends on a user-provided value.
TypeScript|js/xss|error|high|079|CodeQL|Client-side cross-site scripting|Cross-site scripting vulnerability due to a user-provided value.
TypeScript|js/path-injection|error|high|022|CodeQL|Uncontrolled data used in path expression|This path depends on a user-provided value.
TypeScript|js/command-line-injection|error|critical|078|CodeQL|Uncontrolled command line|This command line depends on a user-provided value.
TypeScript|js/request-forgery|error|critical|918|CodeQL|Server-side request forgery|The URL of this request depends on a user-provided value.
TypeScript|js/missing-rate-limiting|warning|high|770|CodeQL|Missing rate limiting|This route handler performs an expensive operation, but is not rate-limited.
TypeScript|js/log-injection|error|medium|117|CodeQL|Log injection|Log entry depends on a user-provided value.
Python|py/sql-injection|error|high|089|CodeQL|SQL query built from user-controlled sources|This SQL query depends on a user-provided value.
Python|py/unsafe-deserialization|error|critical|502|CodeQL|Deserialization of user-controlled data|Unsafe deserialization depends on a user-provided value.
Python|py/clear-text-logging-sensitive-data|error|high|532|CodeQL|Clear-text logging of sensitive information|This expression logs sensitive data (password) as clear text.
Python|py/stack-trace-exposure|error|medium|209|CodeQL|Information exposure through an exception|Stack trace information flows to this location and may be exposed.
Python|py/flask-debug|error|high|215|CodeQL|Flask app is run in debug mode|A Flask app appears to be run in debug mode.
Java|java/sql-injection|error|high|089|CodeQL|Query built from user-controlled sources|This query depends on a user-provided value.
Java|java/xxe|error|critical|611|CodeQL|Resolving XML external entity in user-controlled data|XML parsing depends on a user-provided value without guarding against external entity expansion.
Java|java/unsafe-deserialization|error|critical|502|CodeQL|Deserialization of user-controlled data|Unsafe deserialization depends on a user-provided value.
Java|java/spring-disabled-csrf-protection|error|high|352|CodeQL|Disabled Spring CSRF protection|CSRF vulnerability due to protection being disabled.
Java|java/insecure-randomness|warning|high|330|CodeQL|Insecure randomness|Potential insecure randomness due to a cryptographically weak source.
Go|go/command-injection|error|critical|078|CodeQL|Command built from user-controlled sources|This command depends on a user-provided value.
Go|go/path-injection|error|high|022|CodeQL|Uncontrolled data used in path expression|This path depends on a user-provided value.
Go|go/disabled-certificate-check|warning|high|295|CodeQL|Disabled TLS certificate check|InsecureSkipVerify should not be used in production code.
Go|go/log-injection|error|high|117|CodeQL|Log entries created from user input|This log entry depends on a user-provided value.
Go|go/incorrect-integer-conversion|warning|high|190|CodeQL|Incorrect conversion between integer types|Incorrect conversion of a 64-bit integer to a lower bit size type int32.
C#|cs/sql-injection|error|high|089|CodeQL|SQL query built from user-controlled sources|This query depends on user-provided value.
C#|cs/web/xss|error|medium|079|CodeQL|Cross-site scripting|User-provided value flows to here and may result in cross-site scripting.
C#|cs/hardcoded-credentials|error|critical|798|CodeQL|Hard-coded credentials|The hard-coded value flows to the password parameter.
C#|cs/web/missing-token-validation|error|high|352|CodeQL|Missing cross-site request forgery token validation|Method is a POST action without validating the CSRF token.
Dockerfile|actions/code-injection/critical|error|critical|094|CodeQL|Code injection|Potential code injection in this step, which may be controlled by an external user.
Dockerfile|actions/missing-workflow-permissions|warning|medium|275|CodeQL|Workflow does not contain permissions|Actions job or workflow does not limit the permissions of the GITHUB_TOKEN.
|DS-0002|error|high|250|Trivy|Image user should not be root|Specify at least 1 USER command with a non-root user as argument.
|CKV_DOCKER_2|note||693|Checkov|Ensure that HEALTHCHECK instructions have been added|No HEALTHCHECK instruction was found.
|yaml.docker-compose.security.no-new-privileges|warning|low|732|Semgrep OSS|Service allows privilege escalation through setuid binaries|Service allows for privilege escalation; add no-new-privileges.
`

var rules = readRules(ruleText)

func readRules(text string) []Rule {
	var out []Rule
	for line := range strings.Lines(strings.TrimSpace(text)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "|")
		out = append(out, Rule{
			Language: f[0], ID: f[1], Name: f[1], Severity: f[2], SecuritySeverity: f[3],
			Tags: []string{"external/cwe/cwe-" + f[4], "security"}, Tool: f[5], Description: f[6], Message: f[7],
		})
	}
	return out
}

// SecretType is a kind of secret that GitHub recognises.
type SecretType struct{ Type, Name, Provider, Slug string }

var secretTypes = []SecretType{
	{"azure_storage_account_key", "Azure Storage Account Key", "Azure", "azure"},
	{"github_personal_access_token", "GitHub Personal Access Token", "GitHub", "github"},
	{"aws_access_key_id", "Amazon AWS Access Key ID", "Amazon Web Services (AWS)", "amazon_web_services"},
	{"slack_api_token", "Slack API Token", "Slack", "slack"},
	{"stripe_api_key", "Stripe API Key", "Stripe", "stripe"},
	{"google_api_key", "Google API Key", "Google Cloud", "google_cloud"},
	{"npm_access_token", "npm Access Token", "npm", "npm"},
	{"azure_devops_personal_access_token", "Azure DevOps Personal Access Token", "Azure", "azure"},
	{"password", "Password", "Generic", "generic"},
}
