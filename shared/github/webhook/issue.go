package webhook

import (
	"slices"
	"strings"

	"throughline/shared/github"
	"throughline/shared/graph"
)

// label is on every issue that the project opens.
const label = "throughline"

// sayIssue observes an issue of ours. Everybody's other issues are none of our business.
func sayIssue(p *payload, r *Result) {
	id := p.identity()
	if p.issue == nil || p.issue.Number < 1 || !id.Valid() {
		r.skip("issue without a number or a repository")
		return
	}
	if !p.decoder.ours(*p.issue) {
		return
	}
	noun := p.issue.Noun(id)
	noun.Actor, noun.Own = p.sender.Login, p.decoder.echo(p.sender, *p.issue)
	noun.Deleted = p.action == "deleted" || p.action == "transferred" && p.moved == nil
	if p.action == "transferred" && p.moved != nil {
		if next := p.moved.repository.Identity(p.decoder.Host); next.Valid() && p.moved.issue.Number > 0 {
			noun.Moved = &graph.IssuePlace{Repository: next, Number: p.moved.issue.Number, URL: p.moved.issue.URL}
		}
	}
	r.Observation.Issues = append(r.Observation.Issues, noun)
}

// sayComment observes a command: a new comment of a person on an issue of ours whose first line begins with the prefix. An
// edit is no command, because others than the writer may edit; neither is what a bot writes.
func sayComment(p *payload, r *Result) {
	id, m := p.identity(), p.comment
	if p.issue == nil || p.issue.Number < 1 || m.ID < 1 || !id.Valid() {
		r.skip("comment without an id, an issue or a repository")
		return
	}
	text, isCommand := command(m.Body)
	person := m.Author.Type == "User" && m.App == 0 && m.Author.Login == p.sender.Login
	if !isCommand || !person || p.action != "created" || p.issue.IsPullRequest || !p.decoder.ours(*p.issue) {
		return
	}
	r.Observation.Commands = append(r.Observation.Commands, graph.Command{Repository: id, Issue: p.issue.Number, Comment: m.ID, Actor: m.Author.Login, Text: text, At: m.CreatedAt})
}

// command is the first line of a comment that is meant for us.
func command(body string) (string, bool) {
	line, _, _ := strings.Cut(body, "\n")
	line = strings.TrimSpace(line)
	word, _, _ := strings.Cut(line, " ")
	if word != graph.CommandPrefix {
		return "", false
	}
	if len(line) > graph.MaxCommand {
		line = strings.ToValidUTF8(line[:graph.MaxCommand], "")
	}
	return line, true
}

// ours tells whether the App opened the issue, or somebody marked it as ours.
func (d Decoder) ours(i github.Issue) bool {
	if d.AppID == 0 && d.AppSlug == "" {
		return true
	}
	return i.App != 0 && i.App == d.AppID || d.isBot(i.Creator) || slices.Contains(i.Labels, label)
}

// echo tells whether the change is our own write coming back. The App that an issue names is the one that opened it, so
// without knowing our bot's name only the sender who also opened it tells: a person or another bot who closes our issue
// is no echo.
func (d Decoder) echo(sender github.Account, i github.Issue) bool {
	if d.AppSlug != "" {
		return d.isBot(sender)
	}
	return sender.Type == "Bot" && sender.Login == i.Creator.Login && i.App != 0 && i.App == d.AppID
}

func (d Decoder) isBot(a github.Account) bool {
	return d.AppSlug != "" && strings.EqualFold(a.Login, d.AppSlug+"[bot]")
}

// sayPullRequest observes a pull request that says which issues it fixes, or may just have stopped to say so, and those
// of bots, which fix without saying.
func sayPullRequest(p *payload, r *Result) {
	id := p.identity()
	if p.pull == nil || p.pull.Number < 1 || !id.Valid() {
		r.skip("pull request without a number or a repository")
		return
	}
	noun := p.pull.Noun(id, p.repository.FullName)
	if len(noun.Issues) > 0 || p.action == "edited" || strings.HasSuffix(noun.Author, "[bot]") || noun.Author == "Copilot" {
		r.Observation.PullRequests = append(r.Observation.PullRequests, noun)
	}
}
