package kustomize

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Overlays lists the directories below root that Render has something to do in: those with a kustomization file and a
// SchemaMigration beside it; those from which the last of what it rendered for has gone but not yet what was generated from it;
// and those with workloads that are annotated to wait for a schema, wherever below root the annotation comes from. Of the
// latter only those that no other kustomization below root includes: gates belong where environments are told apart.
// They begin with root and are in order.
func Overlays(root string) ([]string, error) {
	var found []string
	g := gated{fsys: os.DirFS(root), kustomizations: map[string]string{}, annotated: map[string]bool{}}
	err := filepath.WalkDir(root, func(dir string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !e.IsDir() {
			return nil
		}
		if e.Name() == ".git" || e.Name() == entry && isGenerated(dir) {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		is, err := g.isOverlay(dir, filepath.ToSlash(rel))
		if is {
			found = append(found, dir)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for overlays: %w", err)
	}
	for _, dir := range g.overlays() {
		found = append(found, filepath.Join(root, filepath.FromSlash(dir)))
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// isOverlay reports whether a directory is one by its own files, and takes note of annotations.
func (g *gated) isOverlay(dir, rel string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	kustomization := kustomizationFile(entries)
	if kustomization != "" {
		g.kustomizations[rel] = path.Join(rel, kustomization)
	}
	declared := false
	for _, e := range entries {
		if !isYAML(e) && e.Name() != kustomization {
			if !e.IsDir() && Annotates(os.DirFS(dir), e.Name()) {
				g.annotated[path.Join(rel, e.Name())] = true
			}
			continue
		}
		content, err := readFile(os.DirFS(dir), e.Name())
		if err != nil {
			// A link to nowhere, or a file that is none of kustomize's, declares nothing. What else cannot be read is for Render to say.
			declared = declared || e.Type()&fs.ModeSymlink == 0 && kustomization != ""
			continue
		}
		if annotates(content) {
			g.annotated[path.Join(rel, e.Name())] = true
		}
		var problems Problems
		if kustomization != "" && !declared && (len(read(e.Name(), content, &problems)) > 0 || len(problems) > 0) {
			declared = true // what speaks of a SchemaMigration and is broken is for Render to complain about
		}
	}
	return declared || kustomization != "" && isGenerated(filepath.Join(dir, entry)), nil
}

// isGenerated reports whether a directory is one that Render wrote.
func isGenerated(dir string) bool {
	for _, name := range []string{generatedKustomization, generatedGates} {
		content, err := readFile(os.DirFS(dir), name)
		if err == nil && bytes.HasPrefix(content, []byte(header)) {
			return true
		}
	}
	return false
}

func isManifest(file string) bool {
	return strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, ".yml")
}

// isYAML reports whether a directory entry can be a file of manifests.
func isYAML(e fs.DirEntry) bool {
	return !e.IsDir() && isManifest(e.Name())
}
