package cosmosdb

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"throughline/infra/local/cosmosdb/store"
	"throughline/infra/local/cosmosdb/value"
)

const (
	minThroughput     = 400
	minAutoscale      = 1000
	autoscaleFraction = 10
)

// newOffer writes the throughput that the headers of a create ask for. Without them a container of its own gets
// the smallest; the value is undefined when there is no offer.
func (s *Server) newOffer(q *request, t *store.Tx, rid, self string, always bool) (value.Value, error) {
	manual, autoscale := q.Header.Get("X-Ms-Offer-Throughput"), q.Header.Get("X-Ms-Cosmos-Offer-Autopilot-Settings")
	var content value.Value
	switch {
	case manual != "":
		n, err := strconv.Atoi(manual)
		if err != nil || n < minThroughput {
			return value.Value{}, badRequest("The offer should have valid throughput values: %s.", clip(manual))
		}
		content = manualContent(float64(n))
	case autoscale != "":
		settings, err := value.Parse(autoscale)
		if err != nil || settings.Get("maxThroughput").Float() < minAutoscale {
			return value.Value{}, badRequest("The autoscale settings are not valid: %s.", clip(autoscale))
		}
		content = autoscaleContent(settings)
	case always:
		content = manualContent(minThroughput)
	default:
		return value.Value{}, nil
	}
	number, now := t.Next(), time.Now()
	id := databaseRID(number)
	offer := value.OfObject(
		[]string{"resource", "offerType", "offerResourceId", "offerVersion", "content", "id"},
		[]value.Value{value.OfString(self), value.OfString("Invalid"), value.OfString(rid), value.OfString("V2"), content, value.OfString(id)})
	offer = withSystem(offer, id, "offers/"+id+"/", etagOf(number), now)
	t.SetResource(store.Resource{Kind: kindOffer, Name: rid, Body: offer.JSON()})
	return offer, nil
}

func manualContent(n float64) value.Value {
	return value.OfObject([]string{"offerThroughput", "offerIsRUPerMinuteThroughputEnabled"},
		[]value.Value{value.OfNumber(n), value.OfBool(false)})
}

func autoscaleContent(settings value.Value) value.Value {
	start := settings.Get("maxThroughput").Float() / autoscaleFraction
	return manualContent(start).With("offerAutopilotSettings", settings)
}

// keepOffer adds an offer; the caller holds mu.
func (c *catalog) keepOffer(offer value.Value) {
	if offer.Kind() == value.Object {
		c.offers[offer.Get("offerResourceId").Text()] = offer
	}
}

func (c *catalog) hasOffer(rid string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, ok := c.offers[rid]
	return ok
}

func (s *Server) serveOffers(q *request) (*reply, error) {
	switch {
	case q.feed && q.Method == http.MethodGet:
		return list("Offers", "", s.catalog.offerBodies()), nil
	case q.feed && q.Method == http.MethodPost && q.isQuery():
		return s.queryResources(q, "Offers", "", s.catalog.offerBodies())
	case q.feed:
		return nil, methodNotAllowed()
	}
	for _, offer := range s.catalog.offerBodies() {
		if !strings.EqualFold(offer.Get("id").Text(), q.id) {
			continue
		}
		switch q.Method {
		case http.MethodGet:
			return offerReply(offer), nil
		case http.MethodPut:
			return s.replaceOffer(q, offer)
		}
		return nil, methodNotAllowed()
	}
	return nil, notFound()
}

func offerReply(offer value.Value) *reply {
	least := strconv.Itoa(minThroughput)
	if offer.Get("content").Get("offerAutopilotSettings").Kind() == value.Object {
		least = strconv.Itoa(minAutoscale)
	}
	return resourceReply(http.StatusOK, offer, metadataCharge).
		set("x-ms-cosmos-min-throughput", least).set("x-ms-offer-replace-pending", "false")
}

func (s *Server) replaceOffer(q *request, old value.Value) (*reply, error) {
	text, err := q.text()
	if err != nil {
		return nil, err
	}
	body, err := value.Parse(text)
	if err != nil {
		return nil, badRequest("The offer is not a JSON object.")
	}
	content := body.Get("content")
	if settings := content.Get("offerAutopilotSettings"); settings.Kind() == value.Object {
		if settings.Get("maxThroughput").Float() < minAutoscale {
			return nil, badRequest("The autoscale settings are not valid.")
		}
		content = autoscaleContent(settings)
	} else if content.Get("offerThroughput").Float() < minThroughput {
		return nil, badRequest("The offer should have valid throughput values.")
	}
	c := s.catalog
	c.change.Lock()
	defer c.change.Unlock()
	rid := old.Get("offerResourceId").Text()
	if !c.hasOffer(rid) {
		return nil, notFound()
	}
	now := time.Now()
	offer := old.With("content", content)
	err = s.store.Write(q.Context(), func(t *store.Tx) error {
		offer = withSystem(offer, old.Get("_rid").Text(), old.Get("_self").Text(), etagOf(t.Next()), now)
		t.SetResource(store.Resource{Kind: kindOffer, Name: rid, Body: offer.JSON()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keepOffer(offer)
	return offerReply(offer), nil
}
