package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Refresher asks Argo CD to compare Applications with git now, so that nobody waits for its three-minute poll. It is safe
// for concurrent use.
type Refresher struct {
	cluster client.Client
	log     *slog.Logger
}

// The requests. A normal refresh resolves the branch anew and renders the new commit; a hard one would also throw
// away the manifests of commits that did not change, for every Application of the repository. Of a source that is hydrated it looks at the
// hydrated branch alone: the dry one is only looked at if that is asked for, too (argo-cd, util/webhook).
var (
	refresh = []byte(fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, argo.AnnotationKeyRefresh, argo.RefreshTypeNormal))
	hydrate = []byte(fmt.Sprintf(`{"metadata":{"annotations":{%q:%q,%q:%q}}}`, argo.AnnotationKeyRefresh, argo.RefreshTypeNormal,
		argo.AnnotationKeyHydrate, argo.HydrateTypeNormal))
)

// Refresh asks for a refresh of every Application with a source in the repository, on the branch, whose path is one of
// paths or a directory above one of them. It returns how many it asked for, errors notwithstanding, and is idempotent.
//
// While Argo CD hydrates an Application it may take the request and forget it (3.5 does, controller/hydrator, appNeedsHydration). That is an
// error too: ask again later.
//
// repoURL may be spelt in any of the ways git knows, with or without scheme, user, port and ".git". An Application that
// follows HEAD, or names no revision, counts as one that follows the branch: which branch that is only the repository knows.
func (r *Refresher) Refresh(ctx context.Context, repoURL, branch string, paths []string) (int, error) {
	var all argo.ApplicationList
	if err := r.cluster.List(ctx, &all); err != nil {
		return 0, fmt.Errorf("refresh applications of %s: %w", repository(repoURL), err)
	}
	n := 0
	var errs []error
	for i := range all.Items {
		a := &all.Items[i]
		if !follows(a, repository(repoURL), branch, paths) {
			continue
		}
		key := types.NamespacedName{Namespace: a.Namespace, Name: a.Name}
		request := refresh
		if a.Spec.SourceHydrator != nil {
			request = hydrate
		}
		err := r.cluster.Patch(ctx, a, client.RawPatch(types.MergePatchType, request))
		if client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("refresh application %s: %w", key, err))
			continue
		}
		n++
		if o := a.Status.SourceHydrator.CurrentOperation; o != nil && o.Phase == argo.HydrateOperationPhaseHydrating {
			errs = append(errs, fmt.Errorf("refresh application %s: another commit is being hydrated, and Argo CD may forget to look for newer ones", key))
		}
		r.log.InfoContext(ctx, "asked Argo CD to look at git", "application", key.String(), "branch", branch)
	}
	return n, errors.Join(errs...)
}

// follows reports whether an Application renders one of paths of a branch of a repository.
func follows(a *argo.Application, repo, branch string, paths []string) bool {
	for _, s := range sources(a) {
		if s.Path == "" || repository(s.RepoURL) != repo || !onBranch(s.TargetRevision, branch) {
			continue
		}
		if slices.ContainsFunc(paths, func(p string) bool { return within(p, s.Path) }) {
			return true
		}
	}
	return false
}

// sources are what an Application is rendered from. One with a source hydrator has no other source than the dry one; what it says itself is the
// hydrated one (argo-cd, ApplicationSpec.GetSources).
func sources(a *argo.Application) argo.ApplicationSources {
	if h := a.Spec.SourceHydrator; h != nil {
		return argo.ApplicationSources{h.GetDrySource()}
	}
	return a.Spec.GetSources()
}

func onBranch(revision, branch string) bool {
	revision = strings.TrimPrefix(revision, "refs/heads/")
	return revision == "" || revision == "HEAD" || revision == strings.TrimPrefix(branch, "refs/heads/")
}

// within reports whether p is dir or below it; both are relative to the repository's root.
func within(p, dir string) bool {
	p, dir = path.Clean("/"+p), path.Clean("/"+dir)
	return dir == "/" || p == dir || strings.HasPrefix(p, dir+"/")
}

// repository brings the address of a git repository to one form, host/path in lower case, without what does not tell
// repositories apart: scheme, user, port, a trailing slash, ".git". An scp-like address, git@host:path, comes to the same.
func repository(url string) string {
	url = strings.ToLower(strings.TrimSpace(url))
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		scheme, rest = "", url
		if host, p, scp := strings.Cut(url, ":"); scp && !strings.Contains(host, "/") {
			rest = host + "/" + p
		}
	}
	host, p, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	if scheme != "" {
		host, _, _ = strings.Cut(host, ":")
	}
	return host + path.Clean("/"+strings.TrimSuffix(strings.TrimRight(p, "/"), ".git"))
}
