package gates

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"

	"github.com/schemawave/schemawave/controller/kubeevent"
	"github.com/schemawave/schemawave/manifests"
)

// workers is how many Pods are released at the same time.
const workers = 8

// queue holds the Pods that are to be looked at, and what each of those that wait was told.
type queue struct {
	workqueue.TypedRateLimitingInterface[types.NamespacedName]
	seen     client.Reader // the cache
	live     pods
	recorder record.EventRecorder
	metrics  *metrics
	log      *slog.Logger
	states   *states

	mu   sync.Mutex
	told map[types.NamespacedName]told
}

// told is what a Pod was told last.
type told struct {
	uid types.UID
	verdict
}

func newQueue(m *metrics, c cluster.Cluster, log *slog.Logger) *queue {
	return &queue{
		TypedRateLimitingInterface: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](100*time.Millisecond, 30*time.Second)),
		seen: c.GetCache(), live: struct {
			client.Reader
			client.Writer
		}{c.GetAPIReader(), c.GetClient()},
		recorder: c.GetEventRecorderFor("schemawave"), metrics: m, log: log, told: map[types.NamespacedName]told{},
	}
}

// OnAdd, OnUpdate and OnDelete wake a Pod, as an informer tells of it.
func (q *queue) OnAdd(obj any, _ bool) { q.notice(obj) }
func (q *queue) OnUpdate(_, obj any)   { q.notice(obj) }
func (q *queue) OnDelete(obj any)      { q.notice(obj) }

func (q *queue) notice(obj any) {
	if k, ok := key(obj); ok {
		q.Add(k)
	}
}

// run works until ctx ends, and until all it began has ended.
func (q *queue) run(ctx context.Context, s *states) {
	q.states = s
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for q.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	q.ShutDown()
	all.Wait()
	s.ended.Wait()
	q.metrics.waiting.Set(0)
}

func (q *queue) next(ctx context.Context) bool {
	pod, over := q.Get()
	if over {
		return false
	}
	defer q.Done(pod)
	if err := q.look(ctx, pod); err != nil {
		q.log.WarnContext(ctx, "a pod waits on; trying again", "pod", pod.String(), "err", err)
		q.AddRateLimited(pod)
		return true
	}
	q.Forget(pod)
	return true
}

// look decides about one Pod. It depends on what is there now, so whatever was missed is made good.
func (q *queue) look(ctx context.Context, name types.NamespacedName) error {
	var pod corev1.Pod
	switch err := q.seen.Get(ctx, name, &pod); {
	case apierrors.IsNotFound(err) || err == nil && !gated(&pod):
		q.leave(name)
		return nil
	case err != nil:
		return err
	}
	targets, err := parse(pod.Annotations[manifests.AnnotationGate])
	if err != nil {
		q.states.follow(name, nil)
		q.tell(&pod, verdict{reason: reasonMalformed, text: "annotation " + manifests.AnnotationGate + ": " + err.Error() +
			"; name what to wait for on the workload, environment/database[@version], with commas between several: this Pod is never released"})
		return nil
	}
	v := judge(targets, q.states.follow(name, targets))
	if !v.release {
		q.tell(&pod, v)
		return nil
	}
	done, err := release(ctx, q.live, &pod)
	if ctx.Err() != nil {
		return nil // whoever leads next looks again
	}
	if done || err != nil {
		q.metrics.released(err)
	}
	if err != nil {
		q.tell(&pod, verdict{reason: reasonUnreleased, text: err.Error()})
		return err
	}
	if done {
		q.log.InfoContext(ctx, "a pod is released", "pod", name.String(), "why", v.text)
		q.tell(&pod, v)
	}
	q.leave(name)
	return nil
}

// tell says a verdict once, in a Kubernetes Event on the Pod.
func (q *queue) tell(pod *corev1.Pod, v verdict) {
	name, now := client.ObjectKeyFromObject(pod), told{pod.UID, v}
	q.mu.Lock()
	before := q.told[name]
	if v.text == "" && before.uid == pod.UID {
		now = before
	}
	q.told[name] = now
	q.metrics.waiting.Set(float64(len(q.told)))
	q.mu.Unlock()
	if now != before && v.text != "" {
		kubeevent.Record(q.recorder, pod, v.kind(), v.reason, v.text)
	}
}

// leave forgets a Pod that waits no longer.
func (q *queue) leave(name types.NamespacedName) {
	q.states.follow(name, nil)
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.told, name)
	q.metrics.waiting.Set(float64(len(q.told)))
}
