package environment

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestValidateNamesFieldAndRemedy(t *testing.T) {
	ok := Repository{URL: "https://git.example.com/shop/env.git"}
	with := func(change func(*Repository)) []Repository { r := ok; change(&r); return []Repository{r} }
	ssh := func(c Credentials) []Repository {
		return []Repository{{URL: "git@git.example.com:shop/env.git", Credentials: c}}
	}
	app := GitHubApp{ID: 1, InstallationID: 2, PrivateKeyFile: "key"}
	host := func(change func(*Repository)) []Repository {
		r := ok
		r.Host = Host{Kind: GitHub, TokenFile: "token"}
		change(&r)
		return []Repository{r}
	}
	for _, c := range []struct {
		reason string
		repos  []Repository
		want   string // empty: valid
	}{
		{"the least", []Repository{ok}, ""},
		{"two branches", []Repository{ok, {URL: ok.URL, Branch: "prod"}}, ""},
		{"two ports", []Repository{{URL: "http://h:1/a/b"}, {URL: "http://h:2/a/b"}}, ""},
		{"ssh", ssh(Credentials{SSHKeyFile: "a", KnownHostsFile: "b"}), ""},
		{"ssh url", []Repository{{URL: "ssh://git@h:22/a/b.git", Credentials: Credentials{SSHKeyFile: "a", KnownHostsFile: "b"}}}, ""},
		{"none", nil, "repositories: none: list at least one"},
		{"no url", []Repository{{}}, "repositories[0].url: missing"},
		{"a second one", []Repository{ok, {URL: "x"}}, "repositories[1].url: \"x\" is neither"},
		{"twice", []Repository{ok, {URL: "https://git.example.com/shop/env"}}, "repositories[1]: the same url and branch as repositories[0]"},
		{"a file", []Repository{{URL: "file:///srv/env"}}, "url: scheme \"file\": use https"},
		{"a password in the url", []Repository{{URL: "https://bot:hunter2@h/a/b"}}, "credentials.passwordFile"},
		{"a token in the url", []Repository{{URL: "https://hunter2@h/a/b"}}, "credentials.passwordFile"},
		{"a password in an ssh url", []Repository{{URL: "ssh://git:hunter2@h/a/b"}}, "credentials.sshKeyFile"},
		{"a password in a broken url", []Repository{{URL: "https://bot:hunter2@h:x/%zz"}}, "cannot be parsed"},
		{"no path", []Repository{{URL: "https://git.example.com/"}}, "lacks a host or a path"},
		{"ssh without a key", ssh(Credentials{KnownHostsFile: "b"}), "credentials.sshKeyFile: missing"},
		{"ssh without the host's keys", ssh(Credentials{SSHKeyFile: "a"}), "credentials.knownHostsFile: missing: ssh needs the host's keys; mount the output of ssh-keyscan"},
		{"ssh with a password", ssh(Credentials{SSHKeyFile: "a", KnownHostsFile: "b", PasswordFile: "c"}), "are for https"},
		{"https with a key", with(func(r *Repository) { r.Credentials.SSHKeyFile = "a" }), "are for ssh"},
		{"a user alone", with(func(r *Repository) { r.Credentials.Username = "bot" }), "credentials.passwordFile: missing"},
		{"certificates without tls", []Repository{{URL: "http://h/a/b", Credentials: Credentials{CAFile: "ca"}}}, "credentials.caFile: needs an https url"},
		{"a full reference", with(func(r *Repository) { r.Branch = "refs/heads/main" }), "branch: \"refs/heads/main\" is not a branch name: write it without refs/heads/"},
		{"an impossible branch", with(func(r *Repository) { r.Branch = "a..b" }), "repositories[0].branch"},
		{"too often", with(func(r *Repository) { r.Poll = "1s" }), "poll: 1s is too often"},
		{"a duration without a unit", with(func(r *Repository) { r.Poll = "3" }), "repositories[0].poll: \"3\" is not a duration: write it like 90s or 3m"},
		{"a bad glob", with(func(r *Repository) { r.Overlays = []string{"a", "["} }), "overlays[1]: \"[\" is not a glob"},
		{"pull requests", host(func(r *Repository) { r.PullRequest.Branch = "schemawave/{branch}" }), ""},
		{"pull requests without an api", with(func(r *Repository) { r.PullRequest.Branch = "s/{branch}" }), "host.kind: missing: a pull request"},
		{"pull requests from the branch", host(func(r *Repository) { r.PullRequest.Branch = "{branch}" }), "pullRequest.branch: \"{branch}\" is not the name of another branch"},
		{"pull requests from nowhere", host(func(r *Repository) { r.PullRequest.Branch = "a..b" }), "pullRequest.branch"},
		{"two pull requests from one branch", append(host(func(r *Repository) { r.PullRequest.Branch = "s" }),
			host(func(r *Repository) { r.Branch, r.PullRequest.Branch = "prod", "s" })...), "the same url and branch as repositories[0]"},
		{"an unknown host", host(func(r *Repository) { r.Host.Kind = "sourceforge" }), "host.kind: \"sourceforge\": use github"},
		{"a host without a kind", host(func(r *Repository) { r.Host.Kind = "" }), "host.kind: missing"},
		{"a host without a token", host(func(r *Repository) { r.Host.TokenFile = "" }), "host.tokenFile: missing"},
		{"a host at no url", host(func(r *Repository) { r.Host.APIURL = "git.example.com" }), "host.apiURL"},
		{"a path that the host cannot have", host(func(r *Repository) { r.URL += "/more" }), "is not the path owner/repository"},
		{"an app", with(func(r *Repository) { r.Credentials.GitHubApp = app }), ""},
		{"an app by halves", with(func(r *Repository) { r.Credentials.GitHubApp = GitHubApp{ID: 1} }), "credentials.githubApp: id and installationID"},
		{"an app without a key", with(func(r *Repository) { r.Credentials.GitHubApp = GitHubApp{ID: 1, InstallationID: 2} }), "privateKeyFile: missing"},
		{"an app and a password", with(func(r *Repository) { r.Credentials = Credentials{GitHubApp: app, PasswordFile: "p"} }), "keep one of them"},
		{"an app over ssh", ssh(Credentials{SSHKeyFile: "a", KnownHostsFile: "b", GitHubApp: app}), "credentials.githubApp: is for https"},
		{"two secrets", with(func(r *Repository) { r.Webhook = Webhook{"a", "b"} }), "webhook: secretFile and secretEnv: keep one"},
	} {
		err := Config{Repositories: c.repos}.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.reason, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.reason, err, c.want)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: the error holds the password: %v", c.reason, err)
		}
	}
	if err := (Config{Signing: Signing{PassphraseFile: "p"}, Repositories: []Repository{ok}}).Validate(); err == nil || !strings.Contains(err.Error(), "signing.keyFile: missing") {
		t.Errorf("a passphrase alone: %v", err)
	}
	for _, a := range []Author{{Email: "nobody"}, {Name: "a <b>"}, {Email: "a@b.c\ncommitter x"}} {
		if err := (Config{Author: a, Repositories: []Repository{ok}}).Validate(); err == nil || !strings.Contains(err.Error(), "author.") {
			t.Errorf("author %q: %v", a, err)
		}
	}
}

func TestConfigFromYAML(t *testing.T) {
	var c Config
	err := yaml.UnmarshalStrict([]byte(`
directory: /cache
author: {name: Bot, email: bot@example.com}
repositories:
  - url: https://git.example.com/shop/env.git
    branch: live
    poll: 90s
    overlays: ["clusters/*/orders"]
    credentials: {username: bot, passwordFile: /var/run/secrets/git/token, caFile: /ca.pem}
    webhook: {secretFile: /var/run/secrets/git/webhook}
`), &c)
	if err != nil || c.Validate() != nil || c.Repositories[0].Poll != "90s" {
		t.Errorf("%+v, %v, %v", c, err, c.Validate())
	}
}

func TestSelects(t *testing.T) {
	for _, c := range []struct {
		glob, overlay string
		want          bool
	}{
		{"clusters/prod", "clusters/prod/orders", true},
		{"clusters/prod", "clusters/prod", true},
		{"clusters/prod", "clusters/production", false},
		{"clusters/*/orders", "clusters/eu/orders", true},
		{"clusters/*/orders", "clusters/eu/billing", false},
		{"*", "anything/below", true},
		{".", "anything", true},
	} {
		if got := (Repository{Overlays: []string{c.glob}}).selects(c.overlay); got != c.want {
			t.Errorf("%s selects %s: %v", c.glob, c.overlay, got)
		}
	}
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"https://Git.Example.com/Shop/Env.git", "git.example.com/shop/env"},
		{"git@git.example.com:shop/env.git", "git.example.com/shop/env"},
		{"ssh://git@git.example.com:2222/shop/env/", "git.example.com/shop/env"},
		{"https://acme@dev.azure.com/acme/Shop/_git/env", "dev.azure.com/acme/shop/env"},
		{"git@ssh.dev.azure.com:v3/acme/Shop/env", "dev.azure.com/acme/shop/env"},
		{"https://git.example.com/scm/shop/env.git", "git.example.com/shop/env"},
		{"", ""}, {"nonsense", ""}, {"https://", ""},
	} {
		if got := canonical(c.url); got != c.want {
			t.Errorf("%s: %q, want %q", c.url, got, c.want)
		}
	}
}

// Where a host's API is, and what it calls the repository.
func TestLocate(t *testing.T) {
	for _, c := range []struct {
		kind HostKind
		url  string
		want string
	}{
		{GitHub, "https://github.com/shop/env.git", "https://api.github.com shop env"},
		{GitHub, "git@github.com:shop/env.git", "https://api.github.com shop env"},
		{GitHub, "https://github.example.com/shop/env", "https://github.example.com/api/v3 shop env"},
		{GitLab, "ssh://git@gitlab.example.com:2222/shop/platform/env.git", "https://gitlab.example.com/api/v4 shop platform env"},
		{Gitea, "http://gitea.git.svc:3000/shop/env.git", "http://gitea.git.svc:3000/api/v1 shop env"},
		{Bitbucket, "https://bitbucket.org/shop/env.git", "https://api.bitbucket.org/2.0 shop env"},
		{BitbucketDataCenter, "https://git.example.com/scm/shop/env.git", "https://git.example.com/rest shop env"},
		{BitbucketDataCenter, "ssh://git@git.example.com:7999/shop/env.git", "https://git.example.com/rest shop env"},
		{Azure, "https://dev.azure.com/acme/Shop%20Platform/_git/env", "https://dev.azure.com acme Shop%20Platform env"},
		{Azure, "git@ssh.dev.azure.com:v3/acme/Shop/env", "https://dev.azure.com acme Shop env"},
	} {
		at, err := locate(Repository{URL: c.url, Host: Host{Kind: c.kind}})
		if got := at.api + " " + strings.Join(at.segments, " "); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.url, got, err, c.want)
		}
	}
}
