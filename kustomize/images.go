package kustomize

import (
	"cmp"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/manifests"
)

// expectImages takes over what the overlay's images say of the images that hold migrations. Where nothing else changes them, the
// first build finds them as expected.
func (w *work) expectImages() {
	for i, d := range w.declarations {
		if image := d.Source.ImageName(); image != "" {
			w.inputs[i].Resolved = w.transformed(image)
		}
	}
}

// resolveImages takes over what the overlay makes of the images that hold migrations, by its images or by whatever else, and
// reports whether that is anything else than was known. The name and the digest of a Job are made from it, so a release that
// only sets a tag there is another Job; the Job itself keeps the image as it was declared, for the overlay to transform.
func (w *work) resolveImages(b built) (bool, error) {
	changed := false
	for i := range w.inputs {
		image, err := w.imageOf(i, b)
		if err != nil {
			return false, err
		}
		known := cmp.Or(w.inputs[i].Resolved, w.declarations[i].Source.ImageName())
		changed = changed || image != known
		w.inputs[i].Resolved = image
	}
	return changed, nil
}

// imagesStay refuses an overlay that makes yet another image of it, now that the Job has the name that goes with the first.
func (w *work) imagesStay(b built) error {
	var problems Problems
	for i, d := range w.declarations {
		image, err := w.imageOf(i, b)
		if err != nil {
			return err
		}
		if image != w.inputs[i].Resolved {
			problems.add(w.kustomization.file, 0, fmt.Sprintf("%s:%d: the overlay gives the Job the image %s or %s, depending on its name",
				d.file, d.line(d.Source.ImageField()), w.inputs[i].Resolved, image), "set the image in images, by the name of the image")
		}
	}
	return problems.err()
}

// imageOf returns the image in which the ith declaration's migrations are, as the overlay yields it; empty for a directory.
func (w *work) imageOf(i int, b built) (string, error) {
	if w.declarations[i].Source.ImageName() == "" {
		return "", nil
	}
	_, is, err := w.jobs(i, b)
	if err != nil {
		return "", err
	}
	return containerOf(is, manifests.ContainerName).Image, nil
}

// containerOf returns a container of a Job, which is known to be there.
func containerOf(j *batchv1.Job, name string) corev1.Container {
	pod := j.Spec.Template.Spec
	return pod.Containers[slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == name })]
}

// movingImages warns of images whose content may change behind the same name: no commit tells of it, so nothing syncs it, and
// two runs of the same Job may do different things.
func (w *work) movingImages() Problems {
	var warnings Problems
	for i, d := range w.declarations {
		if image := w.inputs[i].Resolved; image != "" && manifests.Moves(image) {
			at := d.Source.ImageField()
			warnings.add(d.file, d.line(at), fmt.Sprintf("%s: %s may be another image tomorrow, and no commit would tell", at, image),
				"give every release a tag of its own, or name the digest")
		}
	}
	return warnings
}
