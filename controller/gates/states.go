package gates

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
)

// states follows the databases that Pods wait for, each once for all of them, until none does.
type states struct {
	waiter *jetstream.Waiter
	wake   func(types.NamespacedName) // is told each Pod of a database of which something new is known; must not block
	log    *slog.Logger
	ctx    context.Context // ends every watch
	ended  sync.WaitGroup

	mu     sync.Mutex
	topics map[events.Target]*topic // by the target without its version
}

// topic is what is known of one database, and who wants to know it.
type topic struct {
	known
	pods map[types.NamespacedName]bool
	stop context.CancelFunc
}

func newStates(ctx context.Context, waiter *jetstream.Waiter, wake func(types.NamespacedName), log *slog.Logger) *states {
	return &states{waiter: waiter, wake: wake, log: log, ctx: ctx, topics: map[events.Target]*topic{}}
}

// follow makes a Pod one that waits for these targets and no others, and returns what is known of each.
func (s *states) follow(pod types.NamespacedName, targets []events.Target) []known {
	s.mu.Lock()
	defer s.mu.Unlock()
	var wanted []events.Target
	for _, t := range targets {
		t.Version = ""
		wanted = append(wanted, t)
	}
	for name, t := range s.topics {
		if !slices.Contains(wanted, name) {
			delete(t.pods, pod)
		}
		if len(t.pods) == 0 {
			t.stop()
			delete(s.topics, name)
		}
	}
	var all []known
	for _, name := range wanted {
		t := s.topics[name]
		if t == nil {
			t = &topic{pods: map[types.NamespacedName]bool{}}
			s.topics[name] = t
			s.begin(name, t)
		}
		t.pods[pod] = true
		all = append(all, t.known)
	}
	return all
}

// begin watches a database.
func (s *states) begin(name events.Target, t *topic) {
	ctx, stop := context.WithCancel(s.ctx)
	t.stop = stop
	s.ended.Go(func() { s.watch(ctx, name, t) })
}

// again is how long after NATS has refused a watch it is asked again: somebody has to mend that.
const again = 30 * time.Second

func (s *states) watch(ctx context.Context, name events.Target, t *topic) {
	for ctx.Err() == nil {
		err := s.waiter.Watch(ctx, jetstream.Query{Targets: []events.Target{name}}, func(states []events.State, unmet error) {
			var nothing *jetstream.UnreachableError
			if !errors.As(unmet, &nothing) {
				unmet = nil
			}
			s.learn(t, known{states[0], unmet == nil, unmet})
		})
		if ctx.Err() != nil {
			return
		}
		s.log.WarnContext(ctx, "pods wait for what cannot be watched", "schema", name.String(), "err", err, "again", again)
		s.mu.Lock()
		k := t.known
		s.mu.Unlock()
		k.trouble = err
		s.learn(t, k)
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

// learn takes in what is new, and wakes who waits for it.
func (s *states) learn(t *topic, k known) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.known = k
	for pod := range t.pods {
		s.wake(pod)
	}
}
