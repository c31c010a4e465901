package environment

import (
	"bytes"
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

// maxElements is how many elements of an array in a delivery are looked at. A push of more branches waits for the poll.
const maxElements = 1000

// texts are what the elements of an array say. They are read one after the other, as T: whoever forges a delivery may put as
// many into it as it can hold, and together they would take many times its size.
type texts[T fmt.Stringer] []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *texts[T]) UnmarshalJSON(b []byte) error {
	*l = nil
	dec := json.NewDecoder(bytes.NewReader(b))
	switch begin, err := dec.Token(); {
	case err != nil || begin == nil: // null
		return err
	case begin != json.Delim('['):
		return errors.New("not an array")
	}
	for n := 0; n < maxElements && dec.More(); n++ {
		var element T
		if err := dec.Decode(&element); err != nil {
			return err
		}
		if text := element.String(); text != "" {
			*l = append(*l, text)
		}
	}
	return nil
}

// cloudChange is a branch that Bitbucket Cloud says was pushed to.
type cloudChange struct {
	New struct{ Type, Name string } `json:"new"`
}

func (c cloudChange) String() string {
	if c.New.Type != "branch" {
		return ""
	}
	return c.New.Name
}

// serverChange is a reference that Bitbucket Data Center says was pushed to.
type serverChange struct {
	Ref struct {
		ID string `json:"id"`
	} `json:"ref"`
}

func (c serverChange) String() string { return c.Ref.ID }

// azureChange is a reference that Azure DevOps says was pushed to.
type azureChange struct{ Name string }

func (c azureChange) String() string { return c.Name }

// address is where a repository can be cloned from.
type address struct{ Href string }

func (a address) String() string { return a.Href }

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
				HTML  address        `json:"html"`
				Clone texts[address] `json:"clone"`
			} `json:"links"`
		} `json:"repository"`
		Push struct {
			Changes texts[cloudChange] `json:"changes"`
		} `json:"push"`
		Changes texts[serverChange] `json:"changes"`
	}
	if err := json.Unmarshal(content, &p); err != nil {
		return delivery{}, err
	}
	d := delivery{host: "bitbucket", event: event, push: event == "repo:push" || event == "repo:refs_changed"}
	d.urls = append([]string{p.Repository.Links.HTML.Href}, p.Repository.Links.Clone...)
	if d.path = strings.ToLower(p.Repository.FullName); d.path == "" && p.Repository.Slug != "" {
		d.path = strings.ToLower(path.Join(p.Repository.Project.Key, p.Repository.Slug))
	}
	d.branches = p.Push.Changes
	for _, ref := range p.Changes {
		if b, ok := branchOf(ref); ok {
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
			RefUpdates texts[azureChange] `json:"refUpdates"`
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
	for _, ref := range p.Resource.RefUpdates {
		if b, ok := branchOf(ref); ok {
			d.branches = append(d.branches, b)
		}
	}
	return d, nil
}
