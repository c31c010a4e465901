package environment

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// parseURL reads the URL of a repository, which may be in scp's form, user@host:path. An error never holds the URL's
// password.
func parseURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, errors.New("missing: write it like https://git.example.com/team/environments.git")
	}
	if !strings.Contains(s, "://") {
		host, p, ok := strings.Cut(s, ":")
		if !ok || strings.ContainsAny(host, "/ ") || p == "" {
			return nil, fmt.Errorf("%q is neither https://…, ssh://… nor user@host:path", s)
		}
		user, host, ok := cutLast(host, "@")
		u := &url.URL{Scheme: "ssh", Host: host, Path: "/" + strings.TrimPrefix(p, "/")}
		if ok {
			u.User = url.User(user)
		}
		return u, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("cannot be parsed: write it like https://git.example.com/team/environments.git")
	}
	switch u.Scheme {
	case "https", "http":
		if u.User != nil {
			return nil, errors.New("holds a user or password, which would show up in logs: take it out and use credentials.username and credentials.passwordFile")
		}
	case "ssh":
		if _, has := u.User.Password(); has {
			return nil, errors.New("holds a password, which would show up in logs: take it out and use credentials.sshKeyFile")
		}
	default:
		return nil, fmt.Errorf("scheme %q: use https, http or ssh", u.Scheme)
	}
	if u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return nil, errors.New("lacks a host or a path: write it like https://git.example.com/team/environments.git")
	}
	return u, nil
}

// canonical is the same for all spellings under which a host and its users name one repository: without scheme, user,
// port and .git, in lower case. It is empty where s is not a repository's URL.
func canonical(s string) string {
	u, err := parseURL(withoutUser(s))
	if err != nil {
		return ""
	}
	host, p := strings.ToLower(u.Hostname()), strings.ToLower(strings.Trim(u.Path, "/"))
	p = strings.TrimSuffix(p, ".git")
	if host == "ssh.dev.azure.com" {
		host, p = "dev.azure.com", strings.TrimPrefix(p, "v3/")
	}
	if host == "dev.azure.com" {
		p = strings.Replace(p, "/_git/", "/", 1)
	}
	p = strings.TrimPrefix(p, "scm/") // Bitbucket Data Center, over https only
	return host + "/" + p
}

// withoutUser drops the user that hosts put into the https URLs they announce.
func withoutUser(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme == "ssh" {
		return s
	}
	authority, p, _ := strings.Cut(rest, "/")
	if _, host, ok := cutLast(authority, "@"); ok {
		authority = host
	}
	return scheme + "://" + authority + "/" + p
}

// cutLast cuts s around the last sep; without one, before is empty and after is s.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}
