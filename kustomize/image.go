package kustomize

import (
	"cmp"
	"path"
	"slices"

	"sigs.k8s.io/kustomize/api/filters/imagetag"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/schemawave/schemawave/manifests"
)

// image returns the runner's image as the overlay wants it: gates are applied after its images, and those of its components, have
// been.
func (w *work) image() string {
	return w.transformed(cmp.Or(w.pass.Image, manifests.RunnerImage))
}

// transformed returns what the overlay's images make of an image, and those of its components.
func (w *work) transformed(image string) string {
	node := yaml.NewMapRNode(&map[string]string{"image": image})
	for _, tag := range w.imagesOf(w.kustomization, map[string]bool{}) {
		f := imagetag.Filter{ImageTag: tag, FsSlice: types.FsSlice{{Path: "image"}}}
		if _, err := f.Filter([]*yaml.RNode{node}); err != nil {
			return image // kustomize has complained about it
		}
	}
	changed, err := node.GetString("image")
	if err != nil {
		return image
	}
	return changed
}

// imagesOf returns the images of a kustomization in the order in which kustomize applies them to what it lists: those of its
// components first. A component out of the repository is not looked at, and none twice.
func (r *repository) imagesOf(k *kustomization, seen map[string]bool) []types.Image {
	seen[k.file] = true
	var all []types.Image
	for _, component := range k.components {
		if c, err := r.kustomizationIn(path.Join(path.Dir(k.file), component)); err == nil && !seen[c.file] {
			all = append(all, r.imagesOf(c, seen)...)
		}
	}
	return slices.Concat(all, k.images)
}
