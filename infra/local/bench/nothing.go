package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"throughline/infra/local/cosmosdb"
)

// serveNothing answers what azcosmos needs to hear, and does no work: what is left is the client and HTTP.
func serveNothing() (connection string, stop func() error, err error) {
	l, err := net.Listen("tcp", loopback)
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: nothing()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends when it is closed
	}()
	return "AccountEndpoint=http://" + l.Addr().String() + "/;AccountKey=" + cosmosdb.EmulatorKey, func() error {
		err := server.Close()
		<-done
		return err
	}, nil
}

func nothing() http.Handler {
	_, _, one := document(1)
	page := fmt.Appendf(nil, `{"_rid":"x","Documents":[%s],"_count":%d}`, strings.TrimSuffix(strings.Repeat(string(one)+",", perPartition), ","), perPartition)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Type"] = []string{"application/json"}
		h["X-Ms-Request-Charge"] = []string{"1.00"}
		h["Etag"] = []string{`"1"`}
		h["X-Ms-Session-Token"] = []string{"0:-1#1"}
		_, _ = io.Copy(io.Discard, r.Body) // the client is gone, then
		body := one
		switch {
		case r.URL.Path == "/":
			region := `[{"name":"South Central US","databaseAccountEndpoint":"http://` + r.Host + `/"}]`
			body = []byte(`{"writableLocations":` + region + `,"readableLocations":` + region + `,"userConsistencyPolicy":{"defaultConsistencyLevel":"Strong"}}`)
		case r.Header.Get("X-Ms-Documentdb-Query") != "":
			body = page
		case r.Method == http.MethodPost:
			body = nil
		}
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
		_, _ = w.Write(body)
	})
}
