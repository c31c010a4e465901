package manifests

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// admissible refuses what a patch gets wrong and the API server would refuse, for only the sync that creates the Job would tell (Kubernetes,
// pkg/apis/batch/validation and pkg/apis/core/validation). It does not look at all that the API server does.
func admissible(was, is *batchv1.Job) error {
	if n := is.Spec.BackoffLimit; n != nil && *n < 0 {
		return &FieldError{"spec.job.spec.backoffLimit", fmt.Sprintf("%d is negative", *n), "use 0 for no retry"}
	}
	if p := is.Spec.PodReplacementPolicy; p != nil && *p != batchv1.Failed {
		return &FieldError{"spec.job.spec.podReplacementPolicy", "podFailurePolicy needs Failed", "leave it out"}
	}
	before, after := was.Spec.Template.Spec, is.Spec.Template.Spec
	if err := admissibleContainers("spec.job.spec.template.spec.initContainers", before.InitContainers, after.InitContainers); err != nil {
		return err
	}
	return admissibleContainers("spec.job.spec.template.spec.containers", before.Containers, after.Containers)
}

// admissibleContainers looks for images and resources. What a patch says of a container that there is not, the merge adds.
func admissibleContainers(field string, was, is []corev1.Container) error {
	for _, c := range is {
		if c.Image == "" {
			remedy := "give it one"
			if rendered := names(was); rendered != "" {
				remedy += ", or write the name of what is rendered: " + rendered
			}
			return &FieldError{field, c.Name + " has no image", remedy}
		}
		for _, resource := range slices.Sorted(maps.Keys(c.Resources.Requests)) {
			request := c.Resources.Requests[resource]
			if limit, ok := c.Resources.Limits[resource]; ok && request.Cmp(limit) > 0 {
				return &FieldError{field, fmt.Sprintf("%s requests %s of %s, and its limit is %s", c.Name, request.String(), resource, limit.String()),
					fmt.Sprintf("set resources.requests.%s and resources.limits.%s, the limit not below the request", resource, resource)}
			}
		}
	}
	return nil
}

func names(containers []corev1.Container) string {
	all := make([]string, len(containers))
	for i, c := range containers {
		all[i] = c.Name
	}
	return strings.Join(all, ", ")
}
