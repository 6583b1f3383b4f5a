package functionapp

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// servePayload invokes a function that gets its request as JSON, and answers
// what its http output says.
func (f *front) servePayload(w http.ResponseWriter, r *http.Request, fn *function, values map[string]string) {
	req, err := requestData(r, values)
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		w.WriteHeader(status)
		return
	}
	metadata := map[string]any{"sys": system(fn.name, f.caller.now())}
	for name, value := range values {
		metadata[name] = value
	}
	if body, ok := req["Body"].(string); ok && r.ContentLength > 0 {
		mergeBody(body, metadata)
	}
	// A caller that goes away does not stop the invocation.
	result, err := f.caller.call(f.work, fn, payload{Data: map[string]any{fn.trigger.Name: req}, Metadata: metadata})
	if err == nil {
		err = f.caller.deliver(f.work, fn, result)
	}
	if err != nil {
		f.log.Error("invocation failed", "function", fn.name, "reason", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	writeOutput(w, fn, result)
}

// requestData is the request as Data.<name> shows it. The body of a chunked
// request is lost, as it is in the real host.
func requestData(r *http.Request, values map[string]string) (map[string]any, error) {
	query := map[string]string{}
	for key, list := range r.URL.Query() {
		query[key] = strings.Join(list, ",")
	}
	req := map[string]any{"Url": "http://" + r.Host + r.URL.RequestURI(), "Method": r.Method, "Query": query,
		"Headers": r.Header, "Identities": []any{}}
	if len(values) > 0 {
		req["Params"] = values
	}
	if r.ContentLength <= 0 {
		return req, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && (media == "application/octet-stream" || strings.HasPrefix(media, "multipart/")) {
		req["Body"] = base64.StdEncoding.EncodeToString(body)
	} else {
		req["Body"] = strings.ToValidUTF8(string(body), "\uFFFD")
	}
	return req, nil
}

// writeOutput answers the caller from the http output binding, or from
// ReturnValue where that binding is $return.
func writeOutput(w http.ResponseWriter, fn *function, result *reply) {
	var raw json.RawMessage
	for _, b := range fn.bindings {
		if b.kind() == typeHTTP && b.isOut() {
			if raw = result.Outputs[b.Name]; b.Name == "$return" {
				raw = result.ReturnValue
			}
		}
	}
	var object map[string]json.RawMessage
	if len(raw) == 0 || string(raw) == "null" {
		w.WriteHeader(http.StatusOK)
		return
	}
	if json.Unmarshal(raw, &object) != nil {
		writeBody(w, http.StatusOK, raw)
		return
	}
	for name, value := range headers(object) {
		w.Header().Set(name, value)
	}
	writeBody(w, statusOf(object), field(object, "body"))
}

func field(object map[string]json.RawMessage, name string) json.RawMessage {
	for key, value := range object {
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return nil
}

func statusOf(object map[string]json.RawMessage) int {
	for _, name := range []string{"statusCode", "status"} {
		text := strings.Trim(string(field(object, name)), `"`)
		if status, err := strconv.Atoi(text); err == nil && status >= 200 && status <= 999 {
			return status
		}
	}
	return http.StatusOK
}

func headers(object map[string]json.RawMessage) map[string]string {
	out := map[string]string{}
	var values map[string]any
	if json.Unmarshal(field(object, "headers"), &values) != nil {
		return out
	}
	for name, value := range values {
		if text, ok := value.(string); ok {
			out[name] = text
		} else {
			out[name] = plainJSON(value)
		}
	}
	return out
}

// writeBody writes a JSON string as its text and anything else as JSON.
func writeBody(w http.ResponseWriter, status int, raw json.RawMessage) {
	var text string
	content, media := []byte(raw), "application/json; charset=utf-8"
	if json.Unmarshal(raw, &text) == nil {
		content, media = []byte(text), "text/plain; charset=utf-8"
	}
	if string(raw) == "null" {
		content = nil
	}
	if w.Header().Get("Content-Type") == "" && len(content) > 0 {
		w.Header().Set("Content-Type", media)
	}
	w.WriteHeader(status)
	_, _ = w.Write(content) // the caller has gone; nothing is left to tell
}
