package kustomize

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// run builds a directory. That it needs a schema of its own is known only once its kustomizations are read: then it is
// begun again.
func run(opts *krusty.Options, fsys *preview, dir string) (resmap.ResMap, error) {
	m, err := runBuiltIn(opts, fsys, dir)
	if !fsys.wantsSchema {
		return m, err
	}
	return runOwn(opts, fsys, dir)
}

// runBuiltIn builds with the built-in schema. Should kustomize panic, as it does where a patch takes an object's kind away, the
// schema is free for the others all the same.
func runBuiltIn(opts *krusty.Options, fsys *preview, dir string) (m resmap.ResMap, err error) {
	defer schema.enter()()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panics: %v", p)
		}
	}()
	return krusty.MakeKustomizer(opts).Run(fsys, dir)
}

// runOwn builds with the directory's own schema. kyaml panics if it cannot read that.
func runOwn(opts *krusty.Options, fsys *preview, dir string) (m resmap.ResMap, err error) {
	defer schema.own()()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("openapi: %v", p)
		}
	}()
	fsys.exclusive = true
	return krusty.MakeKustomizer(opts).Run(fsys, dir)
}

// preview is a repository with some files as they would be, and a directory of which nothing else is seen. Of what is outside of the
// repository nothing is seen, unless what is remote may be fetched, for which kustomize has directories of its own.
type preview struct {
	filesys.FileSystem
	repository    *repository
	kustomization string            // the overlay's: absolute
	generated     string            // absolute; holds nothing but files
	files         map[string][]byte // by absolute path
	remote        bool              // what is remote may be fetched

	kustomizations map[string][]byte // that kustomize was given, by absolute path
	problem        *Problem          // the first with a file, by its absolute path, for which kustomize was not given it

	wantsSchema bool // a kustomization that was read has the field openapi
	exclusive   bool // and may have it
}

func (p *preview) ReadFile(name string) ([]byte, error) {
	content, ok := p.files[filepath.Clean(name)]
	if !ok {
		err := p.within(name)
		if err != nil {
			return nil, err
		}
		if content, err = readFile(os.DirFS(filepath.Dir(name)), filepath.Base(name)); err != nil {
			if errors.As(err, new(*overLimit)) {
				p.refuse(refusal(name, err))
			}
			return nil, err
		}
	}
	if problem := p.fetches(name, content); problem != nil {
		p.refuse(problem)
		return nil, problem
	}
	if isKustomization(name) {
		p.kustomizations[name] = content
	}
	if isKustomization(name) && bytes.Contains(content, []byte("openapi")) {
		if p.wantsSchema = true; !p.exclusive {
			return nil, errors.New("its schema is in use")
		}
	}
	return content, nil
}

// within refuses a path that leads out of the repository.
func (p *preview) within(name string) error {
	if !p.outside(name) {
		return nil
	}
	problem := p.leadsOut(filepath.Clean(name))
	p.refuse(problem)
	return problem
}

// outside reports whether a path leads out of the repository, by itself or by a symbolic link, without a look at what is there.
func (p *preview) outside(name string) bool {
	if p.remote {
		return false
	}
	return p.repository.outside(name)
}

// leadsOut is the problem with a path out of the repository, at the kustomization that names it.
func (p *preview) leadsOut(name string) *Problem {
	const remedy = "copy it into this repository, and name it by a path that no symbolic link leads out of"
	for _, file := range slices.Sorted(maps.Keys(p.kustomizations)) {
		for field, n := range paths(p.kustomizations[file]) {
			_, source, _ := strings.Cut(n.Value, "=")
			if dir := filepath.Dir(file); name == absolute(dir, n.Value) || name == absolute(dir, source) {
				return &Problem{file, n.Line, field + ": " + cut(n.Value) + " is outside of the repository", remedy}
			}
		}
	}
	if rel, err := filepath.Rel(p.repository.dir, name); err == nil {
		name = filepath.ToSlash(rel)
	}
	return &Problem{p.kustomization, 0, name + " is outside of the repository", remedy}
}

// fetches returns the problem with a file that has something fetched although nothing may be; nil if there is none.
func (p *preview) fetches(name string, content []byte) *Problem {
	switch {
	case p.remote:
		return nil
	case isKustomization(name):
		return remoteOf(name, content)
	}
	return remoteInFile(name, content)
}

// refuse keeps the first problem.
func (p *preview) refuse(problem *Problem) {
	if p.problem == nil {
		p.problem = problem
	}
}

func (p *preview) IsDir(name string) bool {
	return filepath.Clean(name) == p.generated || !p.outside(name) && p.FileSystem.IsDir(name)
}

func (p *preview) Exists(name string) bool {
	_, ok := p.files[filepath.Clean(name)]
	return ok || p.IsDir(name) || !p.outside(name) && p.FileSystem.Exists(name)
}

func (p *preview) ReadDir(name string) ([]string, error) {
	if filepath.Clean(name) != p.generated {
		if err := p.within(name); err != nil {
			return nil, err
		}
		return p.FileSystem.ReadDir(name)
	}
	var names []string
	for _, f := range slices.Sorted(maps.Keys(p.files)) {
		if filepath.Dir(f) == p.generated {
			names = append(names, filepath.Base(f))
		}
	}
	return names, nil
}

func (p *preview) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", "", err
	}
	if abs == p.generated {
		return filesys.ConfirmedDir(abs), "", nil
	}
	if _, ok := p.files[abs]; ok {
		return filesys.ConfirmedDir(filepath.Dir(abs)), filepath.Base(abs), nil
	}
	if err := p.within(abs); err != nil {
		return "", "", err
	}
	return p.FileSystem.CleanedAbs(abs)
}
