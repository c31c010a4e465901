package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// reaction is how long Argo CD may take until it syncs an Application that it has found out of sync. It does so within a second, or
// within its resync of some minutes if its queue is full.
const reaction = 2 * time.Minute

// skipReconcile on an Application suspends it (argo-cd, common: AnnotationKeyAppSkipReconcile).
const skipReconcile = "argocd.argoproj.io/skip-reconcile"

// stalls remembers since when Applications have been out of sync without anything being done about it, which their status does not
// tell. It is safe for concurrent use.
type stalls struct {
	mu  sync.Mutex
	now func() time.Time
	of  map[types.NamespacedName]stall

	unreadable sync.Once // logs that sync windows are
}

type stall struct {
	at    string // the commit that is not synced, and the operation before it
	since time.Time
}

func newStalls() *stalls {
	return &stalls{now: time.Now, of: map[types.NamespacedName]stall{}}
}

// see notes that an Application waits at this point, and returns since when, and how much longer that is nothing to speak of.
func (s *stalls) see(a types.NamespacedName, at string) (since time.Time, left time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.of[a].at != at {
		s.of[a] = stall{at: at, since: now}
	}
	since = s.of[a].since
	return since, max(0, reaction-now.Sub(since))
}

func (s *stalls) forget(a types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, a)
}

// stalled finds out whether an Application that should sync by itself has not for too long, and whether a sync window is why. It returns
// after what time to look again, zero if that is not needed.
func (w world) stalled(ctx context.Context, a *argo.Application, view *application) (time.Duration, error) {
	last, _ := view.last()
	if !idle(a, *view, last) {
		w.stalls.forget(view.Key)
		return 0, nil
	}
	since, left := w.stalls.see(view.Key, view.Compared+" "+run(*view, last))
	if left > 0 {
		return left, nil
	}
	now, why, err := automated(ctx, w.live, view.Key)
	if err != nil || why != "" {
		return 0, err
	}
	shut, err := windowShut(ctx, w.live, now)
	if unreadable(err) {
		w.stalls.unreadable.Do(func() {
			w.Log.Warn("nothing is said about applications that wait in vain to be synced; grant get on appprojects", "error", err)
		})
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	view.Stalled, view.Shut = since, shut
	return reaction, nil // windows open without a word
}

// idle reports whether an Application waits for Argo CD to sync it by itself.
func idle(a *argo.Application, view application, last operation) bool {
	return len(view.Wanted) > 0 && a.Spec.SyncPolicy != nil && a.Spec.SyncPolicy.Automated != nil && !view.Asked && !last.running() &&
		view.Compared != "" && view.Compared != last.Revision
}

// automated reads an Application from the API server, and says why Argo CD does not sync it by itself; empty if it does.
func automated(ctx context.Context, live client.Reader, key types.NamespacedName) (*argo.Application, string, error) {
	raw := &unstructured.Unstructured{}
	raw.SetGroupVersionKind(argo.ApplicationSchemaGroupVersionKind)
	if err := live.Get(ctx, key, raw); err != nil {
		return nil, "it is not there", wrap("look at application "+key.String(), client.IgnoreNotFound(err))
	}
	a := &argo.Application{}
	text, err := raw.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, a)
	}
	if err != nil {
		return nil, "", fmt.Errorf("read application %s: %w", key, err)
	}
	// Argo CD 3 can switch automated syncs off and keep their options; the types of 2.14 do not know that.
	enabled, found, err := unstructured.NestedBool(raw.Object, "spec", "syncPolicy", "automated", "enabled")
	switch {
	case a.DeletionTimestamp != nil:
		return a, "it is being deleted", nil
	case a.Annotations[skipReconcile] == "true":
		return a, "it is suspended", nil
	case a.Spec.SyncPolicy == nil || a.Spec.SyncPolicy.Automated == nil || err == nil && found && !enabled:
		return a, "automated sync is off", nil
	}
	return a, "", nil
}

// windowShut reports whether a sync window of the Application's project keeps automated syncs from it now.
func windowShut(ctx context.Context, live client.Reader, a *argo.Application) (bool, error) {
	var p argo.AppProject
	key := types.NamespacedName{Namespace: either(a.Status.ControllerNamespace, a.Namespace), Name: either(a.Spec.Project, argo.DefaultAppProjectName)}
	if err := live.Get(ctx, key, &p); err != nil {
		return false, fmt.Errorf("look for sync windows in project %s: %w", key, err)
	}
	can, err := p.Spec.SyncWindows.Matches(a).CanSync(false)
	return !can || err != nil, nil // Argo CD takes a window with an error for a closed one
}

// unreadable reports whether an error says that there is no such object for this controller, now or ever.
func unreadable(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
}
