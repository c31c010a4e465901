package manifests

import (
	"encoding/json"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/schemawave/schemawave/migrations"
)

// ContainerName is the container in which the runner works; its exit code is the migration's.
const ContainerName = "migrate"

// VolumeName is the volume in which all SQL comes together.
const VolumeName = "migrations"

const (
	runnerPath    = "/schemawave-runner" // in the image; named in the Job, so that an image built around it may have any entry point
	migrationsDir = "/migrations"
	reportPath    = corev1.TerminationMessagePathDefault
	nobody        = 65532 // the user "nonroot" of distroless images
)

// farewell is what the Job's deadline leaves beyond the runner's, so that a run that takes too long ends by itself and
// leaves a report: a Pod that Kubernetes ends at the Job's deadline is deleted, and its report with it.
const farewell = time.Minute

// job returns the Job that migrates. Its name is content-addressed, so that the Job of an older set is never taken for it. It has no ttlSecondsAfterFinished: Argo CD would wait for ever
// for a Job that is gone before it has looked.
func (b *builder) job(sql []chunk) (*batchv1.Job, error) {
	p := b.Migration.Policy
	job := &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: b.meta(b.base, ComponentMigration, b.jobAnnotations()...),
		Spec: batchv1.JobSpec{
			ActiveDeadlineSeconds: new(int64((p.RunDeadline() + farewell).Round(time.Second) / time.Second)),
			BackoffLimit:          new(p.retries()),
			PodFailurePolicy:      podFailurePolicy(),
			PodReplacementPolicy:  new(batchv1.Failed), // the only value podFailurePolicy allows: never two runners at once
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: b.podLabels(), Annotations: podAnnotations()},
				Spec:       b.pod(sql),
			},
		},
	}
	if gates := b.gates(); gates != nil {
		pod := &job.Spec.Template.Spec
		pod.InitContainers = append(gates, pod.InitContainers...)
		*job.Spec.ActiveDeadlineSeconds += int64(p.RunDeadline() / time.Second)
	}
	if b.Migration.Job == nil {
		return job.DeepCopy(), nil // it shares no memory with its input
	}
	return patched(job, b.Migration.Job)
}

// maxJob is how long a Job may be as JSON. Argo CD applies it client-side, which keeps all of it in an annotation, and those of an
// object hold 256 KiB (Kubernetes, "Annotations"); what others add to it has room beside. What its marker says of the tenants is
// among its arguments, so the marker, which is applied the same way, is the shorter of the two.
const maxJob = 256<<10 - overhead

// fits refuses a Job that no sync could apply.
func fits(job *batchv1.Job) error {
	b, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("encode job: %w", err)
	}
	if len(b) > maxJob {
		return &FieldError{"spec", fmt.Sprintf("makes a Job of %d bytes, more than Argo CD can apply (%d)", len(b), maxJob),
			"shorten what is long: tenants.names may be selected by a query, source.tool.command may be a script in the image"}
	}
	return nil
}

// podFailurePolicy fails the Job at once where running again must end the same way, and does not count what the cluster
// did to the Pod (Kubernetes, "Pod failure policy").
func podFailurePolicy() *batchv1.PodFailurePolicy {
	var permanent []int32
	for _, c := range migrations.PermanentExitCodes() {
		permanent = append(permanent, int32(c))
	}
	return &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
		{
			Action: batchv1.PodFailurePolicyActionIgnore,
			OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{
				{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue},
			},
		},
		{
			Action: batchv1.PodFailurePolicyActionFailJob,
			OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
				ContainerName: new(ContainerName),
				Operator:      batchv1.PodFailurePolicyOnExitCodesOpIn,
				Values:        permanent,
			},
		},
	}}
}

// podLabels identify the Pod and keep service meshes from injecting a sidecar, which would never end and so would keep the
// Job from completing (Istio, Kuma).
func (b *builder) podLabels() map[string]string {
	l := b.labels(ComponentMigration)
	l["sidecar.istio.io/inject"] = "false"
	l["kuma.io/sidecar-injection"] = "disabled"
	return l
}

// podAnnotations keep the other meshes out (Linkerd, Consul, Istio before it used the label), and autoscalers from moving
// the Pod in mid-migration.
func podAnnotations() map[string]string {
	return map[string]string{
		"sidecar.istio.io/inject":                        "false",
		"linkerd.io/inject":                              "disabled",
		"consul.hashicorp.com/connect-inject":            "false",
		"cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
		"karpenter.sh/do-not-disrupt":                    "true",
	}
}

// pod returns a Pod that satisfies the Pod Security standard "restricted".
func (b *builder) pod(sql []chunk) corev1.PodSpec {
	pod := corev1.PodSpec{
		RestartPolicy:                corev1.RestartPolicyNever,
		AutomountServiceAccountToken: new(false),
		EnableServiceLinks:           new(false),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   new(true),
			RunAsUser:      new(int64(nobody)),
			RunAsGroup:     new(int64(nobody)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{b.container()},
	}
	source := b.Migration.Source
	if source.kind() == kindDirectory {
		mountSQL(&pod, sql)
		return pod
	}
	pod.Containers[0].Image = source.ImageName()
	if source.Tool != nil {
		equipTool(&pod, *source.Tool)
	}
	b.bringRunner(&pod)
	return pod
}

// mountSQL brings the files of all ConfigMaps together in one directory.
func mountSQL(pod *corev1.PodSpec, sql []chunk) {
	var sources []corev1.VolumeProjection
	for _, c := range sql {
		sources = append(sources, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: c.object.Name},
			Items:                c.items,
		}})
	}
	pod.Volumes = append(pod.Volumes, corev1.Volume{
		Name:         VolumeName,
		VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}},
	})
	c := &pod.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: VolumeName, MountPath: migrationsDir, ReadOnly: true})
}

func (b *builder) container() corev1.Container {
	return corev1.Container{
		Name:                     ContainerName,
		Image:                    b.Image,
		ImagePullPolicy:          corev1.PullIfNotPresent,
		Command:                  []string{runnerPath},
		Args:                     b.args(),
		Env:                      b.env(),
		EnvFrom:                  b.Migration.Database.EnvFrom,
		TerminationMessagePath:   reportPath,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		Resources:                resources("50m", "64Mi", "256Mi"),
		SecurityContext:          restricted(),
	}
}

// resources bound memory, and CPU not at all: a migration that is throttled holds its locks longer.
func resources(cpu, memory, limit string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)},
	}
}

func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

// env is the database's, and what the runner writes into its ledger and report.
func (b *builder) env() []corev1.EnvVar {
	var env []corev1.EnvVar
	if u := b.Migration.Database.URLFrom; u != nil {
		env = append(env, corev1.EnvVar{Name: envURL, ValueFrom: u})
	}
	env = append(env, b.Migration.Database.Env...)
	digest := envDigest
	if b.Migration.Source.Image != nil {
		digest = envJobDigest
	}
	return append(env,
		corev1.EnvVar{Name: envPod, ValueFrom: field("metadata.name")},
		corev1.EnvVar{Name: envJob, ValueFrom: field("metadata.labels['" + batchv1.JobNameLabel + "']")},
		corev1.EnvVar{Name: digest, Value: b.digest})
}

func field(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
}
