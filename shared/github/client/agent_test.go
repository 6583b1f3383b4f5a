package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"throughline/shared/github/client"
	"throughline/shared/graph"
)

// An issue is given to the coding agent by a user's token only, however often it is asked, and the agent opens one pull
// request.
func TestAssignAgent(t *testing.T) {
	for name, token := range map[string]string{"with a user's token": "", "without": "none"} {
		t.Run(name, func(t *testing.T) {
			d, c := startDemo(t, func(o *client.Options) { o.UserToken = token })
			if token == "" {
				_, c = startDemoOf(t, d, func(o *client.Options) { o.UserToken = setting(t, d, "GITHUB_USER_TOKEN") })
			}
			found, _ := everything(t, c, "all")
			r := found.Repositories[0]
			i, err := c.CreateIssue(context.Background(), r, graph.IssueDraft{Title: "Update left-pad", Body: "text"})
			if err != nil {
				t.Fatal(err)
			}
			var errs []error
			for range 2 {
				errs = append(errs, c.AssignAgent(context.Background(), r, i.Number, "Fix it."))
			}
			has, err := c.HasAgent(context.Background(), r, i.Number)
			if err != nil {
				t.Fatal(err)
			}
			pulls := 0
			for _, x := range d.Issues() {
				if x.PullRequest && x.Author == "Copilot" && strings.Contains(x.Body, "Fixes #") {
					pulls++
				}
			}
			if token != "" {
				if errs[0] == nil || has || pulls != 0 {
					t.Errorf("a bad token: %v, has %t, %d pull requests", errs[0], has, pulls)
				}
				return
			}
			if err := errors.Join(errs...); err != nil || !has || pulls != 1 {
				t.Errorf("%v, has %t, %d pull requests", err, has, pulls)
			}
		})
	}
}

func TestNoAgentWithoutAUser(t *testing.T) {
	_, c := startDemo(t, nil)
	if err := c.AssignAgent(context.Background(), graph.Repository{Owner: "o", Name: "n"}, 1, ""); err == nil {
		t.Error("somebody asked the agent in nobody's name")
	}
}
