package github

import "throughline/shared/github/scan"

// Account is a person, an organisation or an App's bot.
type Account struct {
	Login string
	ID    int64
	Type  string // User, Organization, Bot
}

// ReadAccount reads an account; null and anything else read as nobody.
func ReadAccount(c *scan.Cursor) Account {
	var a Account
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "login":
			a.Login = c.String()
		case "id":
			a.ID = c.Int()
		case "type":
			a.Type = c.String()
		}
	}
	return a
}
