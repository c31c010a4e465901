package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// simServer stands in for the API server of a cluster: the objects that there are, and for each kind every change, which a watch sends in
// order.
type simServer struct {
	client.Reader // only Get is ever called
	client.Writer // only Delete and Patch are ever called
	objects       map[string]client.Object
	log           map[string][]delivery
	version       int
	away          bool                       // the controllers cannot reach it
	deleted       func(client.Object)        // a Job, by the controller
	patched       func(string, change) error // an Application, by the controller
	projects      func() argo.SyncWindows    // of every project
}

func newSimServer() *simServer {
	return &simServer{objects: map[string]client.Object{}, log: map[string][]delivery{}}
}

var errAway = errors.New("nobody answers")

func simKey(obj client.Object) string {
	return kind(obj) + " " + client.ObjectKeyFromObject(obj).String()
}

// put stores a copy of an object as the cache's transform leaves it.
func (s *simServer) put(obj client.Object) {
	strip := map[string]func(any) (any, error){"Application": stripApplication, "Job": stripJob, "Pod": stripPod}[kind(obj)]
	out, err := strip(obj.DeepCopyObject())
	if err != nil {
		panic(err) // none of them fails
	}
	now := out.(client.Object)
	s.version++
	now.SetResourceVersion(fmt.Sprint(s.version))
	s.objects[simKey(now)] = now
	s.log[kind(now)] = append(s.log[kind(now)], delivery{object: now})
}

func (s *simServer) drop(obj client.Object) {
	last, ok := s.objects[simKey(obj)]
	if !ok || last.GetUID() != obj.GetUID() {
		return
	}
	delete(s.objects, simKey(obj))
	s.log[kind(obj)] = append(s.log[kind(obj)], delivery{object: last, deleted: true})
}

// all lists the objects of a kind by their names.
func (s *simServer) all(of string) []client.Object {
	var out []client.Object
	for _, k := range slices.Sorted(maps.Keys(s.objects)) {
		if kind(s.objects[k]) == of {
			out = append(out, s.objects[k])
		}
	}
	return out
}

// Get answers with what there is now, however late the watches are.
func (s *simServer) Get(ctx context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	if s.away {
		return errAway
	}
	switch obj := obj.(type) {
	case *argo.AppProject:
		obj.Spec.SyncWindows = s.projects()
		return nil
	case *unstructured.Unstructured:
		return getUnstructured(ctx, s, key, obj)
	}
	found, ok := s.objects[kind(obj)+" "+key.String()]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: kind(obj)}, key.String())
	}
	switch obj := obj.(type) {
	case *argo.Application:
		found.(*argo.Application).DeepCopyInto(obj)
	case *metav1.PartialObjectMetadata:
		found.(*batchv1.Job).ObjectMeta.DeepCopyInto(&obj.ObjectMeta)
	}
	return nil
}

// Patch is what the controller asks for, of an Application that is still as it was.
func (s *simServer) Patch(_ context.Context, obj client.Object, p client.Patch, _ ...client.PatchOption) error {
	var c change
	data, err := p.Data(obj)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		return err
	}
	if found, ok := s.objects[simKey(obj)]; !ok || found.GetResourceVersion() != c.Metadata.ResourceVersion {
		return apierrors.NewConflict(schema.GroupResource{Resource: kind(obj)}, obj.GetName(), nil)
	}
	return s.patched(simKey(obj), c)
}

// Delete is what the controller asks for.
func (s *simServer) Delete(_ context.Context, obj client.Object, opts ...client.DeleteOption) error {
	var o client.DeleteOptions
	o.ApplyOptions(opts)
	found, ok := s.objects[simKey(obj)]
	switch {
	case s.away:
		return errAway
	case !ok:
		return apierrors.NewNotFound(schema.GroupResource{Resource: kind(obj)}, obj.GetName())
	case o.Preconditions == nil || *o.Preconditions.UID != found.GetUID():
		return apierrors.NewConflict(schema.GroupResource{Resource: kind(obj)}, obj.GetName(), nil)
	}
	s.deleted(found)
	return nil
}
