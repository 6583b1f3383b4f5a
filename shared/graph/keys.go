package graph

import (
	"slices"
	"strings"
)

// The kinds of documents.
const (
	KindRepository     Kind = "repository"
	KindFinding        Kind = "finding"
	KindRemediation    Kind = "remediation"
	KindEvidence       Kind = "evidence"
	KindExposure       Kind = "exposure"
	KindArtifact       Kind = "artifact"
	KindRuntimeFinding Kind = "runtimeFinding"
	KindRunner         Kind = "runner" // in artifact:<digest>: a workload that runs it
	KindWorkload       Kind = "workload"
	KindSummary        Kind = "summary"
	KindReading        Kind = "reading" // only in absences: a reading that its scope no longer holds
)

// RepositoryPartition holds a repository, its findings, remediations, evidence and exposure.
func RepositoryPartition(r RepositoryID) string { return "repo:" + string(r) }

// ArtifactPartition holds an artifact, its evidence, its runners and its runtime findings.
func ArtifactPartition(d Digest) string { return "artifact:" + string(d) }

// WorkloadPartition holds a workload.
func WorkloadPartition(w WorkloadID) string { return "workload:" + string(w) }

// RepositoryKey names the document of a repository.
func RepositoryKey(r RepositoryID) Key {
	return Key{GraphContainer, RepositoryPartition(r), "repository"}
}

// FindingKey names the document of a finding of a repository.
func FindingKey(r RepositoryID, f FindingID) Key {
	return Key{GraphContainer, RepositoryPartition(r), string(f)}
}

// RemediationKey names the document of a remediation.
func RemediationKey(r RepositoryID, m RemediationID) Key {
	return Key{GraphContainer, RepositoryPartition(r), string(m)}
}

// ExposureKey names the exposure document of a repository.
func ExposureKey(r RepositoryID) Key { return Key{GraphContainer, RepositoryPartition(r), "exposure"} }

// ArtifactKey names the document of an artifact.
func ArtifactKey(d Digest) Key { return Key{GraphContainer, ArtifactPartition(d), "artifact"} }

// EvidenceKeys name both sides of an evidence edge: in the artifact's and in the repository's partition.
func EvidenceKeys(e Evidence) (artifact, repository Key) {
	artifact = Key{GraphContainer, ArtifactPartition(e.Digest), "evidence-" + string(e.Repository) + "-" + string(e.Method)}
	repository = Key{GraphContainer, RepositoryPartition(e.Repository), "evidence-" + string(e.Digest) + "-" + string(e.Method)}
	return artifact, repository
}

// RunnerKey names the edge from an artifact to a workload that runs it.
func RunnerKey(d Digest, w WorkloadID) Key {
	return Key{GraphContainer, ArtifactPartition(d), "runner-" + string(w)}
}

// RuntimeFindingKey names a runtime finding in its artifact's partition.
func RuntimeFindingKey(d Digest, f FindingID) Key {
	return Key{GraphContainer, ArtifactPartition(d), string(f)}
}

// WorkloadKey names the document of a workload.
func WorkloadKey(w WorkloadID) Key { return Key{GraphContainer, WorkloadPartition(w), "workload"} }

// SummaryKey names the summary of a finding in the worklist.
func SummaryKey(o OrgID, f FindingID) Key { return Key{WorklistContainer, string(o), string(f)} }

// StateKey names a document of the state container.
func StateKey(partition, id string) Key { return Key{StateContainer, partition, id} }

// HeldPartition lists what a collect scope holds, so that its next complete reading can tell what is missing.
func HeldPartition(scope string) string { return "held:" + scope }

// HeldKey names an entry of the list of a scope.
func HeldKey(scope string, a Absence) Key {
	return StateKey(HeldPartition(scope), safeID(string(a.Kind)+"-"+a.ID))
}

// ScopeKey names the note of when a scope was last read to its end.
func ScopeKey(scope string) Key { return StateKey("scopes", safeID(scope)) }

// RunKey names the note of the last run over a root.
func RunKey(root string) Key { return StateKey("runs", safeID(root)) }

// longestID leaves room for what a store adds; Cosmos DB takes 255 characters.
const longestID = 200

// safeID makes a text fit for a document id: what an address cannot carry becomes a hash behind the readable rest.
func safeID(s string) string {
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || strings.ContainsRune(`/\?#%`, r) {
			return '.'
		}
		return r
	}, s)
	if clean == s && len(s) <= longestID {
		return s
	}
	head := strings.ToValidUTF8(clean[:min(len(clean), longestID-18)], "") // the cut may split a character
	return head + "." + shortHash(s, 16)
}

// NameKey names the document that tells which repository bears a full name on a host now.
func NameKey(host, fullName string) Key {
	return StateKey("names", host+":"+strings.ReplaceAll(strings.ToLower(fullName), "/", ":"))
}

// RefusalKey names the note that a source would not let a scope be read.
func RefusalKey(scope string) Key { return StateKey("refusals", safeID(scope)) }

// OfOneThing tells whether a scope is one alert, image, digest, repository or resource: nobody asks later when it was
// read.
func OfOneThing(scope string) bool {
	_, what, _ := strings.Cut(scope, " ")
	what, _, _ = strings.Cut(what, ":")
	return slices.Contains([]string{"alert", "image", "digest", "repository", "resource", "attestations", "installation"}, what)
}

// InquiriesPartition lists what is being asked about images.
const InquiriesPartition = "inquiries"

// InquiryKey names the note that it is being asked about a digest, or about a reference by tag.
func InquiryKey(about string) Key { return StateKey(InquiriesPartition, safeID(about)) }
