// Package fault holds the switches with which a test or a demonstration disturbs a Service Bus: delay, throttle,
// refuse or drop what clients do, cut all connections, expire locks now.
//
// A switch names an operation (connect, attach, send, receive, settle, manage; "" = any of them), an entity ("" = any),
// an action, and how often it acts (0 = until it is taken away). Receiving can only be delayed: each delivery then
// follows the one before at that distance.
package fault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"throughline/infra/local/servicebus/broker"
	"throughline/infra/local/servicebus/wire"
)

// Switch is one disturbance.
type Switch struct {
	Operation string `json:"operation,omitempty"`
	Entity    string `json:"entity,omitempty"`
	Action    string `json:"action"` // delay, throttle, refuse, drop
	DelayMS   int    `json:"delayMs,omitempty"`
	DelayUS   int    `json:"delayUs,omitempty"`
	Condition string `json:"condition,omitempty"` // of refuse; amqp:internal-error when empty
	Count     int    `json:"count,omitempty"`     // how often yet; 0 = always
}

// Actions of a switch.
const (
	Delay    = "delay"
	Throttle = "throttle"
	Refuse   = "refuse"
	Drop     = "drop"
)

// Panel holds the switches that are on. Its zero value has none.
type Panel struct {
	mu       sync.Mutex
	switches []Switch
}

// Set turns a switch on.
func (p *Panel) Set(s Switch) error {
	switch s.Action {
	case Delay, Throttle, Refuse, Drop:
	default:
		return fmt.Errorf("the action %q is none of delay, throttle, refuse, drop", s.Action)
	}
	if s.Operation == "receive" && s.Action != Delay {
		return fmt.Errorf("receiving can be delayed, not %sd", strings.TrimSuffix(s.Action, "e"))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.switches = append(p.switches, s)
	return nil
}

// Clear turns all switches off.
func (p *Panel) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.switches = nil
}

// Switches lists those that are on.
func (p *Panel) Switches() []Switch {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Switch{}, p.switches...)
}

// Before implements wire.Faults.
func (p *Panel) Before(operation, entity string) (delay time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; i < len(p.switches); i++ {
		s := &p.switches[i]
		if !s.meets(operation, entity) {
			continue
		}
		delay += time.Duration(s.DelayMS)*time.Millisecond + time.Duration(s.DelayUS)*time.Microsecond
		err = s.effect()
		if s.Count > 0 {
			if s.Count--; s.Count == 0 {
				p.switches = append(p.switches[:i:i], p.switches[i+1:]...)
				i--
			}
		}
		if err != nil {
			break
		}
	}
	return delay, err
}

func (s *Switch) meets(operation, entity string) bool {
	if s.Operation != operation && (s.Operation != "" || operation == "receive" && s.Action != Delay) {
		return false
	}
	return s.Entity == "" || strings.EqualFold(s.Entity, entity)
}

func (s *Switch) effect() error {
	switch s.Action {
	case Throttle:
		return broker.ErrBusy
	case Drop:
		return wire.ErrDrop
	case Refuse:
		condition := s.Condition
		if condition == "" {
			condition = "amqp:internal-error"
		}
		return &broker.Fault{Condition: condition, Description: "Refused by a fault switch."}
	}
	return nil
}

// Desk serves the panel over HTTP:
//
//	GET    /$faults          the switches that are on
//	POST   /$faults          turn one on: a Switch as JSON
//	DELETE /$faults          turn all off
//	POST   /$faults/drop     cut all connections; {"connections":n}
//	POST   /$faults/expire   expire locks now: {"entity":"queue","sequence":n} or {"entity":"queue","session":"id"},
//	                         all locks of the entity without either; {"expired":n}
//	GET    /$counts          messages of each entity
type Desk struct {
	Panel  *Panel
	Broker *broker.Broker
	Wire   *wire.Server
}

// Serves tells whether a path is the desk's.
func (d *Desk) Serves(path string) bool {
	return path == "/$faults" || strings.HasPrefix(path, "/$faults/") || path == "/$counts"
}

// ServeHTTP implements http.Handler.
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /$counts":
		answer(w, http.StatusOK, d.Broker.Counts())
	case "GET /$faults":
		answer(w, http.StatusOK, d.Panel.Switches())
	case "POST /$faults":
		var s Switch
		if err := read(r, &s); err != nil {
			refuse(w, err)
		} else if err := d.Panel.Set(s); err != nil {
			refuse(w, err)
		} else {
			answer(w, http.StatusCreated, s)
		}
	case "DELETE /$faults":
		d.Panel.Clear()
		w.WriteHeader(http.StatusNoContent)
	case "POST /$faults/drop":
		answer(w, http.StatusOK, map[string]int{"connections": d.Wire.Drop()})
	case "POST /$faults/expire":
		d.expire(w, r)
	default:
		answer(w, http.StatusNotFound, map[string]string{"error": "there is no such switch"})
	}
}

func (d *Desk) expire(w http.ResponseWriter, r *http.Request) {
	var which struct {
		Entity   string  `json:"entity"`
		Sequence int64   `json:"sequence"`
		Session  *string `json:"session"`
	}
	if err := read(r, &which); err != nil {
		refuse(w, err)
		return
	}
	q, err := d.Broker.Find(which.Entity)
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]int{"expired": d.Broker.ExpireLocks(q, which.Sequence, which.Session)})
}

func read(r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 64<<10))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func refuse(w http.ResponseWriter, err error) {
	answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who asked is gone
}
