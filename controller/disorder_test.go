package controller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/migrations"
)

// TestDisorder replays every recording as a bad day would: deliveries of different objects overtake each other, those of
// one object collapse, passes come late, answers of the broker are lost, and the controller is replaced. However it goes,
// nothing is called ready without proof, no fact is told twice, and in the end all is known that the cluster still shows.
func TestDisorder(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 2
	}
	for _, name := range recordings(t) {
		rec := recording(t, name)
		proof := proofs(rec)
		for mode, o := range modes {
			for seed := range seeds {
				t.Run(fmt.Sprintf("%s/%s/%d", name, mode, seed), func(t *testing.T) {
					disorder(t, rec, proof, o, rand.New(rand.NewPCG(seed, 7)))
				})
			}
		}
	}
}

func disorder(t *testing.T, rec []delivery, proof map[string]bool, o Options, rnd *rand.Rand) {
	chance := func(percent int) bool { return rnd.IntN(100) < percent }
	b, s := newBroker(t), newShelf(t, o)
	lossy := chance(50)
	b.fail = func() bool { return lossy && chance(15) }
	r := newReplica(t, s, o, b)
	pending := map[string]delivery{}
	flush := func(key string) {
		r.deliver(pending[key])
		delete(pending, key)
	}
	for _, d := range rec {
		key := kind(d.object) + " " + client.ObjectKeyFromObject(d.object).String()
		pending[key] = d
		s.happen(d)
		if chance(40) {
			flush(key)
		}
		if other := pick(pending, rnd); other != "" && chance(20) {
			flush(other)
		}
		if chance(30) {
			r.work()
		}
		if chance(2) {
			r = newReplica(t, s, o, b)
			r.start()
		}
	}
	for len(pending) > 0 {
		flush(pick(pending, rnd))
	}
	b.fail = func() bool { return false }
	if failed := r.work(); len(failed) > 0 {
		if failed = r.work(); len(failed) > 0 {
			t.Fatalf("passes fail: %v", failed)
		}
	}
	check(t, b, proof)
	if !o.ApplicationsOnly {
		checkJobs(t, b, s)
	}
	told := len(b.log)
	again := newReplica(t, s, o, b)
	again.start()
	if failed := again.work(); len(failed) > 0 {
		t.Fatalf("passes of a new replica fail: %v", failed)
	}
	if len(b.log) != told {
		t.Errorf("a new replica tells what was told:\n%q", b.history()[told:])
	}
}

func pick(pending map[string]delivery, rnd *rand.Rand) string {
	keys := make([]string, 0, len(pending))
	for k := range pending {
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return ""
	}
	slices.Sort(keys)
	return keys[rnd.IntN(len(keys))]
}

// proofs lists what a recording proves, found without the code under test: complete Jobs, and Argo CD's word on a Job that
// reached its completions.
func proofs(rec []delivery) map[string]bool {
	out := map[string]bool{}
	for _, d := range rec {
		switch o := d.object.(type) {
		case *batchv1.Job:
			for _, c := range o.Status.Conditions {
				if c.Type == batchv1.JobComplete {
					out[o.Name] = true
				}
			}
		case *argo.Application:
			if s := o.Status.OperationState; s != nil && s.SyncResult != nil {
				for _, r := range s.SyncResult.Resources {
					if r.Kind == "Job" && r.HookPhase == "Succeeded" && r.Message == reached {
						out[r.Name] = true
					}
				}
			}
		}
	}
	return out
}

// check holds everything that was published against the proofs.
func check(t *testing.T, b *broker, proof map[string]bool) {
	t.Helper()
	for _, r := range b.ready {
		if name := fmt.Sprintf("schema-orders-%s-%s", r.Version, short(r.Digest)); !proof[name] && !proof["schema-audit-"+name[len("schema-orders-"):]] {
			t.Errorf("%s is called ready without proof", name)
		}
	}
	newest := map[string]migrations.Version{}
	runs := map[string]int{}
	for _, e := range b.log {
		db := e.Environment + "/" + e.Database
		runs[fmt.Sprint(e.Predicate, db, e.Attempt.Run, e.Attempt.Version)]++
		if e.Ready == nil {
			if newest[db] != "" {
				t.Errorf("%s event of %s forgets that %s is ready", e.Predicate, db, newest[db])
			}
			continue
		}
		if v := migrations.Version(e.Ready.Version); v.Compare(newest[db]) < 0 {
			t.Errorf("%s went from %s down to %s", db, newest[db], v)
		} else {
			newest[db] = v
		}
	}
	for fact, n := range runs {
		if n > 1 {
			t.Errorf("%s was told %d times", fact, n)
		}
	}
}

// checkJobs holds the published states against the Jobs that are still in the cluster.
func checkJobs(t *testing.T, b *broker, s *shelf) {
	t.Helper()
	last := map[target]job{}
	for _, obj := range s.stores["Job"].List() {
		j := newJob("", obj.(*batchv1.Job))
		to, ok := jobTarget(obj.(*batchv1.Job))
		if !ok || !j.finished() {
			continue
		}
		state := b.slot(to.Environment, to.Database).state
		if j.Phase == jobComplete && (state.Ready == nil || migrations.Version(state.Ready.Version).Compare(j.Version) < 0) {
			t.Errorf("%s is complete, but %+v is ready", j.Key, state.Ready)
		}
		if j.Ended.After(last[to].Ended) {
			last[to] = j
		}
	}
	for to, j := range last {
		a := b.slot(to.Environment, to.Database).state.LastAttempt
		if want := j.Phase == jobComplete; a == nil || (a.Outcome == events.OutcomeSucceeded) != want {
			t.Errorf("%s: the last attempt of %s is %+v", j.Phase, to, a)
		}
	}
}
