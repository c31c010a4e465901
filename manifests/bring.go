package manifests

import (
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// InstallerName is the initContainer that brings the runner into the Pod of another image.
const InstallerName = "install"

// runnerVolume is where the runner and that image meet.
const (
	runnerVolume = "schemawave"
	runnerDir    = "/schemawave"
)

// bringRunner has the runner copied out of its own image, to run in the container of the team's. It is static and needs
// nothing there: no shell, no libraries, no writable root.
func (b *builder) bringRunner(pod *corev1.PodSpec) {
	shared := corev1.VolumeMount{Name: runnerVolume, MountPath: runnerDir}
	pod.InitContainers = []corev1.Container{{
		Name:            InstallerName,
		Image:           b.Image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         []string{runnerPath},
		Args:            []string{"install", runnerDir},
		Resources:       resources("50m", "32Mi", "64Mi"),
		SecurityContext: restricted(),
		VolumeMounts:    []corev1.VolumeMount{shared},
	}}
	shared.ReadOnly = true
	c := &pod.Containers[0]
	c.Command = []string{path.Join(runnerDir, path.Base(runnerPath))}
	c.ImagePullPolicy = "" // the cluster's rule: always for a tag that is latest, else if it is not there
	c.VolumeMounts = append(c.VolumeMounts, shared)
	pod.Volumes = append(pod.Volumes, emptyDir(runnerVolume))
}

// A tool's scratch directory.
const (
	scratchVolume = "tmp"
	scratchDir    = "/tmp"
)

// equipTool gives a tool what it may expect of a machine: a directory to write to, which is its home too, for the user that it
// runs as has none; and memory for an interpreter or a virtual machine. The rest of its image stays read-only.
func equipTool(pod *corev1.PodSpec, t ToolSource) {
	c := &pod.Containers[0]
	c.WorkingDir = t.WorkingDir
	c.Resources = resources("100m", "128Mi", "1Gi")
	if !slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "HOME" }) {
		c.Env = append(c.Env, corev1.EnvVar{Name: "HOME", Value: scratchDir})
	}
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: scratchVolume, MountPath: scratchDir})
	pod.Volumes = append(pod.Volumes, emptyDir(scratchVolume))
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}
