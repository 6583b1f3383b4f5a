package estate

import "fmt"

// Statement is the in-toto provenance statement for an image, as GitHub's attest action writes it.
func (e *Estate) Statement(img Image) map[string]any {
	home := "https://github.com/" + e.FullName(img.Repo)
	run := e.RunID(img)
	return map[string]any{
		"_type":         "https://in-toto.io/Statement/v1",
		"predicateType": "https://slsa.dev/provenance/v1",
		"subject":       []any{map[string]any{"name": img.Reference(), "digest": map[string]string{"sha256": img.Digest[7:]}}},
		"predicate": map[string]any{
			"buildDefinition": map[string]any{
				"buildType":          "https://actions.github.io/buildtypes/workflow/v1",
				"externalParameters": map[string]any{"workflow": map[string]any{"ref": "refs/heads/main", "repository": home, "path": ".github/workflows/build.yml"}},
				"internalParameters": map[string]any{"github": map[string]any{
					"event_name": "push", "repository_id": fmt.Sprint(e.Repositories[img.Repo].ID), "repository_owner_id": fmt.Sprint(e.Org.ID), "runner_environment": "github-hosted",
				}},
				"resolvedDependencies": []any{map[string]any{"uri": "git+" + home + "@refs/heads/main", "digest": map[string]string{"gitCommit": e.Commit(img.Repo, img.Revision)}}},
			},
			"runDetails": map[string]any{
				"builder":  map[string]any{"id": home + "/.github/workflows/build.yml@refs/heads/main"},
				"metadata": map[string]any{"invocationId": fmt.Sprintf("%s/actions/runs/%d/attempts/1", home, run)},
			},
		},
	}
}

// RunID is the number of the workflow run that built an image.
func (e *Estate) RunID(img Image) int64 {
	return 9_000_000_000 + e.number("run", img.seedKey)%900_000_000
}
