package environment

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
)

// github speaks GitHub's REST API, https://docs.github.com/rest.
type github struct{ *client }

// githubPull is also how Gitea describes a pull request.
type githubPull struct {
	Number   int       `json:"number"`
	HTMLURL  string    `json:"html_url"`
	State    string    `json:"state"`
	MergedAt *string   `json:"merged_at"`
	Body     string    `json:"body"`
	Head     githubEnd `json:"head"`
	Base     githubEnd `json:"base"`
}

// githubEnd is a branch as Gitea describes it: a head's ref is that of the pull request once the branch is deleted, and its
// label stays the branch's name.
type githubEnd struct {
	Label  string `json:"label"`
	RepoID int64  `json:"repo_id"`
}

func (p githubPull) pull() *pull {
	return &pull{id: p.Number, url: p.HTMLURL, open: p.State == "open", merged: p.MergedAt != nil, body: p.Body}
}

func (g *github) setStatus(ctx context.Context, commit string, s status) error {
	return g.call(ctx, "POST", "/statuses/"+commit, map[string]string{
		"state": choose(s.failed, "failure", "success"), "context": s.name, "description": clip(s.text, 140),
	}, nil)
}

func (g *github) pulls(ctx context.Context, from, into string) (out []*pull, err error) {
	q := url.Values{"state": {"all"}, "head": {g.where.segments[0] + ":" + from}, "base": {into},
		"sort": {"created"}, "direction": {"desc"}, "per_page": {strconv.Itoa(maxPulls)}}
	var found []githubPull
	err = g.call(ctx, "GET", "/pulls?"+q.Encode(), nil, &found)
	for _, p := range found {
		out = append(out, p.pull())
	}
	return out, err
}

func (g *github) open(ctx context.Context, from, into string, text description) (*pull, error) {
	var made githubPull
	err := g.call(ctx, "POST", "/pulls", map[string]string{"head": from, "base": into, "title": text.title, "body": text.body}, &made)
	return made.pull(), err
}

func (g *github) edit(ctx context.Context, p *pull, text description) error {
	return g.call(ctx, "PATCH", "/pulls/"+strconv.Itoa(p.id), map[string]string{"title": text.title, "body": text.body}, nil)
}

func (g *github) close(ctx context.Context, p *pull) error {
	return g.call(ctx, "PATCH", "/pulls/"+strconv.Itoa(p.id), map[string]string{"state": "closed"}, nil)
}

// gitea speaks the API of Gitea and Forgejo, https://docs.gitea.com/api, which is GitHub's with its own way to search.
type gitea struct{ *client }

func (g *gitea) setStatus(ctx context.Context, commit string, s status) error {
	return g.call(ctx, "POST", "/statuses/"+commit, map[string]string{
		"state": choose(s.failed, "failure", "success"), "context": s.name, "description": clip(s.text, 255),
	}, nil)
}

// pulls looks through the pull requests, which are listed from the newest and cannot be searched by branch. Those of forks
// are not ours, whatever their branch is called.
func (g *gitea) pulls(ctx context.Context, from, into string) (out []*pull, err error) {
	const pages, limit = 20, 50
	for page := 1; page <= pages && len(out) < maxPulls; page++ {
		var found []githubPull
		if err := g.call(ctx, "GET", fmt.Sprintf("/pulls?state=all&limit=%d&page=%d", limit, page), nil, &found); err != nil {
			return nil, err
		}
		for _, p := range found {
			if p.Head.Label == from && p.Head.RepoID == p.Base.RepoID && p.Base.Label == into {
				out = append(out, p.pull())
			}
		}
		if len(found) == 0 {
			break
		}
	}
	return out[:min(len(out), maxPulls)], nil
}

func (g *gitea) open(ctx context.Context, from, into string, text description) (*pull, error) {
	return (*github)(g).open(ctx, from, into, text)
}

func (g *gitea) edit(ctx context.Context, p *pull, text description) error {
	return (*github)(g).edit(ctx, p, text)
}

func (g *gitea) close(ctx context.Context, p *pull) error { return (*github)(g).close(ctx, p) }
