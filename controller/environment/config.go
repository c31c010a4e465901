package environment

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// DefaultPoll is how often a repository is looked at without a webhook.
const DefaultPoll = 3 * time.Minute

// Config lists the environment repositories.
type Config struct {
	// Directory holds the clones, one directory each, which are deleted and made anew at every start. Default: schemawave
	// in the directory for temporary files.
	Directory string `json:"directory,omitempty" yaml:"directory,omitempty"`
	// Author is who the commits are from. Default: schemawave <schemawave@localhost>.
	Author Author `json:"author,omitempty" yaml:"author,omitempty"`
	// Signing is the key of the commits' signatures. Default: none.
	Signing Signing `json:"signing,omitempty" yaml:"signing,omitempty"`
	// Repositories are written independently of each other.
	Repositories []Repository `json:"repositories" yaml:"repositories"`
}

// Author is who a commit says it is from.
type Author struct {
	Name  string `json:"name,omitempty" yaml:"name,omitempty"`
	Email string `json:"email,omitempty" yaml:"email,omitempty"`
}

// Repository is one branch of one environment repository.
type Repository struct {
	// URL is https://…, http://…, ssh://… or user@host:path, without a password.
	URL string `json:"url" yaml:"url"`
	// Branch is rendered, and pushed to unless PullRequest says otherwise. Default: main.
	Branch string `json:"branch,omitempty" yaml:"branch,omitempty"`
	// Poll is how often to look without being woken, as in "90s", varied by a tenth. Default: DefaultPoll; at least 5 s.
	Poll string `json:"poll,omitempty" yaml:"poll,omitempty"`
	// Overlays are globs (path.Match) of the overlays to render, each matched against an overlay's path and the
	// directories above it: "clusters/prod" takes everything below. Default: all.
	Overlays []string `json:"overlays,omitempty" yaml:"overlays,omitempty"`

	Credentials Credentials `json:"credentials,omitempty" yaml:"credentials,omitempty"`
	Webhook     Webhook     `json:"webhook,omitempty" yaml:"webhook,omitempty"`
	Host        Host        `json:"host,omitempty" yaml:"host,omitempty"`
	PullRequest PullRequest `json:"pullRequest,omitempty" yaml:"pullRequest,omitempty"`
}

// Credentials are read from files, as a Secret mounts them, anew for each connection: a rotated Secret needs no restart.
// The zero value is no credentials.
type Credentials struct {
	// Username goes with PasswordFile (default "git", which hosts accept with a token) or names the SSH user.
	Username string `json:"username,omitempty" yaml:"username,omitempty"`
	// PasswordFile holds a password or an access token, for http and https.
	PasswordFile string `json:"passwordFile,omitempty" yaml:"passwordFile,omitempty"`
	// CAFile holds certificates in PEM to trust besides the system's, for https.
	CAFile string `json:"caFile,omitempty" yaml:"caFile,omitempty"`
	// SSHKeyFile holds a private key, for ssh.
	SSHKeyFile string `json:"sshKeyFile,omitempty" yaml:"sshKeyFile,omitempty"`
	// KnownHostsFile holds the host's keys in the format of ssh-keyscan; required for ssh.
	KnownHostsFile string `json:"knownHostsFile,omitempty" yaml:"knownHostsFile,omitempty"`
	// GitHubApp is used instead of a password, for https.
	GitHubApp GitHubApp `json:"githubApp,omitempty" yaml:"githubApp,omitempty"`
}

// Webhook says how deliveries for the repository are verified. With neither field set they are not: a delivery can then
// make the writer look at the repository, and nothing else.
type Webhook struct {
	// SecretFile holds the secret that is also set at the git host.
	SecretFile string `json:"secretFile,omitempty" yaml:"secretFile,omitempty"`
	// SecretEnv names the environment variable that holds it instead.
	SecretEnv string `json:"secretEnv,omitempty" yaml:"secretEnv,omitempty"`
}

// withDefaults fills what was left out.
func (c Config) withDefaults() Config {
	if c.Directory == "" {
		c.Directory = filepath.Join(os.TempDir(), "schemawave")
	}
	if c.Author.Name == "" {
		c.Author.Name = "schemawave"
	}
	if c.Author.Email == "" {
		c.Author.Email = "schemawave@localhost"
	}
	c.Repositories = append([]Repository(nil), c.Repositories...)
	for i := range c.Repositories {
		r := &c.Repositories[i]
		if r.Branch == "" {
			r.Branch = "main"
		}
	}
	return c
}

// Validate names every wrong field and what to write instead. It opens no file: a missing Secret is a fault of the
// running system, which heals, not of the configuration.
func (c Config) Validate() error {
	var errs []error
	if e := c.Author.Email; e != "" {
		if _, err := mail.ParseAddress(e); err != nil || strings.ContainsAny(e, "<>\n") {
			errs = append(errs, fmt.Errorf("author.email: %q is not an address: write it like bot@example.com", e))
		}
	}
	if strings.ContainsAny(c.Author.Name, "<>\n") {
		errs = append(errs, fmt.Errorf("author.name: %q: leave out <, > and line breaks", c.Author.Name))
	}
	if c.Signing.PassphraseFile != "" && c.Signing.KeyFile == "" {
		errs = append(errs, errors.New("signing.keyFile: missing: a passphrase alone signs nothing; mount the key from a Secret"))
	}
	if len(c.Repositories) == 0 {
		errs = append(errs, errors.New("repositories: none: list at least one url, or leave the whole section out"))
	}
	seen := map[string]int{}
	for i, r := range c.withDefaults().Repositories {
		field := fmt.Sprintf("repositories[%d]", i)
		for _, err := range r.validate() {
			errs = append(errs, fmt.Errorf("%s.%w", field, err))
		}
		for _, branch := range r.branches() {
			key := strings.TrimSuffix(strings.TrimRight(r.URL, "/"), ".git") + "#" + branch
			if j, twice := seen[key]; twice && j != i {
				errs = append(errs, fmt.Errorf("%s: the same url and branch as repositories[%d]: two writers would race; merge them", field, j))
			}
			seen[key] = i
		}
	}
	return errors.Join(errs...)
}

func (r Repository) validate() (errs []error) {
	errs = append(errs, r.validateURL()...)
	if !validBranch(r.Branch) {
		errs = append(errs, fmt.Errorf("branch: %q is not a branch name: write it without refs/heads/", r.Branch))
	}
	switch every, err := r.every(); {
	case err != nil:
		errs = append(errs, fmt.Errorf("poll: %q is not a duration: write it like 90s or 3m", r.Poll))
	case every < 5*time.Second:
		errs = append(errs, fmt.Errorf("poll: %s is too often for a git host: use 5s or more", every))
	}
	for i, g := range r.Overlays {
		if _, err := path.Match(g, ""); err != nil || g == "" {
			errs = append(errs, fmt.Errorf("overlays[%d]: %q is not a glob: write it like clusters/*/orders", i, g))
		}
	}
	errs = append(errs, r.Credentials.GitHubApp.validate()...)
	errs = append(errs, r.validateHost()...)
	if r.Webhook.SecretFile != "" && r.Webhook.SecretEnv != "" {
		errs = append(errs, errors.New("webhook: secretFile and secretEnv: keep one of them"))
	}
	return errs
}

func (r Repository) validateHost() (errs []error) {
	h, c := r.Host, r.Credentials
	if h.Kind == "" {
		if h != (Host{}) {
			errs = append(errs, errors.New("host.kind: missing: use github, gitlab, gitea, bitbucket, bitbucket-datacenter or azure"))
		}
		if r.PullRequest.Branch != "" {
			errs = append(errs, errors.New("host.kind: missing: a pull request is opened through the host's API"))
		}
	} else if _, err := locate(r); err != nil {
		errs = append(errs, err)
	}
	if u, err := url.Parse(h.APIURL); h.APIURL != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http") {
		errs = append(errs, errors.New("host.apiURL: is not a URL without a user: write it like https://git.example.com/api/v3"))
	}
	if h.Kind != "" && h.TokenFile == "" && c.PasswordFile == "" && c.GitHubApp == (GitHubApp{}) {
		errs = append(errs, errors.New("host.tokenFile: missing: the host's API needs a token; mount it from a Secret"))
	}
	if own := r.ownBranch(); own != "" && (!validBranch(own) || own == r.Branch) {
		errs = append(errs, fmt.Errorf("pullRequest.branch: %q is not the name of another branch: write it like schemawave/{branch}", r.PullRequest.Branch))
	}
	return errs
}

func (r Repository) validateURL() (errs []error) {
	u, err := parseURL(r.URL)
	if err != nil {
		return []error{fmt.Errorf("url: %w", err)}
	}
	c := r.Credentials
	if u.Scheme == "ssh" {
		if c.SSHKeyFile == "" {
			errs = append(errs, errors.New("credentials.sshKeyFile: missing: ssh needs a private key; mount it from a Secret"))
		}
		if c.KnownHostsFile == "" {
			errs = append(errs, errors.New("credentials.knownHostsFile: missing: ssh needs the host's keys; mount the output of ssh-keyscan"))
		}
		if c.PasswordFile != "" || c.CAFile != "" && r.Host.Kind == "" {
			errs = append(errs, errors.New("credentials: passwordFile and caFile are for https: remove them or change the url"))
		}
		if c.GitHubApp != (GitHubApp{}) {
			errs = append(errs, errors.New("credentials.githubApp: is for https: remove it or change the url"))
		}
		return errs
	}
	if c.SSHKeyFile != "" || c.KnownHostsFile != "" {
		errs = append(errs, errors.New("credentials: sshKeyFile and knownHostsFile are for ssh: remove them or change the url"))
	}
	if c.GitHubApp != (GitHubApp{}) && (c.PasswordFile != "" || c.Username != "") {
		errs = append(errs, errors.New("credentials: githubApp and passwordFile: keep one of them, and no username with githubApp"))
	} else if c.Username != "" && c.PasswordFile == "" {
		errs = append(errs, errors.New("credentials.passwordFile: missing: a username alone does not log in; mount the token from a Secret"))
	}
	if u.Scheme == "http" && c.CAFile != "" {
		errs = append(errs, errors.New("credentials.caFile: needs an https url"))
	}
	return errs
}

// validBranch is the part of git-check-ref-format(1) that a mistake can hit.
func validBranch(b string) bool {
	switch {
	case b == "", strings.HasPrefix(b, "refs/"), strings.HasPrefix(b, "-"), strings.HasPrefix(b, "/"),
		strings.HasSuffix(b, "/"), strings.HasSuffix(b, ".lock"), strings.HasSuffix(b, "."),
		strings.Contains(b, ".."), strings.Contains(b, "//"), strings.Contains(b, "@{"):
		return false
	}
	return !strings.ContainsFunc(b, func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`~^:?*[\`, c) })
}

// every reads Poll.
func (r Repository) every() (time.Duration, error) {
	if r.Poll == "" {
		return DefaultPoll, nil
	}
	return time.ParseDuration(r.Poll)
}

// selects reports whether the overlay is one of those to render.
func (r Repository) selects(overlay string) bool {
	if len(r.Overlays) == 0 {
		return true
	}
	for dir := overlay; ; dir = path.Dir(dir) {
		for _, g := range r.Overlays {
			if ok, _ := path.Match(g, dir); ok {
				return true
			}
		}
		if dir == "." || dir == "/" {
			return false
		}
	}
}
