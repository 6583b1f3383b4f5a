package feeds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// published is where each feed is published.
var published = map[Feed]string{
	KEV:          "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
	EPSS:         "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz",
	Vulnrichment: "https://codeload.github.com/cisagov/vulnrichment/tar.gz/refs/heads/develop",
}

// largest is the most bytes that a feed may have on its way; each is many times what it has today.
var largest = map[Feed]int64{KEV: 64 << 20, EPSS: 64 << 20, Vulnrichment: 2 << 30}

// names are the files of each feed in a folder, as their publishers name them.
var names = map[Feed][]string{
	KEV:          {"known_exploited_vulnerabilities.json"},
	EPSS:         {"epss_scores-*.csv.gz", "epss_scores-*.csv"},
	Vulnrichment: {"vulnrichment*.tar.gz", "vulnrichment*.tgz", "vulnrichment*.zip", "vulnrichment"},
}

// errUnchanged tells that there is no newer edition than the one in force.
var errUnchanged = errors.New("unchanged")

// copies are the files of an edition on this machine, and the marks of the answer that brought them.
type copies struct {
	files              []string
	etag, lastModified string
	done               func()
}

// fetch brings the newest edition of a feed onto this machine, whole, or nothing.
func (s *Source) fetch(ctx context.Context, f Feed, h Head) (copies, error) {
	if s.Dir != "" {
		return s.find(f, h)
	}
	return s.download(ctx, f, h)
}

// find lists the files of a feed in the folder; they are the same when names, sizes and times are.
func (s *Source) find(f Feed, h Head) (copies, error) {
	c := copies{done: func() {}}
	var marks []string
	for _, pattern := range names[f] {
		found, err := filepath.Glob(filepath.Join(s.Dir, pattern))
		if err != nil {
			return c, err
		}
		for _, name := range found {
			info, err := os.Stat(name)
			if err != nil {
				return c, err
			}
			marks = append(marks, fmt.Sprintf("%s %d %d", filepath.Base(name), info.Size(), info.ModTime().UnixNano()))
		}
		c.files = append(c.files, found...)
	}
	if len(c.files) == 0 {
		return c, fmt.Errorf("FEEDS_DIR %s has no %s", s.Dir, strings.Join(names[f], " or "))
	}
	slices.Sort(c.files)
	c.etag = strings.Join(marks, ",")
	if c.etag == h.ETag {
		return c, errUnchanged
	}
	return c, nil
}

// download asks for the feed unless it is unchanged. What is cut short on its way is an error.
func (s *Source) download(ctx context.Context, f Feed, h Head) (copies, error) {
	c := copies{done: func() {}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address(f), nil)
	if err != nil {
		return c, err
	}
	req.Header.Set("User-Agent", "throughline")
	// Asked for by hand, the transport does not unpack, and the length stays that of the file.
	req.Header.Set("Accept-Encoding", "identity")
	if h.ETag != "" {
		req.Header.Set("If-None-Match", h.ETag)
	}
	if h.LastModified != "" {
		req.Header.Set("If-Modified-Since", h.LastModified)
	}
	resp, err := s.client().Do(req)
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotModified:
		return c, errUnchanged
	case http.StatusOK:
	default:
		return c, fmt.Errorf("%s answered %s", req.URL.Host, resp.Status)
	}
	c.etag, c.lastModified = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	return c.keep(f, resp)
}

// keep writes the answer into a file of its own.
func (c copies) keep(f Feed, resp *http.Response) (copies, error) {
	suffix := map[Feed]string{KEV: ".json", EPSS: ".csv.gz", Vulnrichment: ".tar.gz"}[f]
	file, err := os.CreateTemp("", "feed-*"+suffix)
	if err != nil {
		return c, err
	}
	c.files, c.done = []string{file.Name()}, func() { os.Remove(file.Name()) }
	n, err := io.Copy(file, io.LimitReader(resp.Body, largest[f]+1))
	err = errors.Join(err, file.Close())
	switch {
	case err != nil:
	case n > largest[f]:
		err = fmt.Errorf("more than %d bytes", largest[f])
	case resp.ContentLength >= 0 && n != resp.ContentLength:
		err = fmt.Errorf("%d of %d bytes came", n, resp.ContentLength)
	case n == 0:
		err = errors.New("it is empty")
	}
	if err != nil {
		c.done()
	}
	return c, err
}

func (s *Source) address(f Feed) string {
	if s.Addresses[f] != "" {
		return s.Addresses[f]
	}
	return published[f]
}

func (s *Source) client() *http.Client {
	if s.Client != nil {
		return s.Client
	}
	return &http.Client{Timeout: 10 * time.Minute}
}
