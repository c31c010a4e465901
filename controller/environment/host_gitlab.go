package environment

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// gitlab speaks GitLab's REST API, https://docs.gitlab.com/api/rest.
type gitlab struct{ *client }

type mergeRequest struct {
	IID         int    `json:"iid"`
	WebURL      string `json:"web_url"`
	State       string `json:"state"`
	Description string `json:"description"`
	From        int64  `json:"source_project_id"`
	Into        int64  `json:"target_project_id"`
}

func (m mergeRequest) pull() *pull {
	return &pull{id: m.IID, url: m.WebURL, open: m.State == "opened", merged: m.State == "merged", body: m.Description}
}

func (g *gitlab) setStatus(ctx context.Context, commit string, s status) error {
	err := g.call(ctx, "POST", "/statuses/"+commit, map[string]string{
		"state": choose(s.failed, "failed", "success"), "name": s.name, "description": clip(s.text, 255),
	}, nil)
	// GitLab refuses to set a status that is set already.
	if said := (*apiError)(nil); errors.As(err, &said) && said.status == http.StatusBadRequest && strings.Contains(said.said, "Cannot transition status") {
		return nil
	}
	return err
}

func (g *gitlab) pulls(ctx context.Context, from, into string) (out []*pull, err error) {
	q := url.Values{"state": {"all"}, "source_branch": {from}, "target_branch": {into},
		"order_by": {"created_at"}, "sort": {"desc"}, "per_page": {"100"}}
	var found []mergeRequest
	err = g.call(ctx, "GET", "/merge_requests?"+q.Encode(), nil, &found)
	for _, m := range found {
		if m.From == m.Into { // those of forks are not ours, whatever their branch is called
			out = append(out, m.pull())
		}
	}
	return out[:min(len(out), maxPulls)], err
}

func (g *gitlab) open(ctx context.Context, from, into string, text description) (*pull, error) {
	var made mergeRequest
	err := g.call(ctx, "POST", "/merge_requests", map[string]any{"source_branch": from, "target_branch": into,
		"title": text.title, "description": text.body, "remove_source_branch": true}, &made)
	return made.pull(), err
}

func (g *gitlab) edit(ctx context.Context, p *pull, text description) error {
	return g.call(ctx, "PUT", "/merge_requests/"+strconv.Itoa(p.id), map[string]string{"title": text.title, "description": text.body}, nil)
}

func (g *gitlab) close(ctx context.Context, p *pull) error {
	return g.call(ctx, "PUT", "/merge_requests/"+strconv.Itoa(p.id), map[string]string{"state_event": "close"}, nil)
}
