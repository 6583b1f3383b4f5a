package defender

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// BenchmarkFindings is one page of 1,000 rows about containers, from the wire's bytes to the nouns.
func BenchmarkFindings(b *testing.B) {
	var rows []json.RawMessage
	for i := range 1000 {
		rows = append(rows, json.RawMessage(fmt.Sprintf(`{"id":"/r/%d","name":"g-%d","type":"microsoft.security/assessments","properties":{"displayName":"Update openssl","status":{"code":"Unhealthy","statusChangeDate":"2026-08-28T04:11:02Z"},
"resourceDetails":{"Source":"Azure","Id":"/c/%d","ResourceType":"K8s-container","ResourceName":"api"},"metadata":{"severity":"High","recommendationCategory":"SoftwareUpdate"},
"risk":{"level":"High","riskFactors":["Internet Exposure"],"attackPathsReferences":[],"isContextualRisk":true,"paths":[]},
"additionalData":{"SoftwareName":"openssl","DetectedSoftwareVersions":["3.0.11"],"FixedVersion":"3.0.14","CvesDetails":[{"CveId":"CVE-2024-5535","Severity":"High"},{"CveId":"CVE-2024-4741","Severity":"Low"}],"ScannersDetails":{"mdvm":{"CvesIds":["CVE-2024-5535","CVE-2024-4741"]}}},
"resourceAdditionalData":{"Digest":"%s","ImageUri":"a.azurecr.io/shop/api@%s","clusterName":"aks","clusterResourceId":"%s","namespace":"n","controllerKind":"Deployment","controllerName":"api-%d","podName":"p","containerName":"c"}}}`,
			i, i, i, digestAB, digestAB, cluster, i/20)))
	}
	c, err := Open(Options{ARM: "http://127.0.0.1:1"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r := &reading{Client: c, at: time.Unix(1, 0), skipped: newTally()}
		if err := r.findings(b.Context(), scopeGroup{}, rows); err != nil {
			b.Fatal(err)
		}
		if len(r.out.Observation.Workloads) != 50 || len(r.skipped.counts) != 0 {
			b.Fatalf("%d workloads, %v", len(r.out.Observation.Workloads), r.skipped.counts)
		}
	}
}
