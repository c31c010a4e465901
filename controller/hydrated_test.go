package controller

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"

	"github.com/schemawave/schemawave/events"
)

// dryOf is the commit from which a revision was hydrated.
func dryOf(revision string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte("dry "+revision)))[:40]
}

// hydrateFrom has an Application be one with a source hydrator, whose status says of the newest revision what it was hydrated from. All other
// revisions of such an Application are those of the hydrated branch (argo-cd, ApplicationSpec.GetSource).
func hydrateFrom(a *argo.Application) {
	a.Spec.SourceHydrator = &argo.SourceHydrator{
		DrySource:  argo.DrySource{RepoURL: "https://git.example/shop.git", Path: "overlays/production", TargetRevision: "main"},
		SyncSource: argo.SyncSource{TargetBranch: "environments/production", Path: "production"},
	}
	if r := a.Status.Sync.Revision; r != "" {
		a.Status.SourceHydrator.LastSuccessfulOperation = &argo.SuccessfulHydrateOperation{DrySHA: dryOf(r), HydratedSHA: r}
	}
}

// TestHydrated replays recordings as those of hydrated Applications: an event's revision is the one that was synced, the hydrated one,
// and beside it stands the one that was pushed, whatever Argo CD has hydrated meanwhile, if that was ever seen.
func TestHydrated(t *testing.T) {
	for mode, o := range modes {
		t.Run(mode, func(t *testing.T) {
			dry := 0
			for _, name := range recordings(t) {
				b := newBroker(t)
				r := newReplica(t, newShelf(t, o), o, b)
				seen := map[string]bool{}
				for _, d := range recording(t, name) {
					if a, ok := d.object.(*argo.Application); ok && len(a.Status.Sync.Revisions) == 0 {
						hydrateFrom(a)
						strip(a)
						seen[a.Status.Sync.Revision] = true
					}
					before := len(b.log)
					r.deliver(d)
					r.work()
					for _, e := range b.log[before:] {
						want := ""
						if seen[e.Attempt.Revision] && e.Attempt.Revision != "" {
							want = dryOf(e.Attempt.Revision)
							dry++
						}
						if e.Attempt.DryRevision != want {
							t.Errorf("%s: %s of %q is said to come from %q, want %q", name, e.Predicate, e.Attempt.Revision, e.Attempt.DryRevision, want)
						}
					}
				}
				for at, slot := range b.states {
					for _, e := range held(slot.state) {
						if i := slices.IndexFunc(b.log, func(told events.Event) bool { return told.ID == e.ID }); i >= 0 && e.Attempt.DryRevision != b.log[i].Attempt.DryRevision {
							t.Errorf("%s: the state of %s tells that %s comes from %q", name, at, e.Predicate, e.Attempt.DryRevision)
						}
					}
				}
			}
			if dry < 40 {
				t.Errorf("%d events say what they were hydrated from", dry)
			}
		})
	}
}

// TestHealsHydrated: what is asked for is the hydrated commit, of the branch that Argo CD syncs.
func TestHealsHydrated(t *testing.T) {
	a := &argo.Application{}
	a.Spec.SyncPolicy = &argo.SyncPolicy{Automated: &argo.SyncPolicyAutomated{}}
	a.Status.Sync.Revision = "hydrated"
	a.Status.OperationState = &argo.OperationState{Phase: common.OperationSucceeded}
	hydrateFrom(a)
	if got := cure(a).Operation.Sync; got.Revision != "hydrated" || got.Source != nil || got.Sources != nil {
		t.Errorf("asks for %+v", got)
	}
}

// TestExplainsHydrated: what a team pushes is the source, and what Argo CD has made of it, or why nothing, stands beside it.
func TestExplainsHydrated(t *testing.T) {
	a := &argo.Application{}
	a.Namespace, a.Name, a.Status.Sync.Revision = "argocd", "orders", "hydrated"
	hydrateFrom(a)
	of := func() Explanation {
		b := a.DeepCopy()
		strip(b)
		return newExplanation(b, newApplication(b, destination{}))
	}
	want := HydrationFact{Branch: "environments/production", Commit: "hydrated", From: dryOf("hydrated")}
	e := of()
	if *e.Hydration != want || len(e.Sources) != 1 || e.Sources[0] != "https://git.example/shop.git overlays/production main" {
		t.Errorf("the sources %q are hydrated as %+v, want %+v", e.Sources, e.Hydration, want)
	}
	if line := "hydrated   to environments/production: hydrated, from " + want.From + "\n"; !strings.Contains(e.String(), line) || strings.Contains(e.String(), "unhydrated") {
		t.Errorf("no %q in\n%s", line, e)
	}

	a.Spec.SourceHydrator.HydrateTo = &argo.HydrateTo{TargetBranch: "environments/production-next"}
	for compared, awaits := range map[string]string{"hydrated": "", "an older one": "environments/production", "": "environments/production"} {
		a.Status.Sync.Revision = compared
		want.Branch, want.Awaits = "environments/production-next", awaits
		e := of()
		if *e.Hydration != want {
			t.Errorf("compared with %q, the hydration is %+v, want %+v", compared, e.Hydration, want)
		}
		if line := "to merge   into environments/production, which is not at that commit"; strings.Contains(e.String(), line) != (awaits != "") {
			t.Errorf("compared with %q, is %q in\n%s", compared, line, e)
		}
	}

	a.Status.SourceHydrator.LastSuccessfulOperation = nil
	a.Status.SourceHydrator.CurrentOperation = &argo.HydrateOperation{Phase: argo.HydrateOperationPhaseFailed, DrySHA: "dry", Message: "failed to push"}
	e = of()
	if want := (HydrationFact{Branch: "environments/production-next", Failure: "failed to push"}); *e.Hydration != want {
		t.Errorf("the hydration is %+v, want %+v", e.Hydration, want)
	}
	if lines := "hydrated   to environments/production-next: nothing yet\n  unhydrated failed to push\n"; !strings.Contains(e.String(), lines) {
		t.Errorf("no %q in\n%s", lines, e)
	}

	a.Status.SourceHydrator.CurrentOperation.Phase = argo.HydrateOperationPhaseHydrating
	if e := of(); e.Hydration.Failure != "" {
		t.Errorf("what is being hydrated has failed: %+v", e.Hydration)
	}
	a.Spec.SourceHydrator = nil
	if e := of(); e.Hydration != nil {
		t.Errorf("what is synced as it is is hydrated: %+v", e.Hydration)
	}
}
