package kustomize

import (
	"sigs.k8s.io/kustomize/api/filters/imagetag"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/schemawave/schemawave/manifests"
)

// image returns the runner's image as the overlay wants it: gates are applied after the overlay's own images have been.
func (w *work) image() string {
	image := w.opts.Image
	if image == "" {
		image = manifests.RunnerImage
	}
	node := yaml.NewMapRNode(&map[string]string{"image": image})
	for _, tag := range w.kustomization.images {
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
