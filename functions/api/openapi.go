package api

import (
	_ "embed" // the description is a file
	"net/http"
)

//go:embed openapi.json
var description []byte

// describe gives the OpenAPI description of this API.
func describe(w http.ResponseWriter, r *http.Request) {
	send(w, r, "application/json", description)
}
