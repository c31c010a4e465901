package controller

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// bits deals out the fuzzer's bytes; when they end, zeros follow.
type bits struct{ rest []byte }

func (b *bits) next(n int) int {
	if len(b.rest) == 0 {
		return 0
	}
	v := b.rest[0]
	b.rest = b.rest[1:]
	return int(v) % n
}

func one[T any](b *bits, of ...T) T { return of[b.next(len(of))] }

func (b *bits) time() time.Time {
	if n := b.next(16); n > 0 {
		return minute(n)
	}
	return time.Time{}
}

func (b *bits) version() migrations.Version {
	return one(b, migrations.Version("1"), "2", "10", "", "1.0", "x")
}

func (b *bits) job() job {
	v := b.version()
	j := madeJob(string(v)+"1", b.next(16))
	if b.next(4) == 0 {
		fromImage(&j)
		v = ""
	}
	j.Version, j.UID = v, types.UID(one(b, "a", "b", "c", "d"))
	j.Phase = one(b, jobPending, jobRunning, jobEnding, jobComplete, jobFailed)
	j.Ended, j.Started, j.Hook, j.Gone, j.Deleting = b.time(), b.time(), b.next(2) == 0, b.next(4) == 0, b.next(4) == 0
	j.Reason, j.Message = one(b, "", "PodFailurePolicy", "DeadlineExceeded"), one(b, "", backoff, "failed with exit code 99999999999999999999 matching FailJob rule")
	for range b.next(3) {
		p := pod{UID: types.UID(one(b, "p", "q")), Ended: b.next(2) == 0, Succeeded: b.next(2) == 0, EndedAt: b.time()}
		if b.next(2) == 0 {
			p.Report = &migrations.Report{
				Database: one(b, "orders", "audit"), Environment: "production", Digest: one(b, "", j.Digest), To: b.version(),
				Outcome: one(b, migrations.OutcomeSucceeded, migrations.OutcomeCurrent, migrations.OutcomeAhead, migrations.OutcomeFailed, ""),
			}
			if b.next(2) == 0 {
				p.Report.Failure = &migrations.Failure{Message: "no"}
			}
		}
		j.Pods = append(j.Pods, p)
	}
	return j
}

func (b *bits) application(name string) application {
	a := application{
		Key: types.NamespacedName{Namespace: "argocd", Name: name}, Environment: one(b, "production", "", "staging"), Readable: b.next(2) == 0,
		Named: b.next(2) == 0, Compared: one(b, "", "new", "old"), Asked: b.next(4) == 0, Wanted: b.markers(),
		Refusal: refusal{Message: one(b, "", tried+"new:", refused, "odd"), Since: b.time()},
	}
	for range b.next(3) {
		op := operation{
			Started: minute(8*len(a.Operations) + b.next(8)), Finished: b.time(), Ending: b.next(2) == 0, Past: b.next(2) == 0, Failed: b.next(2) == 0,
			Partial: b.next(2) == 0, Applied: b.next(4) == 0, Revision: one(b, "", "new", "old"), Message: one(b, "", heldByWindow), Markers: b.markers(),
		}
		for range b.next(3) {
			v := b.version()
			op.Results = append(op.Results, result{
				Key:  types.NamespacedName{Namespace: "shop", Name: "x"},
				Name: manifests.Name{Database: one(b, "orders", "audit", "a-0123ab"), Version: v, Kind: one(b, "", "", "tool"), Digest8: short(digest(string(v) + "1"))},
				Lost: b.next(8) == 0,
				Hook: b.next(2) == 0, HasJob: b.next(2) == 0, Readable: b.next(2) == 0, Status: one(b, "", "Synced", "Pruned", "SyncFailed"),
				Phase: one(b, "", "Running", "Succeeded", "Failed", "Error"), Message: one(b, reached, deleted, terminated, "", backoff),
			})
		}
		a.Operations = append(a.Operations, op)
	}
	return a
}

func (b *bits) markers() []marker {
	var out []marker
	for range b.next(3) {
		v := b.version()
		out = append(out, marker{Name: manifests.Name{
			Database: "orders", Version: v, Kind: one(b, "", "", "tool"), Digest8: short(digest(string(v) + "1")), Marker: true,
		}})
	}
	return out
}

// FuzzDecide holds decide to its promises under whatever is observed: it does not panic, calls nothing ready without a
// success, settles after one pass, and keeps what is ready through failures and obstacles.
func FuzzDecide(f *testing.F) {
	for n := range 64 {
		seed := make([]byte, 160)
		for i := range seed {
			seed[i] = byte(i*i*7 + n*31 + i>>2)
		}
		f.Add(seed)
	}
	f.Fuzz(fuzzDecide)
}

func fuzzDecide(t *testing.T, data []byte) {
	b := &bits{data}
	o := observation{Target: orders}
	seen := map[types.UID]bool{}
	for range b.next(4) {
		if j := b.job(); !seen[j.UID] {
			seen[j.UID] = true
			o.Jobs = append(o.Jobs, j)
		}
	}
	for i := range b.next(3) {
		o.Applications = append(o.Applications, b.application(fmt.Sprint("orders", i)))
	}
	if b.next(2) == 0 {
		o.State = published(string(b.version()))
		if b.next(2) == 0 {
			inTheWay(one(b, events.Stuck, events.Skipped), string(b.version()), b.next(16))(&o.State)
		}
	}
	d := decide(o)
	state := o.State
	for _, p := range d.Publications {
		e := p.Event
		if e.ID == "" || e.Attempt == nil || e.Reason == "" {
			t.Fatalf("an event is not whole: %+v", e)
		}
		if p.State == nil {
			continue
		}
		if (e.Predicate == events.Failed || e.Predicate.Obstructs()) && p.State.Ready != state.Ready {
			t.Fatalf("what is no success changed what is ready: %+v", p.State)
		}
		if r := p.State.Ready; r != nil && r != state.Ready && (r.Version == "" || !o.proves(r)) {
			t.Fatalf("%+v is ready without proof", r)
		}
		state = *p.State
	}
	settle(t, o.Jobs, o.Applications, o.State, d)
}

// proves looks for a proof of r, without the code under test.
func (o observation) proves(r *events.Ready) bool {
	for _, j := range o.Jobs {
		if j.Phase == jobComplete && j.Digest == r.Digest {
			return true
		}
	}
	for _, a := range o.Applications {
		for _, op := range a.Operations {
			for _, s := range op.Results {
				if s.Phase == "Succeeded" && s.Message == reached && s.Name.Matches(r.Digest) && !s.HasJob {
					return true
				}
			}
		}
	}
	return false
}
