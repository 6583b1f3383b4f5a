package azure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"throughline/infra/local/demo/estate"
	"throughline/infra/local/demo/world"
)

// adminChange is what a deployment changes of a workload. Absent fields stay as they are.
type adminChange struct {
	Image   *int     `json:"image"`
	Removed *bool    `json:"removed"`
	Factors []string `json:"factors"` // names of estate.Factors; null leaves them, [] takes them all away
}

func (s *Server) adminWorkloads(w http.ResponseWriter, _ *http.Request) {
	out := []any{}
	for i, wl := range s.world.Workloads[:min(len(s.world.Workloads), 1000)] {
		d := s.world.Deployment(i)
		out = append(out, map[string]any{"workload": i, "id": s.world.ResourceID(wl), "kind": wl.Kind(), "image": d.Image, "digest": s.world.Digest(i), "removed": d.Removed})
	}
	write(w, http.StatusOK, out)
}

func (s *Server) adminWorkload(w http.ResponseWriter, r *http.Request) {
	i, err := strconv.Atoi(r.PathValue("workload"))
	var c adminChange
	if err == nil {
		err = json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&c)
	}
	if err == nil {
		err = c.known()
	}
	if err == nil {
		err = s.world.Change(i, time.Now().UTC(), c.apply)
	}
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, "InvalidRequest", err.Error())
		return
	}
	write(w, http.StatusOK, map[string]any{"workload": i, "image": s.world.Deployment(i).Image, "digest": s.world.Digest(i), "removed": s.world.Deployment(i).Removed})
}

func (c adminChange) known() error {
	for _, f := range c.Factors {
		if !slices.Contains(estate.Factors[:], f) {
			return fmt.Errorf("factor %q: want one of %v", f, estate.Factors)
		}
	}
	return nil
}

func (c adminChange) apply(d *world.Deployment) {
	if c.Image != nil {
		d.Image = *c.Image
	}
	if c.Removed != nil {
		d.Removed = *c.Removed
	}
	if c.Factors != nil {
		for n, f := range estate.Factors {
			d.Factors[n] = slices.Contains(c.Factors, f)
		}
	}
}
