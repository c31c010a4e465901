package environment

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// HostKind names the API of a git host.
type HostKind string

// The kinds of git hosts. Forgejo and Codeberg are of kind gitea.
const (
	GitHub              HostKind = "github"
	GitLab              HostKind = "gitlab"
	Gitea               HostKind = "gitea"
	Bitbucket           HostKind = "bitbucket"
	BitbucketDataCenter HostKind = "bitbucket-datacenter"
	Azure               HostKind = "azure"
)

// Host is the API of a repository's git host. With it, commits get a status, and pull requests are possible. The zero
// value is none: git alone is spoken.
type Host struct {
	Kind HostKind `json:"kind,omitempty" yaml:"kind,omitempty"`
	// APIURL is where the API is. Default: where a host of this kind has it, told from the repository's URL.
	APIURL string `json:"apiURL,omitempty" yaml:"apiURL,omitempty"`
	// TokenFile holds an access token for the API. Default: the token of the credentials.
	TokenFile string `json:"tokenFile,omitempty" yaml:"tokenFile,omitempty"`
}

// hostAPI is what is asked of a git host beyond git. Every call is bounded in time. An error is a *Fault and holds no
// secret.
type hostAPI interface {
	// setStatus gives a commit a status, in place of the one of the same name.
	setStatus(ctx context.Context, commit string, s status) error
	// pulls returns the newest pull requests from one branch into another, whatever their states, the newest first: at most
	// maxPulls.
	pulls(ctx context.Context, from, into string) ([]*pull, error)
	// open makes a pull request.
	open(ctx context.Context, from, into string, text description) (*pull, error)
	// edit changes an open pull request's text.
	edit(ctx context.Context, p *pull, text description) error
	// close ends an open pull request without merging it.
	close(ctx context.Context, p *pull) error
}

// status is how the rendering of a branch stands at a commit.
type status struct {
	name   string // of the status, told apart by it
	failed bool
	text   string
}

// pull is a pull request, or merge request.
type pull struct {
	id     int
	url    string // for people
	open   bool
	merged bool
	body   string
	keep   any // what the host wants back with an edit
}

// maxPulls is how many pull requests are looked at for what was closed.
const maxPulls = 50

// description is a pull request's text.
type description struct{ title, body string }

// apiTimeout bounds one request to a host's API.
const apiTimeout = 20 * time.Second

// client speaks JSON with the API of one repository's host.
type client struct {
	kind   HostKind
	base   string // of the repository's resources, without a slash at the end
	where  place
	dialer *dialer
}

// place is a repository in its host's own terms.
type place struct {
	api      string // the API's root
	web      string // the host's root, for people
	segments []string
}

// newHostAPI makes the API of the repository's host, nil where none is configured.
func newHostAPI(r Repository) (hostAPI, error) {
	if r.Host.Kind == "" {
		return nil, nil
	}
	at, err := locate(r)
	if err != nil {
		return nil, err
	}
	c := &client{kind: r.Host.Kind, where: at, dialer: newDialer(r)}
	s := at.segments
	switch r.Host.Kind {
	case GitHub:
		c.base = at.api + "/repos/" + s[0] + "/" + s[1]
		return &github{c}, nil
	case Gitea:
		c.base = at.api + "/repos/" + s[0] + "/" + s[1]
		return &gitea{c}, nil
	case GitLab:
		c.base = at.api + "/projects/" + strings.Join(s, "%2F")
		return &gitlab{c}, nil
	case Bitbucket:
		c.base = at.api + "/repositories/" + s[0] + "/" + s[1]
		return &bitbucket{c}, nil
	case BitbucketDataCenter:
		c.base = at.api + "/api/1.0/projects/" + s[0] + "/repos/" + s[1]
		return &bitbucketDataCenter{c}, nil
	default:
		c.base = at.api + "/" + s[0] + "/" + s[1] + "/_apis/git/repositories/" + s[2]
		return &azure{c}, nil
	}
}

// locate tells from a repository's URL what its host calls it, and where the host's API is.
func locate(r Repository) (place, error) {
	u, err := parseURL(r.URL)
	if err != nil {
		return place{}, err
	}
	p := strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
	want, shape := 2, "owner/repository"
	web := &url.URL{Scheme: u.Scheme, Host: u.Host}
	if u.Scheme == "ssh" {
		web.Scheme, web.Host = "https", u.Hostname()
	}
	root := web.String()
	api := root
	switch r.Host.Kind {
	case GitHub:
		if api += "/api/v3"; strings.EqualFold(u.Hostname(), "github.com") {
			api = "https://api.github.com"
		}
	case Gitea:
		api += "/api/v1"
	case GitLab:
		api += "/api/v4"
		want = max(2, strings.Count(p, "/")+1) // groups nest
	case Bitbucket:
		api = "https://api.bitbucket.org/2.0"
	case BitbucketDataCenter:
		api += "/rest"
		p = strings.TrimPrefix(p, "scm/")
	case Azure:
		want, shape = 3, "organisation/project/_git/repository"
		p = strings.Replace(strings.TrimPrefix(p, "v3/"), "/_git/", "/", 1)
		if strings.EqualFold(u.Hostname(), "ssh.dev.azure.com") {
			api = "https://dev.azure.com"
		}
	default:
		return place{}, fmt.Errorf("host.kind: %q: use github, gitlab, gitea, bitbucket, bitbucket-datacenter or azure", r.Host.Kind)
	}
	segments := strings.Split(p, "/")
	if len(segments) != want {
		return place{}, fmt.Errorf("host.kind: %s: %s is not the path %s", r.Host.Kind, p, shape)
	}
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return place{strings.TrimRight(cmp.Or(r.Host.APIURL, api), "/"), root, segments}, nil
}

// call sends one request and reads the answer into out, where that is not nil. The path is below the repository's
// resources, or begins with a scheme.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	if !strings.Contains(path, "://") {
		path = c.base + path
	}
	req, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if err := c.authorize(ctx, req); err != nil {
		return err
	}
	res, err := c.dialer.do(req)
	if err != nil {
		var cause *url.Error
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return c.fault(FaultUnreachable, req, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		return c.fault(FaultUnreachable, req, err)
	}
	if res.StatusCode >= 300 || res.StatusCode == http.StatusNonAuthoritativeInfo {
		return c.refusal(req, res, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return c.fault(FaultUnreachable, req, fmt.Errorf("the answer is not that of this API: check host.kind and host.apiURL: %w", err))
	}
	return nil
}

// authorize logs the request in the way the kind of host wants it.
func (c *client) authorize(ctx context.Context, req *http.Request) error {
	if err := c.dialer.trust(); err != nil {
		return err
	}
	token, err := c.dialer.token(ctx)
	if err != nil {
		return err
	}
	user := c.dialer.creds.Username
	switch {
	case c.kind == Gitea:
		req.Header.Set("Authorization", "token "+token)
	case c.kind == Azure:
		req.SetBasicAuth("", token)
	case c.kind == Bitbucket && c.dialer.host.TokenFile == "" && user != "" && user != "x-token-auth":
		req.SetBasicAuth(user, token) // an account's token; those of repositories and workspaces are bearers
	default:
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return nil
}

// apiError is a refusal in the host's own words.
type apiError struct {
	status int
	said   string
}

func (e *apiError) Error() string {
	return strings.TrimRight(fmt.Sprintf("%d %s: %s", e.status, http.StatusText(e.status), e.said), ": ")
}

func (c *client) refusal(req *http.Request, res *http.Response, answer []byte) error {
	code := res.StatusCode
	err := error(&apiError{code, firstLine(string(answer))})
	// GitHub limits the rate with 403 as well.
	if code == http.StatusForbidden && (res.Header.Get("Retry-After") != "" || res.Header.Get("X-RateLimit-Remaining") == "0") {
		return c.fault(FaultUnreachable, req, &busyError{err, retryAfter(res.Header)})
	}
	if c.dialer.app != nil && (code == http.StatusUnauthorized || code == http.StatusForbidden) {
		c.dialer.app.drop()
	}
	switch code {
	case http.StatusUnauthorized, http.StatusNonAuthoritativeInfo: // Azure DevOps shows its page for logging in
		return c.fault(FaultAuth, req, fmt.Errorf("%w: check host.tokenFile or the credentials, and that the token has not expired", err))
	case http.StatusForbidden, http.StatusNotFound:
		return c.fault(FaultAuth, req, fmt.Errorf("%w: grant the token the right to read and write commit statuses and pull requests", err))
	}
	if code >= 500 || code == http.StatusTooManyRequests {
		return c.fault(FaultUnreachable, req, &busyError{err, retryAfter(res.Header)})
	}
	return c.fault(FaultRejected, req, err)
}

// fault says which request failed, without its query.
func (c *client) fault(reason FaultReason, req *http.Request, err error) error {
	return &Fault{reason, fmt.Errorf("%s: %s %s: %w", c.kind, req.Method, req.URL.Path, err)}
}

// clip cuts a text for people to what a host takes, in characters.
func clip(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}

// choose is for the words with which hosts tell success from failure.
func choose(failed bool, yes, no string) string {
	if failed {
		return yes
	}
	return no
}
