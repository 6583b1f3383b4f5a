package ingest

import (
	"errors"
	"slices"
	"strings"

	"throughline/shared/graph"
)

// watched are the types of Azure resources that run images, in lower case.
var watched = []string{
	"microsoft.app/containerapps",
	"microsoft.app/jobs",
	"microsoft.containerinstance/containergroups",
	"microsoft.containerservice/managedclusters",
	"microsoft.web/sites",
}

// resourceChanged asks for the resource again: the notification of a type is not sure to hold all its properties.
func resourceChanged(h hearing) (told, error) {
	if err := h.trusted(); err != nil {
		return told{}, err
	}
	var data struct {
		Resource struct {
			ID   string `json:"id"`
			Type string `json:"type"`
		} `json:"resourceInfo"`
	}
	if err := h.into(&data); err != nil {
		return told{}, err
	}
	id := strings.ToLower(data.Resource.ID)
	if id == "" {
		id = strings.ToLower(h.event.Subject())
	}
	if !strings.HasPrefix(id, "/subscriptions/") {
		return told{}, errors.New("the notification names no resource")
	}
	var t told
	if !slices.Contains(watched, resourceType(id)) {
		t.skip("resource of a type that runs no images")
		return t, nil
	}
	t.follow = []graph.Collection{{Source: "azure", Scope: "resource:" + id}}
	return t, nil
}

// resourceType takes provider/type out of a resource id; a nested resource counts as the one it lies in.
func resourceType(id string) string {
	_, path, found := strings.Cut(id, "/providers/")
	parts := strings.Split(path, "/")
	if !found || len(parts) < 3 {
		return ""
	}
	return parts[0] + "/" + parts[1]
}
