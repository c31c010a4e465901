package manifests

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reference names an object that a Pod needs before it can start.
type Reference struct {
	Kind string // "ConfigMap", "Secret" or "ServiceAccount"
	Name string
}

// Copy is the content of a ConfigMap or Secret that exists only once the sync it belongs to has gone past PreSync.
type Copy struct {
	Reference                    // the original, as the Job names it
	Data       map[string]string // of a ConfigMap, or the stringData of a Secret
	BinaryData map[string][]byte // of a ConfigMap, or the data of a Secret
	Type       corev1.SecretType // of a Secret
}

// References lists what the Job's Pod needs, in the order of its manifest, each once. What the renderer made itself is
// listed too.
func References(job *batchv1.Job) []Reference {
	var refs []Reference
	seen := map[Reference]bool{}
	visit(&job.Spec.Template.Spec, func(kind string, name *string) {
		r := Reference{kind, *name}
		if *name != "" && !seen[r] {
			seen[r] = true
			refs = append(refs, r)
		}
	})
	return refs
}

// rename makes the Pod refer to another object of the same kind.
func rename(pod *corev1.PodSpec, from Reference, to string) {
	visit(pod, func(kind string, name *string) {
		if kind == from.Kind && *name == from.Name {
			*name = to
		}
	})
}

// visit calls f for each name in the Pod that refers to another object.
func visit(pod *corev1.PodSpec, f func(kind string, name *string)) {
	for i := range pod.InitContainers {
		visitContainer(&pod.InitContainers[i], f)
	}
	for i := range pod.Containers {
		visitContainer(&pod.Containers[i], f)
	}
	for i := range pod.Volumes {
		visitVolume(&pod.Volumes[i], f)
	}
	for i := range pod.ImagePullSecrets {
		f("Secret", &pod.ImagePullSecrets[i].Name)
	}
	f("ServiceAccount", &pod.ServiceAccountName)
}

func visitContainer(c *corev1.Container, f func(kind string, name *string)) {
	for i := range c.Env {
		from := c.Env[i].ValueFrom
		if from == nil {
			continue
		}
		if from.SecretKeyRef != nil {
			f("Secret", &from.SecretKeyRef.Name)
		}
		if from.ConfigMapKeyRef != nil {
			f("ConfigMap", &from.ConfigMapKeyRef.Name)
		}
	}
	for i := range c.EnvFrom {
		if s := c.EnvFrom[i].SecretRef; s != nil {
			f("Secret", &s.Name)
		}
		if m := c.EnvFrom[i].ConfigMapRef; m != nil {
			f("ConfigMap", &m.Name)
		}
	}
}

func visitVolume(v *corev1.Volume, f func(kind string, name *string)) {
	if v.Secret != nil {
		f("Secret", &v.Secret.SecretName)
	}
	if v.ConfigMap != nil {
		f("ConfigMap", &v.ConfigMap.Name)
	}
	if v.Projected == nil {
		return
	}
	for i := range v.Projected.Sources {
		if s := v.Projected.Sources[i].Secret; s != nil {
			f("Secret", &s.Name)
		}
		if m := v.Projected.Sources[i].ConfigMap; m != nil {
			f("ConfigMap", &m.Name)
		}
	}
}

// copyOf returns c under another name, that of meta.
func copyOf(c Copy, meta metav1.ObjectMeta) kubernetesObject {
	if c.Kind == "Secret" {
		return &corev1.Secret{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: meta,
			Type: c.Type, Data: c.BinaryData, StringData: c.Data,
		}
	}
	return &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: meta,
		Data: c.Data, BinaryData: c.BinaryData,
	}
}
