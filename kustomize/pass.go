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
	result, _, err := p.render(ctx, overlay)
	return result, err
}

// render returns the overlay's kustomization as well; nil if it could not be read.
func (p *Pass) render(ctx context.Context, overlay string) (Result, *kustomization, error) {
	r, err := open(p.Root, overlay)
	if err != nil {
		return Result{}, nil, fmt.Errorf("render %s: %w", overlay, err)
	}
	defer r.Close()
	k, err := r.kustomization()
	if err != nil {
		return Result{}, nil, fmt.Errorf("render %s: %w", r.overlay, err)
	}
	result, err := r.render(ctx, p, k)
	if err != nil {
		return Result{}, k, fmt.Errorf("render %s: %w", r.overlay, err)
	}
	return result, k, nil
}
