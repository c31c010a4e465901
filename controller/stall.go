package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// reaction is how long Argo CD may take until it syncs an Application that it has found out of sync. It does so within a second, or
// within its resync of some minutes if its queue is full.
const reaction = 2 * time.Minute

// skipReconcile on an Application suspends it, by whatever strconv.ParseBool takes for true (argo-cd, common: AnnotationKeyAppSkipReconcile).
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
	since, left := w.stalls.see(view.Key, view.Compared+" "+run(view.Key.String(), last.Started))
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

// idle reports whether an Application waits for Argo CD to sync it by itself. One that was synced at this commit has nothing to wait for,
// unless without its hooks: Argo CD takes that for a try of the commit.
func idle(a *argo.Application, view application, last operation) bool {
	return len(view.Wanted) > 0 && a.Spec.SyncPolicy != nil && a.Spec.SyncPolicy.Automated != nil && !view.Asked && !last.running() &&
		view.Compared != "" && (view.Compared != last.Revision || last.skipsHooks())
}

// automated reads an Application from the API server, and says why Argo CD does not sync it by itself; empty if it does.
func automated(ctx context.Context, live client.Reader, key types.NamespacedName) (*argo.Application, string, error) {
	a := &argo.Application{}
	raw, err := both(ctx, live, key, argo.ApplicationSchemaGroupVersionKind, a)
	if err != nil {
		return nil, "it is not there", wrap("look at application "+key.String(), client.IgnoreNotFound(err))
	}
	// Argo CD 3 can switch automated syncs off and keep their options; the types of 2.14 do not know that.
	suspended, _ := strconv.ParseBool(a.Annotations[skipReconcile])
	enabled, found, err := unstructured.NestedBool(raw.Object, "spec", "syncPolicy", "automated", "enabled")
	switch {
	case a.DeletionTimestamp != nil:
		return a, "it is being deleted", nil
	case suspended:
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
	raw, err := both(ctx, live, key, argo.AppProjectSchemaGroupVersionKind, &p)
	if err != nil {
		return false, fmt.Errorf("look for sync windows in project %s: %w", key, err)
	}
	windows, _, err := unstructured.NestedSlice(raw.Object, "spec", "syncWindows")
	if err != nil {
		return false, fmt.Errorf("read sync windows of project %s: %w", key, err)
	}
	var matching argo.SyncWindows
	for i, w := range p.Spec.SyncWindows {
		if fields, _ := windows[i].(map[string]any); matches(w, a, fields["andOperator"] == true) {
			matching = append(matching, w)
		}
	}
	can, err := matching.CanSync(false)
	return !can || err != nil, nil // Argo CD takes a window with an error for a closed one
}

// matches reports whether a window is for an Application. Argo CD 3 has windows that are for those alone which match in every respect that
// the window names, and not in one of them; the types of 2.14 do not know that.
func matches(w *argo.SyncWindow, a *argo.Application, inAll bool) bool {
	is := func(w argo.SyncWindow) bool { return (&argo.SyncWindows{&w}).Matches(a) != nil }
	if !is(*w) || !inAll {
		return is(*w)
	}
	return (len(w.Applications) == 0 || is(argo.SyncWindow{Applications: w.Applications})) &&
		(len(w.Clusters) == 0 || is(argo.SyncWindow{Clusters: w.Clusters})) &&
		(len(w.Namespaces) == 0 || is(argo.SyncWindow{Namespaces: w.Namespaces}))
}

// both gets an object of Argo CD's into obj and as it is sent, with what newer versions have and the types do not know.
func both(ctx context.Context, live client.Reader, key types.NamespacedName, kind schema.GroupVersionKind, obj client.Object) (*unstructured.Unstructured, error) {
	raw := &unstructured.Unstructured{}
	raw.SetGroupVersionKind(kind)
	if err := live.Get(ctx, key, raw); err != nil {
		return nil, err
	}
	text, err := raw.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, obj)
	}
	return raw, err
}

// unreadable reports whether an error says that there is no such object for this controller, now or ever.
func unreadable(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
}
