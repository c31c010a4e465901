package kustomize

import (
	"context"
	"fmt"
	"sync"
)

// Pass renders overlays while nothing but the results of the pass changes what they are made of: what several of them need is
// read once. The zero value is ready, with options that fit a git repository. Its methods may be called concurrently.
type Pass struct {
	Options

	mu      sync.Mutex
	waiting map[string]*waiting      // by the directory of the repository
	bases   map[string]*surroundings // by their directories; nil for one of which not all can be said
}

// Render is as the function of that name.
func (p *Pass) Render(ctx context.Context, overlay string) (Result, error) {
	r, err := open(p.Root, overlay)
	if err != nil {
		return Result{}, fmt.Errorf("render %s: %w", overlay, err)
	}
	defer r.Close()
	result, err := r.render(ctx, p)
	if err != nil {
		return Result{}, fmt.Errorf("render %s: %w", r.overlay, err)
	}
	return result, nil
}
