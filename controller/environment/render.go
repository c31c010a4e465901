package environment

import (
	"context"
	"path/filepath"

	"github.com/schemawave/schemawave/kustomize"
)

// Renderer computes the generated files of one overlay, a slash-separated path below the checkout at root, without
// writing. Several overlays may be rendered at once. An error is the overlay's, unless ctx is done.
type Renderer func(ctx context.Context, root, overlay string) (Rendering, error)

// Rendering is what one overlay's generated files should be.
type Rendering interface {
	// Changed reports whether Write would change a file.
	Changed() bool
	// Warnings tells what works and will surprise.
	Warnings() []string
	// Write brings the files on disk up to date.
	Write() error
}

// Lister lists the overlays at and below a directory, as paths that begin with it. Whether a directory is one may depend
// on nothing but its own files and those of its directory schemawave, unless a file of the repository annotates workloads to wait
// for a schema: then the whole repository is listed whenever such a file changes, or a kustomization.
type Lister func(dir string) ([]string, error)

// Kustomize renders with package kustomize. The root of the options is not used: it is the checkout's.
func Kustomize(o kustomize.Options) Renderer {
	return func(ctx context.Context, root, overlay string) (Rendering, error) {
		o := o // several overlays, also of different repositories, are rendered at once
		o.Root = root
		return kustomize.Render(ctx, filepath.Join(root, filepath.FromSlash(overlay)), o)
	}
}
