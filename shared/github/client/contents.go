package client

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// ownersPlaces are where GitHub looks for CODEOWNERS; the first wins.
var ownersPlaces = [...]string{".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"}

// maxOwners is the size from which GitHub ignores the file.
const maxOwners = 3 << 20

// CodeOwners reads the CODEOWNERS file of the default branch. An empty path tells that there is none.
func (c *Client) CodeOwners(ctx context.Context, r graph.Repository) (text, file string, err error) {
	a, err := c.repository(ctx, r)
	if err != nil {
		return "", "", err
	}
	for _, place := range ownersPlaces {
		text, found, err := c.file(ctx, a, r, place)
		if err != nil {
			return "", "", fmt.Errorf("read %s of %s: %w", place, r.FullName(), err)
		}
		if found && len(text) < maxOwners {
			return text, place, nil
		}
	}
	return "", "", nil
}

// file reads a file of the default branch.
func (c *Client) file(ctx context.Context, a *access, r graph.Repository, name string) (text string, found bool, err error) {
	got, err := c.call(ctx, a, http.MethodGet, path("repos", r.Owner, r.Name, "contents")+"/"+name, nil)
	if isGone(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	encoding, content, isFile := "", "", false
	err = walk(got, func(cur *scan.Cursor) {
		for cur.Object(); cur.Field(); {
			switch string(cur.Key()) {
			case "type":
				isFile = cur.String() == "file"
			case "encoding":
				encoding = cur.String()
			case "content":
				content = cur.String()
			}
		}
	})
	if err != nil || !isFile {
		return "", false, err
	}
	if encoding != "base64" {
		return "", false, fmt.Errorf("encoding %q is not known", encoding)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(content, "\n", ""))
	return string(raw), err == nil, err
}

// Compare tells whether base is an ancestor of head, or the same commit. graph.ErrNotFound tells that one of them is not
// in the repository.
func (c *Client) Compare(ctx context.Context, r graph.Repository, base, head string) (ancestor bool, err error) {
	a, err := c.repository(ctx, r)
	if err != nil {
		return false, err
	}
	got, err := c.call(ctx, a, http.MethodGet, path("repos", r.Owner, r.Name, "compare", base+"..."+head)+"?per_page=1", nil)
	if isGone(err) {
		return false, fmt.Errorf("compare %s with %s in %s: %w", base, head, r.FullName(), graph.ErrNotFound)
	}
	if err != nil {
		return false, err
	}
	err = walk(got, func(cur *scan.Cursor) {
		for cur.Object(); cur.Field(); {
			if string(cur.Key()) == "status" {
				status := cur.String()
				ancestor = status == "ahead" || status == "identical"
			}
		}
	})
	return ancestor, err
}
