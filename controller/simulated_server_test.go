package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// simServer stands in for the API server: the objects that there are, and for each kind every change, which a watch sends in order.
type simServer struct {
	client.Reader // only Get is ever called
	client.Writer // only Delete and Patch are ever called
	objects       map[string]client.Object
	log           map[string][]delivery
	version       int
	deleted       func(client.Object)        // a Job, by the controller
	patched       func(string, change) error // an Application, by the controller
	projects      func() argo.SyncWindows    // of every project
}

func newSimServer() *simServer {
	return &simServer{objects: map[string]client.Object{}, log: map[string][]delivery{}}
}

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
	case !ok:
		return apierrors.NewNotFound(schema.GroupResource{Resource: kind(obj)}, obj.GetName())
	case o.Preconditions == nil || *o.Preconditions.UID != found.GetUID():
		return apierrors.NewConflict(schema.GroupResource{Resource: kind(obj)}, obj.GetName(), nil)
	}
	s.deleted(found)
	return nil
}

// simProcess is one replica: a cache, which follows the server by one watch a kind, and, while it leads, a controller on it.
type simProcess struct {
	t       *testing.T
	name    string
	options Options
	server  *simServer
	shelf   *shelf
	read    map[string]int // how much of the server's log of a kind its watch has sent
	acting  *simTerm       // nil while it does not lead
}

// simTerm is the time for which a replica leads. What it has captured ends with it.
type simTerm struct {
	*replica
	passes int
	within bool // a pass
	over   bool // nothing that it still asks for is heard
	looked map[target]bool
	knows  map[string]int       // what it was shown, with the first pass that takes it into account
	due    map[target]time.Time // to be looked at again although nothing happened
	now    func() time.Time
}

var simKinds = []string{"Application", "Job", "Pod"}

func newSimProcess(t *testing.T, name string, o Options, s *simServer) *simProcess {
	p := &simProcess{t: t, name: name, options: o, server: s, shelf: newShelf(t, o), read: map[string]int{}}
	for _, k := range p.kinds() {
		p.relist(k)
	}
	return p
}

func (p *simProcess) kinds() []string {
	if p.options.ApplicationsOnly {
		return simKinds[:1]
	}
	return simKinds
}

// lead begins a term with what the cache holds, however old that is.
func (p *simProcess) lead(b *simBroker) {
	term := &simTerm{looked: map[target]bool{}, knows: map[string]int{}, due: map[target]time.Time{}, now: b.now}
	term.replica = newReplica(p.t, p.shelf, p.options, simPublisher{simBroker: b, term: term})
	term.rec.world.live = p.server
	term.rec.world.stalls.now = b.now
	term.rec.healer = healer{live: p.server, cluster: p.server, people: term.rec.people, metrics: term.rec.metrics}
	if at := term.rec.world.places.local; at != nil {
		at.live, at.jobs = p.server, p.server
	}
	p.acting = term
	for _, k := range p.kinds() {
		for _, obj := range p.cached(k) {
			p.acting.show(nil, obj, false)
		}
	}
}

// end is that of a term; what was captured is lost with it.
func (p *simProcess) end() {
	if p.acting != nil {
		p.acting.queue.ShutDown()
		p.acting.over = true
		p.acting = nil
	}
}

func (p *simProcess) cached(k string) []client.Object {
	var out []client.Object
	for _, obj := range p.shelf.stores[k].List() {
		out = append(out, obj.(client.Object))
	}
	slices.SortFunc(out, func(a, b client.Object) int { return cmp.Compare(simKey(a), simKey(b)) })
	return out
}

// next has the watch of a kind send its next change; it reports false if there is none.
func (p *simProcess) next(k string) bool {
	if p.read[k] >= len(p.server.log[k]) {
		return false
	}
	p.read[k]++
	p.deliver(p.server.log[k][p.read[k]-1])
	return true
}

// relist takes over all that there is now of a kind, as after a watch that broke off: what happened in between is not shown.
func (p *simProcess) relist(k string) {
	p.read[k] = len(p.server.log[k])
	now := map[string]bool{}
	for _, obj := range p.server.all(k) {
		now[simKey(obj)] = true
		if old, ok, _ := p.shelf.stores[k].Get(obj); !ok || old != obj {
			p.deliver(delivery{object: obj})
		}
	}
	for _, obj := range p.cached(k) {
		if !now[simKey(obj)] {
			p.deliver(delivery{object: obj, deleted: true})
		}
	}
}

// catchUp has a leader learn of everything and act on it, but for what fails. One whose pass waits for an answer cannot.
func (p *simProcess) catchUp() {
	term := p.acting
	if term == nil || term.within {
		return
	}
	for _, k := range p.kinds() {
		for p.next(k) {
		}
	}
	for range term.queue.Len() {
		if term.over || !term.pass() {
			return
		}
	}
}

func (p *simProcess) deliver(d delivery) {
	store := p.shelf.stores[kind(d.object)]
	old, had, err := store.Get(d.object)
	switch {
	case err == nil && d.deleted:
		err = store.Delete(d.object)
	case err == nil:
		err = store.Update(d.object)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	if !had {
		old = nil
	}
	if p.acting != nil && (had || !d.deleted) {
		p.acting.show(old, d.object, d.deleted)
	}
}

// show calls the handlers, and notes what they have been shown.
func (t *simTerm) show(old any, obj client.Object, deleted bool) {
	t.handle(old, obj, deleted)
	from := t.passes
	if t.within {
		from++
	}
	facts := simShown(obj)
	if deleted {
		facts = append(facts, string(obj.GetUID())+" gone")
	}
	if before, ok := old.(client.Object); ok && before.GetUID() != obj.GetUID() {
		facts = append(facts, string(before.GetUID())+" gone")
	}
	for _, fact := range facts {
		if _, known := t.knows[fact]; !known {
			t.knows[fact] = from
		}
	}
}

// pass carries out one pass; it reports false if none is due.
func (t *simTerm) pass() bool {
	for to, at := range t.due {
		if !t.now().Before(at) {
			t.queue.Add(to)
		}
	}
	if t.queue.Len() == 0 {
		return false
	}
	to, _ := t.queue.Get()
	t.within, t.looked[to] = true, true
	delete(t.due, to)
	result, err := t.rec.Reconcile(context.Background(), to)
	if result.RequeueAfter > 0 {
		t.due[to] = t.now().Add(result.RequeueAfter)
	}
	t.within = false
	t.passes++
	t.queue.Done(to)
	if err != nil {
		t.queue.Add(to)
	}
	return true
}
