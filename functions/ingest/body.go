package ingest

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"strings"
	"sync"
)

// bodies reads request bodies into buffers that are used again. Nothing keeps a part of a body: decoders copy.
type bodies struct {
	pool sync.Pool
}

// maxKept is the largest buffer that is kept for the next request.
const maxKept = 256 << 10

// read gives the whole body; release returns its buffer. A body beyond the limit is a *http.MaxBytesError.
func (b *bodies) read(w http.ResponseWriter, r *http.Request) (body []byte, release func(), err error) {
	if r.ContentLength > maxBody {
		return nil, nil, &http.MaxBytesError{Limit: maxBody}
	}
	buffer, _ := b.pool.Get().(*bytes.Buffer)
	if buffer == nil {
		buffer = new(bytes.Buffer)
	}
	buffer.Reset()
	// What is announced is not allocated before it comes: announcing costs a caller nothing.
	buffer.Grow(int(min(max(r.ContentLength, 0), maxKept/4)) + bytes.MinRead)
	if _, err := buffer.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		return nil, nil, err
	}
	return buffer.Bytes(), func() {
		if buffer.Cap() <= maxKept {
			b.pool.Put(buffer)
		}
	}, nil
}

func unreadable(err error) answer {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return refuse(http.StatusRequestEntityTooLarge, "too large", "the body is larger than 25 MiB")
	}
	return refuse(http.StatusBadRequest, "cut off", "the body did not arrive whole")
}

// checkContent refuses bodies that are compressed or of a type that is not wanted.
func checkContent(h http.Header, wanted func(mediaType string) bool) (answer, bool) {
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return refuse(http.StatusUnsupportedMediaType, "content encoding", "send the body without Content-Encoding"), false
	}
	content := h.Get("Content-Type")
	if content == "application/json" && wanted(content) {
		return answer{}, true
	}
	mediaType, parameters, err := mime.ParseMediaType(content)
	if charset := parameters["charset"]; err != nil || !wanted(mediaType) || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return refuse(http.StatusUnsupportedMediaType, "content type", "this content type is not taken; set the webhook's content type to application/json"), false
	}
	return answer{}, true
}

func isJSON(mediaType string) bool { return mediaType == "application/json" }
