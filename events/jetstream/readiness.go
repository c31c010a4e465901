package jetstream

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/schemawave/schemawave/events"
)

// Readiness answers readiness probes: 200 while a query is satisfied, and 503 with the reason in plain text while it is not.
//
// A service that was ready stays so while NATS is away, denies it or is closed: nothing has changed for it. Only a schema that no
// longer serves the version that the service reads takes its readiness away.
type Readiness struct {
	mu    sync.Mutex
	unmet error
}

// NewReadiness is kept up to date, by a goroutine of its own, until ctx ends.
func NewReadiness(ctx context.Context, w *Waiter, q Query) *Readiness {
	r := &Readiness{unmet: errors.New("nothing is known of the schema yet")}
	go func() {
		err := w.Watch(ctx, q, func(_ []events.State, unmet error) { r.set(unmet) })
		if r.Unmet() != nil {
			r.set(err)
		}
	}()
	return r
}

// Unmet is why the service is not ready, and nil if it is.
func (r *Readiness) Unmet() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unmet
}

func (r *Readiness) set(unmet error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unmet = unmet
}

// ServeHTTP answers one probe.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if unmet := r.Unmet(); unmet != nil {
		http.Error(w, unmet.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ready\n")) //nolint:errcheck // the one who asked has gone
}
