package github

import (
	"time"

	"throughline/shared/github/scan"
)

// Comment is a comment on an issue as GitHub writes it.
type Comment struct {
	ID        int64
	Body      string
	Author    Account
	App       int64 // the App through which it was written
	CreatedAt time.Time
}

// ReadComment reads a comment.
func ReadComment(c *scan.Cursor) Comment {
	var m Comment
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "id":
			m.ID = c.Int()
		case "body":
			m.Body = c.String()
		case "user":
			m.Author = ReadAccount(c)
		case "performed_via_github_app":
			m.App = c.IntField("id")
		case "created_at":
			m.CreatedAt = c.Time()
		}
	}
	return m
}
