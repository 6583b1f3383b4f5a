package github

import (
	"net/http"
	"slices"
	"strconv"

	"throughline/infra/local/demo/journal"
)

func (h *hooks) deliveryJSON(d delivery) map[string]any {
	out := map[string]any{
		"id": d.ID, "guid": d.GUID, "delivered_at": stamp(d.At), "redelivery": d.Redelivery, "duration": d.Duration, "status": d.Status, "status_code": d.Code,
		"event": d.Event, "action": orNull(d.Action), "installation_id": h.s.world.InstallationID, "repository_id": nil, "throttled_at": nil,
	}
	if d.Repository != 0 {
		out["repository_id"] = d.Repository
	}
	return out
}

// listDeliveries goes from the newest attempt to the oldest, by cursor; status is success or failure.
func (s *Server) listDeliveries(c *call) reply {
	v := c.r.URL.Query()
	cursor := int64(1) << 62
	if text := v.Get("cursor"); text != "" {
		n, err := strconv.ParseInt(decodeCursor(text), 10, 64)
		if err != nil {
			return problem(http.StatusBadRequest, "Invalid cursor")
		}
		cursor = n
	}
	h := s.hooks
	h.mu.Lock()
	defer h.mu.Unlock()
	out := []any{}
	size := c.perPage()
	var header map[string]string
	for _, d := range slices.Backward(h.all) {
		good := d.Code/100 == 2
		if d.Pending || d.ID >= cursor || v.Get("status") == "failure" && good || v.Get("status") == "success" && !good {
			continue
		}
		if len(out) == size {
			header = linkHeader([]string{c.link("next", "cursor", encodeCursor(strconv.FormatInt(cursor, 10)))})
			break
		}
		out, cursor = append(out, h.deliveryJSON(*d)), d.ID
	}
	return reply{http.StatusOK, out, header}
}

func (s *Server) findDelivery(c *call) (delivery, bool) {
	h := s.hooks
	h.mu.Lock()
	defer h.mu.Unlock()
	id := int64(c.number("id"))
	n, found := slices.BinarySearchFunc(h.all, id, func(d *delivery, id int64) int { return int(d.ID - id) })
	if !found || h.all[n].Pending {
		return delivery{}, false
	}
	return *h.all[n], true
}

func (s *Server) getDelivery(c *call) reply {
	d, found := s.findDelivery(c)
	if !found {
		return problem(http.StatusNotFound, "Not Found")
	}
	payload, err := s.hooks.payload(d.GUID)
	if err != nil {
		return broken(err)
	}
	out := s.hooks.deliveryJSON(d)
	out["request"] = map[string]any{"headers": s.hooks.headers(&d), "payload": payload}
	out["response"] = map[string]any{"headers": map[string]string{}, "payload": d.Reply}
	return ok(out)
}

// redeliver queues one more attempt under the same GUID and answers 202 with an empty object.
func (s *Server) redeliver(c *call) reply {
	d, found := s.findDelivery(c)
	if !found {
		return problem(http.StatusNotFound, "Not Found")
	}
	next := d
	next.ID, next.Redelivery, next.Pending, next.At, next.Code, next.Status, next.Reply = s.hooks.nextID(), true, true, s.now(), 0, "pending", ""
	if err := s.journal.Put(journal.Entry{Key: deliveryKey(next.ID), Value: next}); err != nil {
		return broken(err)
	}
	s.hooks.enqueue([]*delivery{&next})
	return reply{status: http.StatusAccepted, body: map[string]any{}}
}
