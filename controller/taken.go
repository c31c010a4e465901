package controller

import (
	"context"
	"fmt"
	"slices"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/events"
)

// owner adds the Application by which the published state came to be: it owns the database's name as long as it carries the database,
// whatever its last operation did.
func (w world) owner(ctx context.Context, o *observation) error {
	key, ok := applicationKey(ownerOf(o.State))
	if seen := w.ApplicationNamespaces; len(seen) > 0 && !slices.Contains(seen, key.Namespace) {
		return nil // that of another installation, or of an earlier configuration
	}
	if !ok || slices.ContainsFunc(o.Applications, func(a application) bool { return a.Key == key }) {
		return nil
	}
	var a argo.Application
	if err := w.cluster.Get(ctx, key, &a); err != nil {
		return wrap("observe "+o.Target.String()+": read application "+key.String(), client.IgnoreNotFound(err))
	}
	o.Applications = append(o.Applications, newApplication(&a, w.places.of(a.Spec.Destination)))
	return nil
}

// ownerOf is the Application that a state tells of: the one that made ready what is, else the one that tried last.
func ownerOf(s events.State) string {
	if s.Ready != nil && s.Ready.Application != "" {
		return s.Ready.Application
	}
	if s.LastAttempt != nil {
		return s.LastAttempt.Application
	}
	return ""
}

// taken says why nothing an Application does to a database is told; empty if it is. Two Applications that call their databases the
// same may mean two databases, and readers of the one would be told of the other. The one that was told of first keeps the name until it
// carries the database no more: then the database has moved, or its Application has got another name.
func (o observation) taken(s events.State, v verdict) string {
	owner := ownerOf(s)
	if owner == "" || v.Attempt.Application == "" || v.Attempt.Application == owner {
		return ""
	}
	for _, a := range o.Applications {
		if a.Key.String() == owner && o.carries(a) {
			return fmt.Sprintf("%s has a database of this name too, which belongs to %s: give one of them another metadata.name or "+
				"spec.environment, or leave it to one Application", v.Attempt.Application, owner)
		}
	}
	return ""
}

// carries reports whether the commit that an Application was last compared with holds the marker or the guard of the database.
func (o observation) carries(a application) bool {
	return slices.ContainsFunc(a.Held, func(m marker) bool { return o.concerns(a, m.Key, m.Name) })
}
