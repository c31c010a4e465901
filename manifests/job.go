package manifests

import (
	"strconv"
	"strings"
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

// job returns the hook that migrates. Its name is content-addressed, so that the Job of an older set is never taken for
// it, and BeforeHookCreation lets the same set run again. It has no ttlSecondsAfterFinished: Argo CD would wait for ever
// for a Job that is gone before it has looked.
func (b *builder) job(sql []chunk) (*batchv1.Job, error) {
	p := b.Migration.Policy
	job := &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: b.meta(b.base, ComponentMigration,
			argoHook, "PreSync",
			argoHookDelete, "BeforeHookCreation",
			argoWave, strconv.Itoa(int(b.Migration.HookWave()))),
		Spec: batchv1.JobSpec{
			ActiveDeadlineSeconds: new(int64((p.deadline() + farewell).Round(time.Second) / time.Second)),
			BackoffLimit:          new(p.retries()),
			PodFailurePolicy:      podFailurePolicy(),
			PodReplacementPolicy:  new(batchv1.Failed), // the only value podFailurePolicy allows: never two runners at once
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: b.podLabels(), Annotations: podAnnotations()},
				Spec:       b.pod(sql),
			},
		},
	}
	if b.Migration.Job == nil {
		return job.DeepCopy(), nil // it shares no memory with its input
	}
	return patched(job, b.Migration.Job)
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
	var sources []corev1.VolumeProjection
	for _, c := range sql {
		sources = append(sources, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: c.object.Name},
			Items:                c.items,
		}})
	}
	return corev1.PodSpec{
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
		Volumes: []corev1.Volume{{
			Name:         VolumeName,
			VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}},
		}},
	}
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
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
		},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: VolumeName, MountPath: migrationsDir, ReadOnly: true}},
	}
}

// args are the runner's, one "--name=value" each. What the team left out is left to the runner's defaults.
func (b *builder) args() []string {
	m := b.Migration
	files := "--dir="
	if b.bundled {
		files = "--bundles="
	}
	args := []string{"migrate",
		files + migrationsDir, "--database=" + m.Name, "--environment=" + m.Environment, "--report=" + reportPath}
	add := func(name, value string) {
		if value != "" {
			args = append(args, "--"+name+"="+value)
		}
	}
	add("layout", string(b.set.Layout)) // as it was read here: a part of the files might look like another
	add("target", string(m.Target))
	add("min-compatible", string(m.MinCompatible))
	if d := m.Policy.LockTimeout; d != nil {
		add("lock-timeout", duration(*d))
	}
	if d := m.Policy.StatementTimeout; d != nil {
		add("statement-timeout", duration(*d))
	}
	add("deadline", duration(m.Policy.deadline()))
	add("out-of-order", m.Policy.OutOfOrder)
	if t := m.Tenants; t != nil {
		add("tenants", literally(t.Query))
		for _, name := range t.Names {
			add("tenant", literally(name))
		}
		if t.Parallel != nil {
			add("parallel", strconv.Itoa(int(*t.Parallel)))
		}
	}
	return args
}

// literally keeps Kubernetes from reading $(NAME) and $$ in an argument, as in a query with a dollar-quoted string (Kubernetes,
// "Define a Command and Arguments for a Container").
func literally(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// env is the database's, and what the runner writes into its ledger and report.
func (b *builder) env() []corev1.EnvVar {
	var env []corev1.EnvVar
	if u := b.Migration.Database.URLFrom; u != nil {
		env = append(env, corev1.EnvVar{Name: envURL, ValueFrom: u})
	}
	env = append(env, b.Migration.Database.Env...)
	return append(env,
		corev1.EnvVar{Name: envPod, ValueFrom: field("metadata.name")},
		corev1.EnvVar{Name: envJob, ValueFrom: field("metadata.labels['" + batchv1.JobNameLabel + "']")},
		corev1.EnvVar{Name: envDigest, Value: b.digest})
}

func field(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
}

// duration prints d as people write it: "30m", not "30m0s".
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
