package kustomize

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/schemawave/schemawave/manifests"
)

// Declared returns what the SchemaMigrations of an overlay come to, or those of one file of it, with their migrations as far as they are in
// the repository, in the order in which a sync carries them out. What those of a file depend on in other files of the overlay is among their
// Waits. It builds nothing: what the overlay makes of images is not in it.
func Declared(ctx context.Context, overlay string, opts Options) ([]manifests.Input, error) {
	dir, file := overlay, ""
	if info, err := os.Stat(overlay); err == nil && !info.IsDir() {
		dir, file = filepath.Split(overlay)
		dir = filepath.Clean(dir) // the empty one is the current directory
	}
	r, err := open(opts.Root, dir)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", overlay, err)
	}
	defer r.Close()
	inputs, err := r.declared(ctx, file, &Pass{Options: opts})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", overlay, err)
	}
	return inputs, nil
}

func (r *repository) declared(ctx context.Context, file string, p *Pass) ([]manifests.Input, error) {
	k, err := r.kustomization()
	if err != nil {
		return nil, err
	}
	declarations, err := r.declarations(k) // all of them: they order each other
	if err != nil {
		return nil, err
	}
	if file != "" {
		declarations = ofFile(r.in(file), declarations)
	}
	if len(declarations) == 0 {
		return nil, Problems{{r.in(file), 0, "holds no SchemaMigration", "name an overlay with one beside its kustomization, or the file itself"}}
	}
	slices.SortStableFunc(declarations, func(a, b *declaration) int { return a.moment().compare(b.moment()) })
	w := &work{repository: r, pass: p, kustomization: k}
	if err := w.load(ctx, declarations); err != nil {
		return nil, err
	}
	return w.inputs, nil
}

// ofFile returns the declarations of one file. Those of the others are not migrated with them, so what depends on one waits for it, as for a
// database of another Application.
func ofFile(file string, all []*declaration) []*declaration {
	others := map[string]string{}
	for _, d := range all {
		if d.file != file {
			others[d.Name] = d.Environment + "/" + d.Name
		}
	}
	all = slices.DeleteFunc(all, func(d *declaration) bool { return d.file != file })
	for _, d := range all {
		for i, name := range d.DependsOn {
			d.DependsOn[i] = cmp.Or(others[name], name)
		}
	}
	return all
}
