package estate

import "strings"

// Advisory is a published weakness of a package.
type Advisory struct {
	Ecosystem, Package  string
	GHSA, CVE           string // CVE is "" when none was assigned
	Severity            string // low, medium, high, critical
	Score               float64
	Vector              string // CVSS 3.1
	Score4              float64
	Vector4             string // CVSS 4.0, "" when none was given
	EPSS                float64
	CWE                 string
	Range, Fixed        string
	Summary             string
	Malware, InKit, PoC bool
}

// a line: ecosystem|package|ghsa|cve|severity|score|vector|epss|cwe|range|fixed|summary|flags
const advisoryText = `
npm|lodash|GHSA-35jh-r3h4-6jhm|CVE-2021-23337|high|7.2|AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H|0.0063|CWE-94|< 4.17.21|4.17.21|Command injection in lodash|
npm|minimist|GHSA-xvch-5gv4-984h|CVE-2021-44906|critical|9.8|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H|0.0109|CWE-1321|< 1.2.6|1.2.6|Prototype pollution in minimist|poc
npm|axios|GHSA-wf5p-g6vw-rhxx|CVE-2023-45857|medium|6.5|AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:N/A:N|0.0021|CWE-352|>= 0.8.1, < 0.28.0|0.28.0|Axios leaks the XSRF token to every host|
npm|express|GHSA-qw6h-vgh9-j6wx|CVE-2024-43796|low|5.0|AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:L/A:L|0.0009|CWE-79|< 4.20.0|4.20.0|express allows cross-site scripting through response.redirect()|
npm|jsonwebtoken|GHSA-hjrf-2m68-5959|CVE-2022-23541|medium|6.3|AV:N/AC:L/PR:L/UI:N/S:U/C:L/I:L/A:L|0.0012|CWE-287|<= 8.5.1|9.0.0|jsonwebtoken accepts tokens of another key type|
npm|semver|GHSA-c2qf-rxjj-qqgw|CVE-2022-25883|high|7.5|AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H|0.0035|CWE-1333|< 7.5.2|7.5.2|semver is vulnerable to regular expression denial of service|
npm|ws|GHSA-3h5v-q93c-6h6q|CVE-2024-37890|high|7.5|AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H|0.0074|CWE-476|>= 8.0.0, < 8.17.1|8.17.1|ws crashes on a request with many headers|
npm|tar|GHSA-f5x3-32g6-xq36|CVE-2024-28863|medium|6.5|AV:N/AC:L/PR:N/UI:R/S:U/C:N/I:N/A:H|0.0011|CWE-400|< 6.2.1|6.2.1|node-tar does not limit the depth of folders|
npm|vm2|GHSA-g644-9gfx-q4q4|CVE-2023-37903|critical|9.8|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H|0.0518|CWE-78|<= 3.9.19||vm2 sandbox escape|poc
npm|next|GHSA-f82v-jwr5-mffw|CVE-2025-29927|critical|9.1|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N|0.9271|CWE-285|>= 14.0.0, < 14.2.25|14.2.25|Authorization bypass in Next.js middleware|poc
npm|follow-redirects|GHSA-cxjh-pqwp-8mfp|CVE-2024-28849|medium|6.5|AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:N/A:N|0.0017|CWE-200|< 1.15.6|1.15.6|follow-redirects keeps proxy-authorization across hosts|
npm|tough-cookie|GHSA-72xf-g2v4-qvf3|CVE-2023-26136|medium|6.5|AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:L/A:N|0.0064|CWE-1321|< 4.1.3|4.1.3|tough-cookie prototype pollution|
npm|colourful-logs|GHSA-9q5m-x2fj-7gwc||critical|9.8|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H|0|CWE-506|>= 0||Malware in colourful-logs|malware
pip|django|GHSA-pv4p-cwwg-4rph|CVE-2024-42005|high|7.3|AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:L/A:L|0.0712|CWE-89|>= 4.2, < 4.2.15|4.2.15|Django SQL injection in QuerySet.values()|
pip|requests|GHSA-9wx4-h78v-vm56|CVE-2024-35195|medium|5.6|AV:L/AC:H/PR:H/UI:R/S:U/C:H/I:H/A:N|0.0008|CWE-670|< 2.32.0|2.32.0|Requests sessions keep verify=False|
pip|jinja2|GHSA-h5c8-rqwp-cp95|CVE-2024-22195|medium|5.4|AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N|0.0016|CWE-79|< 3.1.3|3.1.3|Jinja cross-site scripting through xmlattr|
pip|pillow|GHSA-j7hp-h8jx-5ppr|CVE-2023-4863|high|8.8|AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H|0.9404|CWE-787|< 10.0.1|10.0.1|libwebp heap overflow in Pillow|kit
pip|urllib3|GHSA-34jh-p97f-mpxf|CVE-2024-37891|medium|4.4|AV:N/AC:H/PR:H/UI:N/S:U/C:H/I:N/A:N|0.0022|CWE-669|< 1.26.19|1.26.19|urllib3 keeps Proxy-Authorization on redirects|
pip|cryptography|GHSA-3ww4-gg4f-jr7f|CVE-2023-50782|high|7.5|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N|0.0112|CWE-203|< 42.0.0|42.0.0|Bleichenbacher timing oracle in cryptography|
pip|pyyaml|GHSA-8q59-q68h-6hv4|CVE-2020-14343|critical|9.8|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H|0.1407|CWE-20|< 5.4|5.4|Improper input validation in PyYAML|poc
pip|aiohttp|GHSA-5h86-8mv2-jq9f|CVE-2024-23334|high|7.5|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N|0.9347|CWE-22|>= 1.0.5, < 3.9.2|3.9.2|aiohttp follows symlinks out of its root|poc
pip|werkzeug|GHSA-2g68-c3qc-8985|CVE-2024-34069|high|7.5|AV:N/AC:H/PR:N/UI:R/S:U/C:H/I:H/A:H|0.0235|CWE-352|< 3.0.3|3.0.3|Werkzeug debugger can run code from another origin|
pip|gunicorn|GHSA-w3h3-4rj7-4ph4|CVE-2024-1135|high|7.5|AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N|0.0026|CWE-444|< 22.0.0|22.0.0|Gunicorn request smuggling|
maven|org.apache.logging.log4j:log4j-core|GHSA-jfh8-c2jp-5v3q|CVE-2021-44228|critical|10.0|AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H|0.9444|CWE-502|>= 2.13.0, < 2.15.0|2.15.0|Remote code execution in Log4j|kit
maven|org.springframework:spring-beans|GHSA-36p3-wjmg-h94x|CVE-2022-22965|critical|9.8|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H|0.9445|CWE-94|< 5.2.20.RELEASE|5.2.20.RELEASE|Remote code execution in Spring Framework|kit
maven|com.fasterxml.jackson.core:jackson-databind|GHSA-jjjh-jjxp-wpff|CVE-2022-42003|high|7.5|AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H|0.0028|CWE-502|< 2.13.4.2|2.13.4.2|Uncontrolled resource consumption in jackson-databind|
maven|org.apache.commons:commons-text|GHSA-599f-7c49-w659|CVE-2022-42889|critical|9.8|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H|0.9409|CWE-94|>= 1.5, < 1.10.0|1.10.0|Arbitrary code execution in Apache Commons Text|poc
maven|org.yaml:snakeyaml|GHSA-mjmj-j48q-9wg2|CVE-2022-1471|high|8.3|AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:L|0.9382|CWE-502|< 2.0|2.0|SnakeYaml constructor allows remote code execution|poc
maven|org.apache.tomcat.embed:tomcat-embed-core|GHSA-qppj-fm5r-hxr3|CVE-2023-44487|high|7.5|AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H|0.9443|CWE-400|< 9.0.81|9.0.81|HTTP/2 rapid reset|kit
maven|org.apache.struts:struts2-core|GHSA-2j39-qcjm-428w|CVE-2023-50164|critical|9.8|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H|0.9358|CWE-552|< 2.5.33|2.5.33|Apache Struts file upload path traversal|poc
maven|com.h2database:h2|GHSA-h376-j262-vhq6|CVE-2021-42392|critical|9.8|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H|0.9036|CWE-502|>= 1.1.100, < 2.0.206|2.0.206|Remote code execution in the H2 console|poc
maven|com.google.guava:guava|GHSA-7g45-4rm6-3mm3|CVE-2023-2976|medium|5.5|AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:N/A:N|0.0004|CWE-379|< 32.0.0-android|32.0.0-android|Guava uses an insecure temporary folder|
maven|io.netty:netty-handler|GHSA-6mjq-h674-j845|CVE-2023-34462|medium|6.5|AV:N/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H|0.0089|CWE-400|< 4.1.94.Final|4.1.94.Final|netty SniHandler 16 MB allocation|
go|golang.org/x/crypto|GHSA-v778-237x-gjrc|CVE-2024-45337|critical|9.1|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N|0.3921|CWE-285|< 0.31.0|0.31.0|Misuse of ServerConfig.PublicKeyCallback may bypass authorization|poc
go|golang.org/x/net|GHSA-4374-p667-p6c8|CVE-2023-39325|high|7.5|AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H|0.0021|CWE-770|< 0.17.0|0.17.0|HTTP/2 rapid reset in net/http|
go|google.golang.org/grpc|GHSA-m425-mq94-257g||high|7.5|AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H|0|CWE-400|< 1.56.3|1.56.3|gRPC-Go HTTP/2 rapid reset|
go|github.com/golang-jwt/jwt/v4|GHSA-29wx-vh33-7x7r|CVE-2024-51744|low|3.1|AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N|0.0006|CWE-755|< 4.5.1|4.5.1|golang-jwt error handling hides bad tokens|
go|github.com/docker/docker|GHSA-v23v-6jw2-98fq|CVE-2024-41110|critical|9.9|AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H|0.0512|CWE-187|< 25.0.6|25.0.6|AuthZ plugin bypass in Moby|
go|github.com/opencontainers/runc|GHSA-xr7r-f8xq-vfvv|CVE-2024-21626|high|8.6|AV:L/AC:L/PR:N/UI:R/S:C/C:H/I:H/A:H|0.0471|CWE-403|< 1.1.12|1.1.12|runc container breakout through leaked descriptors|poc
go|google.golang.org/protobuf|GHSA-8r3f-844c-mc37|CVE-2024-24786|medium|6.6|AV:N/AC:L/PR:L/UI:N/S:U/C:L/I:L/A:H|0.0015|CWE-835|< 1.33.0|1.33.0|Infinite loop in protojson.Unmarshal|
go|github.com/hashicorp/go-retryablehttp|GHSA-v6v8-xj6m-xwqh|CVE-2024-6104|medium|6.0|AV:L/AC:L/PR:L/UI:N/S:C/C:H/I:N/A:N|0.0007|CWE-532|< 0.7.7|0.7.7|go-retryablehttp writes URLs with credentials to its log|
nuget|Newtonsoft.Json|GHSA-5crp-9r3c-p9vr|CVE-2024-21907|high|7.5|AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H|0.0083|CWE-755|< 13.0.1|13.0.1|Newtonsoft.Json stack overflow on deep nesting|
nuget|System.Text.Json|GHSA-hh2w-p6rv-4g7w|CVE-2024-30105|high|7.5|AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H|0.0187|CWE-400|>= 7.0.0, < 8.0.4|8.0.4|Denial of service in System.Text.Json|
nuget|Azure.Identity|GHSA-m5vv-6r4h-3vj9|CVE-2024-35255|medium|5.5|AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:N/A:N|0.0049|CWE-362|< 1.11.4|1.11.4|Elevation of privilege in Azure Identity|
nuget|Microsoft.Data.SqlClient|GHSA-98g6-xh36-x2p7|CVE-2024-0056|high|8.7|AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:N|0.0091|CWE-319|< 2.1.7|2.1.7|SqlClient can be moved to clear text|
nuget|System.Drawing.Common|GHSA-rxg9-xrhp-64gj|CVE-2021-24112|critical|9.8|AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H|0.0632|CWE-94|>= 4.0.0, < 4.7.2|4.7.2|Remote code execution in .NET Core|
nuget|Microsoft.AspNetCore.Server.Kestrel.Core|GHSA-5rrx-jjjq-q2r5|CVE-2019-0548|high|7.5|AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H|0.0541|CWE-400|>= 2.1.0, < 2.1.7|2.1.7|Denial of service in ASP.NET Core|
nuget|SharpCompress|GHSA-3m6r-39p3-jq25|CVE-2018-1002206|medium|5.5|AV:L/AC:L/PR:N/UI:R/S:U/C:N/I:H/A:N|0.0014|CWE-22|< 0.21.0|0.21.0|SharpCompress writes outside its folder|
actions|tj-actions/changed-files|GHSA-mrrh-fwg8-r2c3|CVE-2025-30066|high|8.6|AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:N/A:N|0.9134|CWE-506|<= 45.0.7|46.0.1|tj-actions/changed-files prints secrets into build logs|kit
actions|actions/download-artifact|GHSA-cxww-7g56-2vh6|CVE-2024-42471|high|7.3|AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:L/A:L|0.0012|CWE-22|>= 4.0.0, < 4.1.3|4.1.3|Arbitrary file write when an artifact is unpacked|
`

// Advisories lists the package advisories of one ecosystem ("" for all) in a fixed order.
func Advisories(ecosystem string) []Advisory {
	var out []Advisory
	for _, a := range advisories {
		if ecosystem == "" || a.Ecosystem == ecosystem {
			out = append(out, a)
		}
	}
	return out
}

var advisories = readAdvisories(advisoryText)

func readAdvisories(text string) []Advisory {
	var out []Advisory
	for line := range strings.Lines(strings.TrimSpace(text)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "|")
		out = append(out, Advisory{
			Ecosystem: f[0], Package: f[1], GHSA: f[2], CVE: f[3], Severity: f[4], Score: decimal(f[5]), Vector: "CVSS:3.1/" + f[6],
			EPSS: decimal(f[7]), CWE: f[8], Range: f[9], Fixed: f[10], Summary: f[11],
			Malware: f[12] == "malware", InKit: f[12] == "kit", PoC: f[12] == "poc",
		})
	}
	for i := range out {
		out[i].Score4, out[i].Vector4 = version4(out[i], i)
	}
	return out
}

// version4 gives every third advisory a CVSS 4.0 vector as well, as GitHub's database has for newer ones.
func version4(a Advisory, i int) (float64, string) {
	if i%3 != 0 {
		return 0, ""
	}
	m := map[string]string{}
	for _, part := range strings.Split(a.Vector, "/")[1:] {
		k, v, _ := strings.Cut(part, ":")
		m[k] = v
	}
	ui := map[string]string{"N": "N", "R": "A"}[m["UI"]]
	return a.Score, "CVSS:4.0/AV:" + m["AV"] + "/AC:" + m["AC"] + "/AT:N/PR:" + m["PR"] + "/UI:" + ui +
		"/VC:" + m["C"] + "/VI:" + m["I"] + "/VA:" + m["A"] + "/SC:N/SI:N/SA:N"
}
