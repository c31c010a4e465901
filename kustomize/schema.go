package kustomize

import (
	"sync"

	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// schema guards the one OpenAPI schema that kyaml keeps for the whole process: it is global there, and so it is here.
//
// kyaml parses the built-in schema when a build first needs it, and others that run meanwhile read it without a lock. A build
// that is alone may do so, for most never need it and it costs far more than they do; before a second one runs beside it, the
// schema is parsed.
var schema schemaGuard

type schemaGuard struct {
	mu     sync.RWMutex
	parsed bool // the built-in schema is there, and builds only read it
}

// enter begins a build that leaves the schema alone. Call leave when it is done.
func (g *schemaGuard) enter() (leave func()) {
	for {
		g.mu.RLock()
		if g.parsed {
			return g.mu.RUnlock
		}
		g.mu.RUnlock()
		if g.mu.TryLock() {
			return g.mu.Unlock
		}
		g.mu.Lock()
		if !g.parsed {
			openapi.Schema()
			g.parsed = true
		}
		g.mu.Unlock()
	}
}

// own begins a build that brings a schema of its own, by the field openapi of a kustomization. It has the schema to itself
// and leaves no trace: otherwise what others yield would depend on what was built before.
func (g *schemaGuard) own() (leave func()) {
	g.mu.Lock()
	return func() {
		openapi.ResetOpenAPI()
		g.parsed = false
		g.mu.Unlock()
	}
}
