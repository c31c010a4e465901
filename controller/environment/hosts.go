package environment

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
)

// delivery is what a webhook says, whichever host sent it.
type delivery struct {
	host     string
	event    string
	push     bool
	urls     []string                 // under which the host knows the repository
	path     string                   // project/name, where the host gives no URL
	branches []string                 // that were pushed to
	signed   func(secret []byte) bool // reports whether the delivery was signed with the secret
}

// recognise reads a delivery. Gitea and its fork Forgejo send the headers of Gogs and GitHub too, so they come first.
func recognise(r *http.Request, content, body []byte) (delivery, error) {
	h := r.Header
	var d delivery
	var err error
	switch {
	case h.Get("X-Gitea-Event") != "":
		d, err = readGitHub("gitea", h.Get("X-Gitea-Event"), content)
		d.signed = hmacSHA256(body, h.Get("X-Gitea-Signature"))
	case h.Get("X-Gogs-Event") != "":
		d, err = readGitHub("gogs", h.Get("X-Gogs-Event"), content)
		d.signed = hmacSHA256(body, h.Get("X-Gogs-Signature"))
	case h.Get("X-GitHub-Event") != "":
		d, err = readGitHub("github", h.Get("X-GitHub-Event"), content)
		d.signed = hmacSHA256(body, prefixed(h.Get("X-Hub-Signature-256")))
	case h.Get("X-Gitlab-Event") != "":
		d, err = readGitLab(h.Get("X-Gitlab-Event"), content)
		d.signed = token(h.Get("X-Gitlab-Token"))
	case h.Get("X-Event-Key") != "":
		d, err = readBitbucket(h.Get("X-Event-Key"), content)
		d.signed = hmacSHA256(body, prefixed(h.Get("X-Hub-Signature")))
	default:
		d, err = readAzure(content)
		_, password, _ := r.BasicAuth()
		d.signed = token(password)
	}
	if err != nil {
		return delivery{}, fmt.Errorf("the delivery cannot be read: %w", err)
	}
	return d, nil
}

// hmacSHA256 checks a signature in hex over the body as it was sent.
func hmacSHA256(body []byte, signature string) func([]byte) bool {
	got, err := hex.DecodeString(signature)
	return func(secret []byte) bool {
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		return err == nil && hmac.Equal(got, mac.Sum(nil))
	}
}

// prefixed returns the hex of "sha256=<hex>", and nothing of another algorithm.
func prefixed(header string) string {
	signature, ok := strings.CutPrefix(header, "sha256=")
	if !ok {
		return ""
	}
	return signature
}

// token checks a secret that is sent as it is, in a time that does not tell its length either.
func token(got string) func([]byte) bool {
	return func(secret []byte) bool {
		a, b := sha256.Sum256([]byte(got)), sha256.Sum256(secret)
		return same(a[:], b[:])
	}
}

// branchOf returns the branch of a reference, or false for a tag.
func branchOf(ref string) (string, bool) { return strings.CutPrefix(ref, "refs/heads/") }

// readGitHub reads what GitHub sends and Gitea and Gogs imitate.
func readGitHub(host, event string, content []byte) (delivery, error) {
	var p struct {
		Ref        string `json:"ref"`
		Repository struct {
			CloneURL string `json:"clone_url"`
			SSHURL   string `json:"ssh_url"`
			HTMLURL  string `json:"html_url"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(content, &p); err != nil {
		return delivery{}, err
	}
	d := delivery{host: host, event: event, push: event == "push"}
	d.urls = []string{p.Repository.CloneURL, p.Repository.SSHURL, p.Repository.HTMLURL}
	if b, ok := branchOf(p.Ref); ok {
		d.branches = []string{b}
	}
	return d, nil
}

// readGitLab reads a project's and the instance's ("System Hook") deliveries.
func readGitLab(event string, content []byte) (delivery, error) {
	var p struct {
		ObjectKind string `json:"object_kind"`
		Ref        string `json:"ref"`
		Project    struct {
			HTTPURL string `json:"git_http_url"`
			SSHURL  string `json:"git_ssh_url"`
			WebURL  string `json:"web_url"`
		} `json:"project"`
	}
	if err := json.Unmarshal(content, &p); err != nil {
		return delivery{}, err
	}
	d := delivery{host: "gitlab", event: event, push: p.ObjectKind == "push"}
	d.urls = []string{p.Project.HTTPURL, p.Project.SSHURL, p.Project.WebURL}
	if b, ok := branchOf(p.Ref); ok {
		d.branches = []string{b}
	}
	return d, nil
}

// readBitbucket reads Bitbucket Cloud's repo:push and Bitbucket Data Center's repo:refs_changed.
func readBitbucket(event string, content []byte) (delivery, error) {
	var p struct {
		Repository struct {
			FullName string `json:"full_name"` // Cloud
			Slug     string `json:"slug"`      // Data Center, as are project and clone
			Project  struct {
				Key string `json:"key"`
			} `json:"project"`
			Links struct {
				HTML  struct{ Href string }   `json:"html"`
				Clone []struct{ Href string } `json:"clone"`
			} `json:"links"`
		} `json:"repository"`
		Push struct {
			Changes []struct {
				New struct{ Type, Name string } `json:"new"`
			} `json:"changes"`
		} `json:"push"`
		Changes []struct {
			Ref struct {
				ID string `json:"id"`
			} `json:"ref"`
		} `json:"changes"`
	}
	if err := json.Unmarshal(content, &p); err != nil {
		return delivery{}, err
	}
	d := delivery{host: "bitbucket", event: event, push: event == "repo:push" || event == "repo:refs_changed"}
	d.urls = []string{p.Repository.Links.HTML.Href}
	for _, c := range p.Repository.Links.Clone {
		d.urls = append(d.urls, c.Href)
	}
	if d.path = strings.ToLower(p.Repository.FullName); d.path == "" && p.Repository.Slug != "" {
		d.path = strings.ToLower(path.Join(p.Repository.Project.Key, p.Repository.Slug))
	}
	for _, c := range p.Push.Changes {
		if c.New.Type == "branch" {
			d.branches = append(d.branches, c.New.Name)
		}
	}
	for _, c := range p.Changes {
		if b, ok := branchOf(c.Ref.ID); ok {
			d.branches = append(d.branches, b)
		}
	}
	return d, nil
}

// readAzure reads a service hook of Azure DevOps, which signs nothing and logs in with a password instead.
func readAzure(content []byte) (delivery, error) {
	var p struct {
		EventType string `json:"eventType"`
		Resource  struct {
			RefUpdates []struct{ Name string } `json:"refUpdates"`
			Repository struct {
				RemoteURL string `json:"remoteUrl"`
			} `json:"repository"`
		} `json:"resource"`
	}
	if err := json.Unmarshal(content, &p); err != nil {
		return delivery{}, err
	}
	if p.EventType == "" {
		return delivery{}, errors.New("it has the headers of no known git host")
	}
	d := delivery{host: "azure", event: p.EventType, push: p.EventType == "git.push", urls: []string{p.Resource.Repository.RemoteURL}}
	for _, u := range p.Resource.RefUpdates {
		if b, ok := branchOf(u.Name); ok {
			d.branches = append(d.branches, b)
		}
	}
	return d, nil
}
