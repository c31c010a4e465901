package manifests

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// GateName is the initContainer that holds a Pod back until schemas are ready.
const GateName = "wait-for-schema"

// BrokerName is the ConfigMap and the Secret of a namespace, of which either will do, whose keys are the variables by which
// a gate finds NATS: NATS_URL and the others of the command wait. The Secret's win.
//
// They are a convention, and not a setting of the renderer: so an overlay gives the same bytes wherever it is rendered, each
// namespace may have a server and a user of its own, and no credentials stand in git.
const BrokerName = "schemawave-nats"

// GateUser is who a gate runs as in a Pod that would make it root.
const GateUser = nobody

// Gate returns the initContainer that ends when all targets are ready. It needs NATS only, and no rights in Kubernetes; it
// satisfies the Pod Security standard "restricted" whatever the Pod says, as long as that does not run as root. The user is the
// image's or the Pod's: some clusters (OpenShift) choose it themselves.
func Gate(image string, targets []Target, flags ...string) corev1.Container {
	if image == "" {
		image = RunnerImage
	}
	args := append([]string{"wait"}, flags...)
	for _, t := range targets {
		args = append(args, unexpanded(t.String()))
	}
	security := restricted()
	security.RunAsNonRoot = new(true)
	security.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	broker := corev1.LocalObjectReference{Name: BrokerName}
	return corev1.Container{
		Name:            GateName,
		Image:           image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         []string{runnerPath},
		Args:            args,
		EnvFrom: []corev1.EnvFromSource{
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: broker, Optional: new(true)}},
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: broker, Optional: new(true)}},
		},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError, // why it waits in vain is told where people look first
		Resources:                resources("10m", "16Mi", "64Mi"),
		SecurityContext:          security,
	}
}

// Waits returns the schemas of other Applications that m depends on.
func (m SchemaMigration) Waits() []Target {
	var targets []Target
	for _, d := range m.DependsOn {
		if t, err := ParseTarget(d); err == nil {
			targets = append(targets, t)
		}
	}
	return targets
}

// gates returns what holds the migration back; nil if it waits for nothing. A failure of another schema is not the failure of
// this one: it goes on waiting for the next attempt, as long as the migration itself may take.
func (b *builder) gates() []corev1.Container {
	targets := b.Migration.Waits()
	if len(targets) == 0 {
		return nil
	}
	return []corev1.Container{Gate(b.Image, targets, fmt.Sprintf("--timeout=%s", duration(b.Migration.Policy.RunDeadline())), "--on-failure=wait")}
}
