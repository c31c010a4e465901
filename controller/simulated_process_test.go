package controller

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// simProcess is one replica: a cache and, while it leads, a controller on it.
type simProcess struct {
	t       *testing.T
	name    string
	options Options
	world   *simWorld
	home    *simCache
	acting  *simTerm // nil while it does not lead
}

// simTerm is the time for which a replica leads. What it has captured ends with it.
type simTerm struct {
	*replica
	simFollower
	passes int
	within bool // a pass
	over   bool // nothing that it still asks for is heard
	looked map[target]bool
	knows  map[string]int       // what it was shown, with the first pass that takes it into account
	due    map[target]time.Time // to be looked at again although nothing happened
	now    func() time.Time
}

// simCache is the cache of one cluster. It follows its server by one watch a kind.
type simCache struct {
	t      *testing.T
	server *simServer
	shelf  *shelf
	read   map[string]int // how much of the server's log of a kind its watch has sent
	show   func(old any, obj client.Object, deleted bool)
}

// simWatch is one of a cache's watches.
type simWatch struct {
	*simCache
	kind string
}

func newSimProcess(t *testing.T, name string, o Options, w *simWorld) *simProcess {
	p := &simProcess{t: t, name: name, options: o, world: w}
	p.home = &simCache{t: t, server: w.home, shelf: newShelf(t, o), read: map[string]int{}, show: func(old any, obj client.Object, deleted bool) {
		if p.acting != nil {
			p.acting.show("", old, obj, deleted)
		}
	}}
	for _, w := range p.watches() {
		w.relist()
	}
	return p
}

// watches are those of its own cluster, and those of the other one as far as it reads that.
func (p *simProcess) watches() []simWatch {
	all := []simWatch{{p.home, "Application"}}
	if !p.options.ApplicationsOnly {
		all = append(all, simWatch{p.home, "Job"}, simWatch{p.home, "Pod"})
	}
	if p.acting != nil && p.acting.far != nil && !p.acting.far.server.away {
		all = append(all, simWatch{p.acting.far, "Job"}, simWatch{p.acting.far, "Pod"})
	}
	return all
}

// lead begins a term with what the cache holds, however old that is.
func (p *simProcess) lead(b *simBroker) {
	term := &simTerm{looked: map[target]bool{}, knows: map[string]int{}, due: map[target]time.Time{}, now: b.now}
	term.replica = newReplica(p.t, p.home.shelf, p.options, simPublisher{simBroker: b, term: term, ends: map[string]simEnd{}})
	term.rec.world.live = p.world.home
	term.rec.world.stalls.now = b.now
	term.rec.healer = healer{live: p.world.home, cluster: p.world.home, people: term.rec.people, metrics: term.rec.metrics}
	term.simFollower = newSimFollower(term, p)
	if at := term.rec.world.places.local; at != nil {
		at.live, at.jobs = p.world.home, p.world.home
	}
	p.acting = term
	for _, w := range p.watches() {
		for _, obj := range w.cached() {
			p.acting.show("", nil, obj, false)
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

func (w simWatch) cached() []client.Object {
	var out []client.Object
	for _, obj := range w.shelf.stores[w.kind].List() {
		out = append(out, obj.(client.Object))
	}
	slices.SortFunc(out, func(a, b client.Object) int { return cmp.Compare(simKey(a), simKey(b)) })
	return out
}

// next has the watch send its next change; it reports false if there is none.
func (w simWatch) next() bool {
	if w.read[w.kind] >= len(w.server.log[w.kind]) {
		return false
	}
	w.read[w.kind]++
	w.deliver(w.server.log[w.kind][w.read[w.kind]-1])
	return true
}

// relist takes over all that there is now, as after a watch that broke off: what happened in between is not shown.
func (w simWatch) relist() {
	w.read[w.kind] = len(w.server.log[w.kind])
	now := map[string]bool{}
	for _, obj := range w.server.all(w.kind) {
		now[simKey(obj)] = true
		if old, ok, _ := w.shelf.stores[w.kind].Get(obj); !ok || old != obj {
			w.deliver(delivery{object: obj})
		}
	}
	for _, obj := range w.cached() {
		if !now[simKey(obj)] {
			w.deliver(delivery{object: obj, deleted: true})
		}
	}
}

func (w simWatch) deliver(d delivery) {
	store := w.shelf.stores[w.kind]
	old, had, err := store.Get(d.object)
	switch {
	case err == nil && d.deleted:
		err = store.Delete(d.object)
	case err == nil:
		err = store.Update(d.object)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if !had {
		old = nil
	}
	if had || !d.deleted {
		w.show(old, d.object, d.deleted)
	}
}

// catchUp has a leader learn of everything and act on it, but for what fails. One whose pass waits for an answer cannot.
func (p *simProcess) catchUp() {
	term := p.acting
	if term == nil || term.within {
		return
	}
	for _, w := range p.watches() {
		for w.next() {
		}
	}
	for range term.queue.Len() {
		if term.over || !term.pass() {
			return
		}
	}
}

// show calls the handlers, and notes what they have been shown.
func (t *simTerm) show(cluster string, old any, obj client.Object, deleted bool) {
	t.handle(cluster, old, obj, deleted)
	if cluster == farServer && !t.gained { // it may be given up before anybody has looked
		if deleted { // what the Pods of a Job that is captured then report is not waited for
			t.note([]string{string(obj.GetUID()) + " gone"})
		}
		return
	}
	facts := simShown(obj)
	if deleted {
		facts = append(facts, string(obj.GetUID())+" gone")
	}
	if before, ok := old.(client.Object); ok && before.GetUID() != obj.GetUID() {
		facts = append(facts, string(before.GetUID())+" gone")
	}
	t.note(facts)
}

func (t *simTerm) note(facts []string) {
	from := t.passes
	if t.within {
		from++
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
