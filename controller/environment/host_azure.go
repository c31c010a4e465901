package environment

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// azure speaks the API of Azure DevOps, https://learn.microsoft.com/rest/api/azure/devops/git.
type azure struct{ *client }

const azureVersion = "api-version=7.1"

type azurePull struct {
	ID          int    `json:"pullRequestId"`
	Status      string `json:"status"`
	Description string `json:"description"`
	// ForkSource is there if the source branch is another repository's.
	ForkSource *struct{} `json:"forkSource"`
}

func (a *azure) pull(p azurePull) *pull {
	s := a.where.segments
	return &pull{id: p.ID, open: p.Status == "active", merged: p.Status == "completed", body: p.Description,
		url: fmt.Sprintf("%s/%s/%s/_git/%s/pullrequest/%d", strings.Replace(a.where.web, "ssh.dev.", "dev.", 1), s[0], s[1], s[2], p.ID)}
}

func (a *azure) setStatus(ctx context.Context, commit string, s status) error {
	genre, name, _ := strings.Cut(s.name, "/")
	return a.call(ctx, "POST", "/commits/"+commit+"/statuses?"+azureVersion, map[string]any{
		"state": choose(s.failed, "failed", "succeeded"), "description": clip(s.text, 255),
		"context": map[string]string{"genre": genre, "name": name},
	}, nil)
}

func (a *azure) pulls(ctx context.Context, from, into string) (out []*pull, err error) {
	q := url.Values{"searchCriteria.status": {"all"}, "searchCriteria.sourceRefName": {"refs/heads/" + from},
		"searchCriteria.targetRefName": {"refs/heads/" + into}, "$top": {"100"}}
	var found struct{ Value []azurePull }
	if err := a.call(ctx, "GET", "/pullrequests?"+azureVersion+"&"+q.Encode(), nil, &found); err != nil {
		return nil, err
	}
	own := slices.DeleteFunc(found.Value, func(p azurePull) bool { return p.ForkSource != nil })
	slices.SortFunc(own, func(a, b azurePull) int { return b.ID - a.ID }) // no order is documented
	for _, p := range own[:min(len(own), maxPulls)] {
		if p.Status != "completed" { // of what is merged no text is asked for, and a list cuts it after 400 characters
			if err := a.call(ctx, "GET", fmt.Sprintf("/pullrequests/%d?%s", p.ID, azureVersion), nil, &p); err != nil {
				return nil, err
			}
		}
		out = append(out, a.pull(p))
	}
	return out, nil
}

// azureBody is what a description holds at most, 4,000 characters, with its end, which is read again.
func azureBody(body string) string {
	const limit, end = 4000, 2500
	if r := []rune(body); len(r) > limit {
		return string(r[:limit-end-1]) + "…" + string(r[len(r)-end:])
	}
	return body
}

func (a *azure) open(ctx context.Context, from, into string, text description) (*pull, error) {
	var made azurePull
	err := a.call(ctx, "POST", "/pullrequests?"+azureVersion, map[string]string{
		"sourceRefName": "refs/heads/" + from, "targetRefName": "refs/heads/" + into,
		"title": text.title, "description": azureBody(text.body)}, &made)
	return a.pull(made), err
}

func (a *azure) edit(ctx context.Context, p *pull, text description) error {
	return a.change(ctx, p, map[string]string{"title": text.title, "description": azureBody(text.body)})
}

func (a *azure) close(ctx context.Context, p *pull) error {
	return a.change(ctx, p, map[string]string{"status": "abandoned"})
}

func (a *azure) change(ctx context.Context, p *pull, to map[string]string) error {
	return a.call(ctx, "PATCH", fmt.Sprintf("/pullrequests/%d?%s", p.id, azureVersion), to, nil)
}
