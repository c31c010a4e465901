package controller

import (
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
)

func TestRepository(t *testing.T) {
	for _, same := range [][]string{
		{"git.example/shop/env", "https://git.example/shop/env.git", "https://git.example/shop/env", "http://user:pw@GIT.example:8443/shop/env.git/",
			"ssh://git@git.example:22/shop/env.git", "git@git.example:shop/env.git", "git.example:shop/env", " https://git.example//shop/./env "},
		{"/srv/env", "file:///srv/env.git", "file:///srv/env/"},
		{"git.example/shop/env.github", "https://git.example/shop/env.github"},
	} {
		for _, url := range same {
			if got := repository(url); got != same[0] {
				t.Errorf("%q: %q, want %q", url, got, same[0])
			}
		}
	}
}

func TestFollows(t *testing.T) {
	const url = "https://git.example/shop.git"
	single := func(s argo.ApplicationSource) *argo.Application {
		return &argo.Application{Spec: argo.ApplicationSpec{Source: &s}}
	}
	several := func(s ...argo.ApplicationSource) *argo.Application {
		return &argo.Application{Spec: argo.ApplicationSpec{Sources: s}}
	}
	hydrated := &argo.Application{Spec: argo.ApplicationSpec{SourceHydrator: &argo.SourceHydrator{
		DrySource: argo.DrySource{RepoURL: url, Path: "overlays/production", TargetRevision: "main"}}}}
	for _, c := range []struct {
		name string
		app  *argo.Application
		want bool
	}{
		{"the overlay itself", single(argo.ApplicationSource{RepoURL: url, Path: "overlays/production", TargetRevision: "main"}), true},
		{"a path with dots and slashes", single(argo.ApplicationSource{RepoURL: url, Path: "./overlays/production/", TargetRevision: "refs/heads/main"}), true},
		{"a directory above", single(argo.ApplicationSource{RepoURL: url, Path: "overlays", TargetRevision: "main"}), true},
		{"the whole repository", single(argo.ApplicationSource{RepoURL: url, Path: ".", TargetRevision: "main"}), true},
		{"a directory below", single(argo.ApplicationSource{RepoURL: url, Path: "overlays/production/eu", TargetRevision: "main"}), false},
		{"a name that begins the same", single(argo.ApplicationSource{RepoURL: url, Path: "overlays/prod", TargetRevision: "main"}), false},
		{"HEAD may be the branch", single(argo.ApplicationSource{RepoURL: url, Path: "overlays/production", TargetRevision: "HEAD"}), true},
		{"so may nothing", single(argo.ApplicationSource{RepoURL: url, Path: "overlays/production"}), true},
		{"a tag is not", single(argo.ApplicationSource{RepoURL: url, Path: "overlays/production", TargetRevision: "v1"}), false},
		{"another repository", single(argo.ApplicationSource{RepoURL: "https://git.example/other", Path: "overlays/production", TargetRevision: "main"}), false},
		{"the second of several sources", several(argo.ApplicationSource{RepoURL: "https://charts.example", Chart: "x"},
			argo.ApplicationSource{RepoURL: url, Path: "overlays/production", TargetRevision: "main"}), true},
		{"a source that is only referred to", several(argo.ApplicationSource{RepoURL: url, Ref: "values", TargetRevision: "main"}), false},
		{"what is hydrated", hydrated, true},
	} {
		if got := follows(c.app, repository(url), "main", []string{"elsewhere", "overlays/production"}); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
