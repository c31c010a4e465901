package environment

import "context"

// Renderer computes the generated files of one overlay, a slash-separated path below the checkout at root, without
// writing. Several overlays may be rendered at once. An error is the overlay's, unless ctx is done.
type Renderer func(ctx context.Context, root, overlay string) (Rendering, error)

// Rendering is what one overlay's generated files should be.
type Rendering interface {
	// Changed reports whether Write would change a file.
	Changed() bool
	// Write brings the files on disk up to date.
	Write() error
}

// Lister lists the overlays below root, as slash-separated paths relative to it.
type Lister func(root string) ([]string, error)
