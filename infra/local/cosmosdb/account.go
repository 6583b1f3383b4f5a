package cosmosdb

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
)

type region struct {
	Name     string `json:"name"`
	Endpoint string `json:"databaseAccountEndpoint"`
}

type account struct {
	ID                string   `json:"id"`
	RID               string   `json:"_rid"`
	Self              string   `json:"_self"`
	Writable          []region `json:"writableLocations"`
	Readable          []region `json:"readableLocations"`
	MultipleWrites    bool     `json:"enableMultipleWriteLocations"`
	ConsistencyPolicy struct {
		Level string `json:"defaultConsistencyLevel"`
	} `json:"userConsistencyPolicy"`
}

// account answers GET /. The SDK sends everything else to the endpoint named here, so it is the address that the request came to.
func (s *Server) account(q *request) (*reply, error) {
	if q.Method != http.MethodGet {
		return nil, methodNotAllowed()
	}
	host := q.Host
	if h, port, err := net.SplitHostPort(host); err == nil && h == "localhost" {
		host = net.JoinHostPort("127.0.0.1", port)
	}
	scheme := "http"
	if q.TLS != nil {
		scheme = "https"
	}
	here := []region{{Name: "South Central US", Endpoint: fmt.Sprintf("%s://%s/", scheme, host)}}
	a := account{ID: "localhost", RID: "localhost", Writable: here, Readable: here}
	a.ConsistencyPolicy.Level = "Strong"
	body, err := json.Marshal(a)
	return &reply{status: http.StatusOK, body: string(body)}, err
}
