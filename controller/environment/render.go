package environment

import (
	"context"
	"path/filepath"

	"github.com/schemawave/schemawave/kustomize"
)

// RendererAt begins to render overlays of the checkout at root, of which nothing changes while the Renderer is used.
type RendererAt func(root string) Renderer

// Renderer computes the generated files of one overlay, a slash-separated path below the checkout, without writing. Several
// overlays may be rendered at once. An error is the overlay's, unless ctx is done.
type Renderer func(ctx context.Context, overlay string) (Rendering, error)

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
func Kustomize(o kustomize.Options) RendererAt {
	return func(root string) Renderer {
		p := &kustomize.Pass{Options: o}
		p.Root = root
		return func(ctx context.Context, overlay string) (Rendering, error) {
			return p.Render(ctx, filepath.Join(root, filepath.FromSlash(overlay)))
		}
	}
}
