package gitserver

import "strings"

// owner is the account that all repositories belong to in events.
const owner = "lab"

// pushEvent is the body of GitHub's push event
// (https://docs.github.com/en/webhooks/webhook-events-and-payloads#push), as far as receivers read it.
type pushEvent struct {
	Ref        string          `json:"ref"`
	BaseRef    *string         `json:"base_ref"`
	Before     string          `json:"before"`
	After      string          `json:"after"`
	Created    bool            `json:"created"`
	Deleted    bool            `json:"deleted"`
	Forced     bool            `json:"forced"` // the old commit is not among the new one's ancestors
	Compare    string          `json:"compare"`
	Commits    []commit        `json:"commits"`
	HeadCommit *commit         `json:"head_commit"`
	Repository eventRepository `json:"repository"`
	Pusher     author          `json:"pusher"`
}

type eventRepository struct {
	ID            int64      `json:"id"`
	Name          string     `json:"name"`
	FullName      string     `json:"full_name"`
	Owner         eventOwner `json:"owner"`
	Private       bool       `json:"private"`
	HTMLURL       string     `json:"html_url"`
	CloneURL      string     `json:"clone_url"`
	GitURL        string     `json:"git_url"`
	SSHURL        string     `json:"ssh_url"`
	DefaultBranch string     `json:"default_branch"`
}

type eventOwner struct {
	Name  string `json:"name"`
	Login string `json:"login"`
	Email string `json:"email"`
}

// newEvent describes one change of one ref. base is the server's URL as clients know it.
func newEvent(base, name, defaultBranch string, c change, commits []commit) pushEvent {
	html := base + "/" + name
	host := strings.TrimPrefix(strings.TrimPrefix(base, "http://"), "https://")
	for i := range commits {
		commits[i].URL = html + "/commit/" + commits[i].ID
	}
	e := pushEvent{
		Ref: c.ref, Before: c.before, After: c.after, Created: c.before == zero, Deleted: c.after == zero,
		Compare: html + "/compare/" + c.before[:12] + "..." + c.after[:12], Commits: commits,
		Repository: eventRepository{
			ID: 1, Name: name, FullName: owner + "/" + name, Owner: eventOwner{Name: owner, Login: owner, Email: owner + "@" + host},
			HTMLURL: html, CloneURL: html + ".git", GitURL: "git://" + host + "/" + name + ".git",
			SSHURL: "git@" + host + ":" + name + ".git", DefaultBranch: defaultBranch,
		},
		Pusher: author{Name: owner, Email: owner + "@" + host},
	}
	if e.Commits == nil {
		e.Commits = []commit{}
	}
	if n := len(commits); n > 0 {
		e.HeadCommit = &commits[n-1]
	}
	return e
}
