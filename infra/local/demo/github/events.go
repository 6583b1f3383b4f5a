package github

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"throughline/infra/local/demo/estate"
)

func (s *Server) pingHook() map[string]any {
	return map[string]any{"zen": "Keep it logically awesome.", "hook_id": s.world.AppID + 400_000_000, "hook": map[string]any{
		"type": "App", "id": s.world.AppID + 400_000_000, "name": "web", "active": true, "events": hookEvents, "app_id": s.world.AppID,
		"config":     map[string]any{"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": "http://127.0.0.1"},
		"created_at": stamp(s.world.Epoch), "updated_at": stamp(s.world.Epoch),
	}}
}

func (s *Server) installationHook() map[string]any {
	created := stamp(s.world.Epoch.AddDate(-1, 0, 0))
	id := fmt.Sprint(s.world.InstallationID)
	repositories := []any{}
	for i, r := range s.world.Repositories {
		if len(repositories) < 500 {
			repositories = append(repositories, map[string]any{"id": r.ID, "node_id": node("Repository", r.ID), "name": s.repos[i].Name, "full_name": s.fullName(i), "private": s.repos[i].Private})
		}
	}
	return map[string]any{"requester": nil, "repositories": repositories, "installation": map[string]any{
		"id": s.world.InstallationID, "node_id": node("IntegrationInstallation", s.world.InstallationID), "account": s.accountJSON(s.world.Org), "app_id": s.world.AppID,
		"app_slug": s.world.AppSlug, "target_id": s.world.Org.ID, "target_type": "Organization", "repository_selection": "all", "permissions": maps.Clone(s.installation.Permissions),
		"access_tokens_url": s.base + "/app/installations/" + id + "/access_tokens", "repositories_url": s.base + "/installation/repositories",
		"html_url": "https://github.com/organizations/" + s.world.Org.Login + "/settings/installations/" + id, "events": hookEvents, "created_at": created,
		"updated_at": created, "single_file_name": nil, "has_multiple_single_files": false, "single_file_paths": []string{}, "suspended_by": nil, "suspended_at": nil,
	}}
}

// manifest gives the head of an image's content: what a push by tag names.
func manifestOf(docs []estate.Document) (m map[string]any) {
	if json.Unmarshal(docs[0].Body, &m) != nil {
		return map[string]any{} // the estate writes valid JSON
	}
	return m
}

// packageHook tells of a container image pushed to GitHub's registry; key is package or registry_package.
func (s *Server) packageHook(key string, img estate.Image) map[string]any {
	manifests, _ := s.world.Content(img)
	labels := s.world.Labels(img)
	namespace, name, _ := strings.Cut(img.Path, "/")
	sha := s.world.Commit(img.Repo, img.Revision)
	id := s.world.RunID(img) % 10_000_000
	html := "https://github.com/orgs/" + s.world.Org.Login + "/packages/container/package/" + name
	m := manifestOf(manifests)
	layers, found := m["layers"]
	if !found {
		layers = []any{}
	}
	version := map[string]any{
		"id": id + 1, "version": img.Digest, "name": img.Digest, "description": "", "summary": "", "body": map[string]any{}, "html_url": html + "/" + fmt.Sprint(id+1),
		"manifest": "", "target_commitish": "main", "target_oid": sha, "created_at": stamp(img.Built()), "updated_at": stamp(img.Built()), "metadata": []any{},
		"package_files": []any{}, "installation_command": "docker pull " + img.Reference() + ":" + img.Tag, "package_url": img.Reference() + ":" + img.Tag,
		"container_metadata": map[string]any{
			"tag":      map[string]string{"name": img.Tag, "digest": img.Digest},
			"labels":   map[string]any{"description": "", "source": labels["org.opencontainers.image.source"], "revision": labels["org.opencontainers.image.revision"], "image_url": "", "licenses": "", "all_labels": labels},
			"manifest": map[string]any{"digest": img.Digest, "media_type": manifests[0].MediaType, "uri": "repositories/" + img.Path + "/manifests/" + img.Digest, "size": len(manifests[0].Body), "config": m["config"], "layers": layers},
		},
	}
	body := map[string]any{
		"id": id, "name": name, "namespace": namespace, "description": nil, "ecosystem": "CONTAINER", "package_type": "CONTAINER", "html_url": html,
		"created_at": stamp(img.Built()), "updated_at": stamp(img.Built()), "owner": s.accountJSON(s.world.Org), "package_version": version,
		"registry": map[string]any{"about_url": "https://docs.github.com/packages", "name": "GitHub CONTAINER registry", "type": "CONTAINER", "url": "https://ghcr.io/" + namespace, "vendor": "GitHub Inc"},
	}
	return map[string]any{key: body}
}

// runHook tells that the workflow run that built an image has ended.
func (s *Server) runHook(img estate.Image) map[string]any {
	repo := img.Repo
	id := s.world.RunID(img)
	full, sha := s.fullName(repo), s.world.Commit(repo, img.Revision)
	api, html := s.base+"/repos/"+full+"/actions", "https://github.com/"+full
	run := fmt.Sprintf("%s/runs/%d", api, id)
	flow := s.world.Repositories[repo].ID % 1_000_000
	author := s.world.Users[repo%len(s.world.Users)]
	person := map[string]any{"name": author.Name, "email": author.Login + "@example.com"}
	when := stamp(img.Built())
	simple := s.simpleRepository(repo)
	return map[string]any{
		"workflow": map[string]any{
			"id": flow, "node_id": node("Workflow", flow), "name": "build", "path": ".github/workflows/build.yml", "state": "active", "created_at": when, "updated_at": when,
			"url": fmt.Sprintf("%s/workflows/%d", api, flow), "html_url": html + "/blob/main/.github/workflows/build.yml", "badge_url": html + "/workflows/build/badge.svg",
		},
		"workflow_run": map[string]any{
			"id": id, "node_id": node("WorkflowRun", id), "name": "build", "path": ".github/workflows/build.yml", "display_title": "Build", "event": "push", "status": "completed",
			"conclusion": "success", "head_branch": "main", "head_sha": sha, "run_number": img.Revision, "run_attempt": 1, "run_started_at": when, "created_at": when, "updated_at": when,
			"workflow_id": flow, "workflow_url": fmt.Sprintf("%s/workflows/%d", api, flow), "check_suite_id": id + 1, "check_suite_node_id": node("CheckSuite", id+1),
			"check_suite_url": fmt.Sprintf("%s/repos/%s/check-suites/%d", s.base, full, id+1), "pull_requests": []any{}, "previous_attempt_url": nil,
			"url": run, "html_url": fmt.Sprintf("%s/actions/runs/%d", html, id), "jobs_url": run + "/jobs", "logs_url": run + "/logs", "artifacts_url": run + "/artifacts",
			"cancel_url": run + "/cancel", "rerun_url": run + "/rerun", "actor": s.accountJSON(author), "triggering_actor": s.accountJSON(author),
			"head_commit": map[string]any{"id": sha, "tree_id": sha, "message": "Build", "timestamp": when, "author": person, "committer": person},
			"repository":  simple, "head_repository": simple,
		},
	}
}

// pushHook tells of one commit on the default branch and the paths it touched.
func (s *Server) pushHook(repo, revision int, modified ...string) map[string]any {
	after, before := s.world.Commit(repo, revision), s.world.Commit(repo, max(revision-1, 0))
	author := s.world.Users[(repo+revision)%len(s.world.Users)]
	person := map[string]any{"name": author.Name, "email": author.Login + "@example.com", "username": author.Login}
	html := "https://github.com/" + s.fullName(repo)
	commit := map[string]any{
		"id": after, "tree_id": after, "distinct": true, "message": fmt.Sprintf("Change %d", revision), "timestamp": stamp(s.now()), "url": html + "/commit/" + after,
		"author": person, "committer": person, "added": []string{}, "removed": []string{}, "modified": append([]string{}, modified...),
	}
	repository := s.hookRepository(repo)
	repository["pushed_at"], repository["created_at"] = s.now().Unix(), s.world.Repositories[repo].Created.Unix()
	repository["stargazers"], repository["master_branch"] = 0, "main"
	return map[string]any{
		"ref": "refs/heads/main", "before": before, "after": after, "created": false, "deleted": false, "forced": false, "base_ref": nil,
		"compare": html + "/compare/" + before[:12] + "..." + after[:12], "commits": []any{commit}, "head_commit": commit,
		"pusher": map[string]any{"name": author.Login, "email": author.Login + "@example.com"}, "repository": repository,
	}
}

// pullHook tells of a pull request, which the stand-in keeps as an issue of the repository.
func (s *Server) pullHook(i *Issue) map[string]any {
	full := s.fullName(i.Repo)
	api, html := fmt.Sprintf("%s/repos/%s/pulls/%d", s.base, full, i.Number), fmt.Sprintf("https://github.com/%s/pull/%d", full, i.Number)
	issue := fmt.Sprintf("%s/repos/%s/issues/%d", s.base, full, i.Number)
	head := s.world.Commits(i.Repo) - 1
	sha := s.world.Commit(i.Repo, head)
	side := func(label, ref string) map[string]any {
		return map[string]any{"label": s.world.Org.Login + ":" + label, "ref": ref, "sha": sha, "user": s.accountJSON(s.world.Org), "repo": s.repositoryJSON(i.Repo)}
	}
	link := func(href string) map[string]string { return map[string]string{"href": href} }
	out := map[string]any{
		"id": i.ID, "node_id": node("PullRequest", i.ID), "number": i.Number, "url": api, "html_url": html, "diff_url": html + ".diff", "patch_url": html + ".patch",
		"issue_url": issue, "commits_url": api + "/commits", "review_comments_url": api + "/comments", "review_comment_url": s.base + "/repos/" + full + "/pulls/comments{/number}",
		"comments_url": issue + "/comments", "statuses_url": s.base + "/repos/" + full + "/statuses/" + sha, "state": i.State, "locked": false, "title": i.Title, "body": i.Body,
		"user": s.userJSON(i.Author), "labels": s.labelsJSON(i), "milestone": nil, "active_lock_reason": nil, "created_at": stamp(i.Created), "updated_at": stamp(i.Updated),
		"closed_at": stampOrNull(i.Closed), "merged_at": nil, "merge_commit_sha": nil, "assignee": nil, "assignees": s.usersJSON(i.Assignees), "requested_reviewers": []any{},
		"requested_teams": []any{}, "head": side("fix", "fix/"+fmt.Sprint(i.Number)), "base": side("main", "main"), "author_association": "MEMBER", "auto_merge": nil, "draft": false,
		"merged": i.Merged, "mergeable": nil, "rebaseable": nil, "mergeable_state": "unknown", "merged_by": nil, "comments": len(i.Comments), "review_comments": 0,
		"maintainer_can_modify": false, "commits": 1, "additions": 3, "deletions": 1, "changed_files": 1,
		"_links": map[string]any{"self": link(api), "html": link(html), "issue": link(issue), "comments": link(issue + "/comments"), "review_comments": link(api + "/comments"),
			"review_comment": link(s.base + "/repos/" + full + "/pulls/comments{/number}"), "commits": link(api + "/commits"), "statuses": link(s.base + "/repos/" + full + "/statuses/" + sha)},
	}
	if i.Merged {
		out["merged_at"], out["merge_commit_sha"], out["merged_by"] = stampOrNull(i.Closed), sha, s.userJSON(i.ClosedBy)
	}
	return map[string]any{"number": i.Number, "pull_request": out}
}
