package controller

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// superseded lists the finished Jobs, oldest first, that may be deleted once everything that was observed is acknowledged: an
// attempt at another digest ended later, in the same cluster, and succeeded.
//
// It never lists the newest Job, one that runs, the newest that succeeded (from which the state can be derived again), a
// Job whose Application has an operation in progress, which may still look at it, nor one that is no hook: plain Jobs are
// Argo CD's to prune. A Job of an Application for which the database's name is taken is left alone, and replaces none.
func superseded(o observation) []job {
	heirs := map[string]*job{} // by cluster: what one proves nobody can ask the other
	others := map[types.UID]bool{}
	for i, j := range o.Jobs {
		heir, v := heirs[j.Cluster], judgeJob(j, o)
		if others[j.UID] = o.taken(o.State, v) != ""; others[j.UID] {
			continue
		}
		if v.Kind == succeeded && !v.unversioned() && !j.Gone && !j.Deleting && (heir == nil || j.Ended.After(heir.Ended)) {
			heirs[j.Cluster] = &o.Jobs[i]
		}
	}
	if len(heirs) == 0 || busy(o) {
		return nil
	}
	var out []job
	for _, j := range o.Jobs {
		heir := heirs[j.Cluster]
		if heir != nil && !others[j.UID] && j.finished() && j.Hook && !j.Gone && !j.Deleting && j.Digest != heir.Digest &&
			j.Ended.Before(heir.Ended) && j.Created.Before(heir.Created) {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b job) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Key.String(), b.Key.String()))
	})
	return out
}

// busy reports whether an operation is in progress on any Application that carries the database's Jobs, or a Job of it
// still runs.
func busy(o observation) bool {
	for _, a := range o.Applications {
		for _, op := range a.Operations {
			if op.running() {
				return true
			}
		}
	}
	for _, j := range o.Jobs {
		if !j.finished() && !j.Gone {
			return true
		}
	}
	return false
}
