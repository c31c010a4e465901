package environment

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// bitbucket speaks the API of Bitbucket Cloud, https://developer.atlassian.com/cloud/bitbucket/rest.
type bitbucket struct{ *client }

type cloudPull struct {
	ID          int    `json:"id"`
	State       string `json:"state"`
	Description string `json:"description"`
	Links       struct {
		HTML struct{ Href string } `json:"html"`
	} `json:"links"`
	Reviewers json.RawMessage `json:"reviewers"` // not in a list
}

func (p cloudPull) pull() *pull {
	return &pull{id: p.ID, url: p.Links.HTML.Href, open: p.State == "OPEN", merged: p.State == "MERGED", body: p.Description}
}

type cloudBranch struct {
	Branch struct {
		Name string `json:"name"`
	} `json:"branch"`
}

func branchNamed(name string) (b cloudBranch) {
	b.Branch.Name = name
	return b
}

// buildStatus is what both Bitbuckets want; a link is required, and the key is at most 40 characters on Cloud.
func buildStatus(s status, link string) map[string]string {
	return map[string]string{"key": clip(s.name, 40), "name": s.name, "state": choose(s.failed, "FAILED", "SUCCESSFUL"),
		"description": clip(s.text, 255), "url": link}
}

func (b *bitbucket) setStatus(ctx context.Context, commit string, s status) error {
	link := b.where.web + "/" + b.where.segments[0] + "/" + b.where.segments[1] + "/commits/" + commit
	return b.call(ctx, "POST", "/commit/"+commit+"/statuses/build", buildStatus(s, link), nil)
}

func (b *bitbucket) pulls(ctx context.Context, from, into string) (out []*pull, err error) {
	q := url.Values{"state": {"OPEN", "MERGED", "DECLINED", "SUPERSEDED"}, "sort": {"-created_on"}, "pagelen": {strconv.Itoa(maxPulls)},
		"q": {fmt.Sprintf("source.repository.full_name=%q AND source.branch.name=%q AND destination.branch.name=%q",
			strings.Join(b.where.segments, "/"), from, into)}}
	var found struct{ Values []cloudPull }
	err = b.call(ctx, "GET", "/pullrequests?"+q.Encode(), nil, &found)
	for _, p := range found.Values {
		out = append(out, p.pull())
	}
	return out, err
}

func (b *bitbucket) open(ctx context.Context, from, into string, text description) (*pull, error) {
	var made cloudPull
	err := b.call(ctx, "POST", "/pullrequests", map[string]any{"title": text.title, "description": text.body,
		"source": branchNamed(from), "destination": branchNamed(into), "close_source_branch": true}, &made)
	return made.pull(), err
}

// edit sends the reviewers along: without them, they are removed.
func (b *bitbucket) edit(ctx context.Context, p *pull, text description) error {
	at := fmt.Sprintf("/pullrequests/%d", p.id)
	var was cloudPull
	if err := b.call(ctx, "GET", at, nil, &was); err != nil {
		return err
	}
	return b.call(ctx, "PUT", at, map[string]any{"title": text.title, "description": text.body, "reviewers": was.Reviewers}, nil)
}

func (b *bitbucket) close(ctx context.Context, p *pull) error {
	return b.call(ctx, "POST", fmt.Sprintf("/pullrequests/%d/decline", p.id), nil, nil)
}

// bitbucketDataCenter speaks the API of Bitbucket Data Center, https://developer.atlassian.com/server/bitbucket/rest.
type bitbucketDataCenter struct{ *client }

type serverPull struct {
	ID          int    `json:"id"`
	Version     int    `json:"version"`
	State       string `json:"state"`
	Description string `json:"description"`
	Links       struct {
		Self []struct{ Href string } `json:"self"`
	} `json:"links"`
	ToRef struct {
		ID         string `json:"id"`
		Repository struct {
			Slug    string               `json:"slug"`
			Project struct{ Key string } `json:"project"`
		} `json:"repository"`
	} `json:"toRef"`
	Reviewers json.RawMessage `json:"reviewers"`
}

func (p serverPull) pull() *pull {
	out := &pull{id: p.ID, open: p.State == "OPEN", merged: p.State == "MERGED", body: p.Description, keep: p}
	if len(p.Links.Self) > 0 {
		out.url = p.Links.Self[0].Href
	}
	return out
}

func (b *bitbucketDataCenter) setStatus(ctx context.Context, commit string, s status) error {
	link := b.where.web + "/projects/" + b.where.segments[0] + "/repos/" + b.where.segments[1] + "/commits/" + commit
	return b.call(ctx, "POST", "/commits/"+commit+"/builds", buildStatus(s, link), nil)
}

func (b *bitbucketDataCenter) pulls(ctx context.Context, from, into string) (out []*pull, err error) {
	q := url.Values{"at": {"refs/heads/" + from}, "direction": {"OUTGOING"}, "state": {"ALL"}, "order": {"NEWEST"}, "limit": {"100"}}
	var found struct{ Values []serverPull }
	err = b.call(ctx, "GET", "/pull-requests?"+q.Encode(), nil, &found)
	for _, p := range found.Values {
		to := p.ToRef.Repository.Project.Key + "/" + p.ToRef.Repository.Slug // a fork's are for another repository, too
		if p.ToRef.ID == "refs/heads/"+into && strings.EqualFold(to, strings.Join(b.where.segments, "/")) {
			out = append(out, p.pull())
		}
	}
	return out[:min(len(out), maxPulls)], err
}

func (b *bitbucketDataCenter) open(ctx context.Context, from, into string, text description) (*pull, error) {
	ref := func(branch string) map[string]string { return map[string]string{"id": "refs/heads/" + branch} }
	var made serverPull
	err := b.call(ctx, "POST", "/pull-requests", map[string]any{"title": text.title, "description": text.body,
		"fromRef": ref(from), "toRef": ref(into)}, &made)
	return made.pull(), err
}

// edit sends the reviewers along: those who are left out are removed.
func (b *bitbucketDataCenter) edit(ctx context.Context, p *pull, text description) error {
	was := p.keep.(serverPull)
	var is serverPull // of the next version
	err := b.call(ctx, "PUT", fmt.Sprintf("/pull-requests/%d", p.id), map[string]any{"version": was.Version,
		"title": text.title, "description": text.body, "reviewers": was.Reviewers}, &is)
	if err == nil {
		p.keep = is
	}
	return err
}

func (b *bitbucketDataCenter) close(ctx context.Context, p *pull) error {
	return b.call(ctx, "POST", fmt.Sprintf("/pull-requests/%d/decline?version=%d", p.id, p.keep.(serverPull).Version), map[string]any{}, nil)
}
