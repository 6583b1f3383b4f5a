package client_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"throughline/shared/graph"
)

// Deployments and storage are taken as often as they are told, and so is what is gone.
func TestRecords(t *testing.T) {
	d, c := startDemo(t, nil)
	x := d.Expected()
	image, ok := x.ImageList[0], false
	for _, i := range x.ImageList {
		if i.Repository != 0 && i.Running > 0 {
			image, ok = i, true
		}
	}
	if !ok {
		t.Fatal("no image of the organisation runs")
	}
	var name string
	for _, r := range x.RepositoryList {
		if r.ID == image.Repository {
			_, name, _ = strings.Cut(r.FullName, "/")
		}
	}
	one := graph.Deployment{Cluster: "aks-prod-00", Name: name + "-pod-1a2b3c4d", Image: image.Reference, Digest: graph.Digest(image.Digest), Risks: []graph.Factor{graph.InternetExposed}, Repository: name}
	gone := one
	gone.Gone = true
	for _, all := range [][]graph.Deployment{{one}, {one}, {gone}, {{Cluster: "aks-prod-00", Name: "x", Image: "y", Digest: one.Digest, Repository: "no-such-repository"}}} {
		if err := c.RecordDeployments(context.Background(), x.Organization, one.Cluster, all); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.RecordStorage(context.Background(), x.Organization, one); err != nil {
		t.Fatal(err)
	}
}

func TestCampaigns(t *testing.T) {
	d, c := startDemo(t, nil)
	x := d.Expected()
	k := graph.Campaign{ID: "abc", Login: x.Organization, Name: "Injections", Description: "All of them (throughline abc)", Ends: time.Now().AddDate(0, 1, 0), Alerts: map[graph.RepositoryID][]int{}}
	for _, a := range x.AlertList {
		if a.Kind == "code_scanning" && a.State == "open" {
			r := graph.NewRepositoryID("github", a.Repository)
			k.Alerts[r] = append(k.Alerts[r], a.Number)
		}
	}
	made, err := c.CreateCampaign(context.Background(), k)
	if err != nil || made.Number != 1 || made.State != graph.CampaignOpen || made.Progress.Open != x.Open["code_scanning"] {
		t.Fatalf("%v %+v", err, made)
	}
	all, err := c.ListCampaigns(context.Background(), x.Organization)
	if err != nil || len(all) != 1 || all[0].Description != k.Description || all[0].Progress.All() != x.Open["code_scanning"] {
		t.Errorf("%v %+v", err, all)
	}
	k.Alerts = nil
	if _, err := c.CreateCampaign(context.Background(), k); err == nil {
		t.Error("a campaign of nothing was taken")
	}
}
