package kustomize

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// kustomization reads the overlay's own file, which is one that can be edited.
func (r *repository) kustomization() (*kustomization, error) {
	k, err := r.kustomizationIn(r.overlay)
	if err != nil {
		return nil, err
	}
	if info, err := r.Lstat(k.file); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, Problems{{k.file, 0, "is a symbolic link, which would be edited for all who share it", "make it a file of its own"}})
	}
	return k, nil
}

// kustomizationIn reads the one of a directory.
func (r *repository) kustomizationIn(dir string) (*kustomization, error) {
	entries, err := r.list(dir)
	if err != nil {
		return nil, err
	}
	name := kustomizationFile(entries)
	if name == "" {
		return nil, Problems{{dir, 0, "has no kustomization file", "create kustomization.yaml, or name another directory"}}
	}
	file := path.Join(dir, name)
	content, err := readFile(r.tree, file)
	if err != nil {
		return nil, Problems{refusal(file, err)}
	}
	return parseKustomization(file, content)
}

// declarations reads the SchemaMigrations beside the kustomization.
func (r *repository) declarations(k *kustomization) ([]*declaration, error) {
	entries, err := r.list(r.overlay)
	if err != nil {
		return nil, err
	}
	var (
		all      []*declaration
		problems Problems
	)
	for _, e := range entries {
		if !isYAML(e) {
			continue
		}
		file := r.in(e.Name())
		content := k.content
		if file != k.file {
			if content, err = readFile(r.tree, file); err != nil {
				problems = append(problems, refusal(file, err))
				continue
			}
		}
		some := read(file, content, &problems)
		if line := k.lists(e.Name()); line > 0 {
			mustBeLocal(some, k.file, line, &problems)
		}
		all = append(all, some...)
	}
	complete(all, k, &problems)
	return all, problems.err()
}

// mustBeLocal refuses a SchemaMigration that kustomize would emit, and the cluster refuse.
func mustBeLocal(some []*declaration, kustomization string, line int, problems *Problems) {
	for _, d := range some {
		if !d.localConfig {
			problems.add(d.file, d.line("metadata.annotations"), fmt.Sprintf("%s:%d lists it, and no cluster knows the kind %s", kustomization, line, manifests.Kind),
				"add the annotation "+localConfigAnnotation+`: "true", or take it out of the resources: it is found without them`)
		}
	}
}

// complete fills in the environment and the waves, refuses names that are taken, and validates what could be read.
func complete(all []*declaration, k *kustomization, problems *Problems) {
	first := map[string]*declaration{}
	for _, d := range all {
		if other := first[d.Name]; other != nil && d.Name != "" {
			problems.add(d.file, d.line("metadata.name"), fmt.Sprintf("metadata.name: %s is declared in %s:%d too", d.Name, other.file, other.line("metadata.name")),
				"give each database of an overlay a name of its own")
		}
		first[d.Name] = d
		if d.Environment == "" {
			d.Environment = k.namespace
		}
		for _, e := range d.Validate() {
			switch {
			case d.complained(e.Field):
			case e.Field == "spec.environment" && d.Environment == "":
				problems.add(d.file, d.line(e.Field), e.Field+": is missing, and the overlay sets no namespace to take it from",
					"name the environment, as in environment: production, or set namespace in "+path.Base(k.file))
			default:
				d.reject(e)
			}
		}
	}
	orderWaves(all, problems)
}

// reject turns an error about a field into a problem with its line.
func (d *declaration) reject(e *manifests.FieldError) {
	d.problems.add(d.file, d.line(e.Field), e.Field+": "+e.What, e.Remedy)
}

// load reads the migrations of a declaration, as far as they are in the repository. What is wrong with them is told by the
// file it is in.
func (r *repository) load(d *declaration) (manifests.Input, bool) {
	in := manifests.Input{Migration: d.SchemaMigration, Files: map[string][]byte{}}
	if d.Source.Directory == "" {
		return in, true
	}
	const at = "spec.source.directory"
	dir, wrong, remedy := r.directory(d.Source.Directory)
	if wrong != "" {
		d.problems.add(d.file, d.line(at), at+": "+wrong, remedy)
		return in, false
	}
	fsys := bounded{r.tree, dir, new(sync.Map), new(sync.Map)}
	var err error
	in.Set, err = migrations.Load(fsys, migrations.Layout(d.Source.Layout))
	if wrong := (*migrations.LoadError)(nil); errors.As(err, &wrong) {
		for _, p := range wrong.Problems {
			switch err, refused := fsys.refused.Load(p.File); {
			case refused:
				*d.problems = append(*d.problems, refusal(path.Join(dir, p.File), err.(error)))
			case p.File == "":
				d.problems.add(d.file, d.line(at), at+": "+d.Source.Directory+": "+p.What, p.Remedy)
			default:
				d.problems.add(path.Join(dir, p.File), p.Line, p.What, p.Remedy)
			}
		}
		return in, false
	}
	files := in.Set.Files()
	for i := 0; err == nil && i < len(files); i++ {
		in.Files[files[i]], err = fs.ReadFile(fsys, files[i])
	}
	if err != nil {
		d.problems.add(d.file, d.line(at), at+": "+err.Error(), "make the directory readable")
	}
	return in, err == nil
}
