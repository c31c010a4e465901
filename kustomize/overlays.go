package kustomize

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Overlays lists the directories below root that Render has something to do in: those with a kustomization file and a
// SchemaMigration beside it, and those from which the last SchemaMigration has gone but not yet what was generated from it.
// They begin with root and are in order.
func Overlays(root string) ([]string, error) {
	var found []string
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
		is, err := isOverlay(dir)
		if is {
			found = append(found, dir)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for overlays: %w", err)
	}
	slices.Sort(found)
	return found, nil
}

func isOverlay(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil || kustomizationFile(entries) == "" {
		return false, err
	}
	for _, e := range entries {
		if !isYAML(e) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			if e.Type()&fs.ModeSymlink != 0 {
				continue // a link to nowhere is no SchemaMigration
			}
			return false, err
		}
		var problems Problems
		if len(read(e.Name(), content, &problems)) > 0 || len(problems) > 0 {
			return true, nil // what speaks of a SchemaMigration and is broken is for Render to complain about
		}
	}
	return isGenerated(filepath.Join(dir, entry)), nil
}

// isGenerated reports whether a directory is one that Render wrote.
func isGenerated(dir string) bool {
	content, err := os.ReadFile(filepath.Join(dir, generatedKustomization))
	return err == nil && bytes.HasPrefix(content, []byte(header))
}

// isYAML reports whether a directory entry can be a file of manifests.
func isYAML(e fs.DirEntry) bool {
	return !e.IsDir() && (strings.HasSuffix(e.Name(), ".yaml") || strings.HasSuffix(e.Name(), ".yml"))
}
