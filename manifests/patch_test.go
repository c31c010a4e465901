package manifests_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/manifests"
)

func TestPatchMerges(t *testing.T) {
	in := input(t, twoMigrations())
	in.Migration.Job = json.RawMessage(`{
		"metadata": {"annotations": {"example.com/owner": "shop"}},
		"spec": {"template": {
			"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": null}},
			"spec": {
				"tolerations": [{"key": "jobs", "operator": "Exists"}],
				"securityContext": {"runAsUser": null, "runAsGroup": null},
				"volumes": [{"name": "ca", "secret": {"secretName": "postgres-ca"}}],
				"containers": [
					{"name": "migrate", "env": [{"name": "PGSSLROOTCERT", "value": "/ca/ca.crt"}], "volumeMounts": [{"name": "ca", "mountPath": "/ca"}]},
					{"name": "proxy", "image": "proxy:1", "resources": {}}
				]}}}}`)
	job := jobOf(t, build(t, in))
	pod := job.Spec.Template.Spec
	byName := map[string]corev1.Container{}
	for _, c := range pod.Containers {
		byName[c.Name] = c
	}
	migrate := byName[manifests.ContainerName]
	for what, ok := range map[string]bool{
		"the annotation is added beside ours":      job.Annotations["example.com/owner"] == "shop" && job.Annotations["argocd.argoproj.io/hook"] == "PreSync",
		"null deletes an annotation":               job.Spec.Template.Annotations["karpenter.sh/do-not-disrupt"] == "",
		"null deletes a field, as OpenShift needs": pod.SecurityContext.RunAsUser == nil && *pod.SecurityContext.RunAsNonRoot,
		"containers merge by name":                 len(byName) == 2 && migrate.Image == manifests.RunnerImage,
		"env merges by name":                       len(migrate.Env) == 5,
		"volumes merge by name":                    len(pod.Volumes) == 2 && len(migrate.VolumeMounts) == 2,
		"what is referred to is found":             len(manifests.References(job)) == 3,
	} {
		if !ok {
			t.Errorf("not so: %s", what)
		}
	}
}

// TestAMisspeltContainerIsToldFromTheRendered: what a patch does not find, it adds.
func TestAMisspeltContainerIsToldFromTheRendered(t *testing.T) {
	in := input(t, twoMigrations())
	in.Migration.Job = json.RawMessage(`{"spec":{"template":{"spec":{"containers":[{"name":"migrat","resources":{}}]}}}}`)
	const want = "spec.job.spec.template.spec.containers: migrat has no image (give it one, or write the name of what is rendered: migrate)"
	if _, err := manifests.Build(in); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPatchRefused(t *testing.T) {
	for _, c := range []struct{ why, patch, field string }{
		{"a misspelt field", `{"spec":{"template":{"spec":{"nodeSelektor":{"a":"b"}}}}}`, "spec.job.spec.template.spec.nodeSelektor"},
		{"a misspelt field in a list", `{"spec":{"template":{"spec":{"containers":[{"name":"migrate","imagee":"x"}]}}}}`, "spec.job.spec.template.spec.containers[0].imagee"},
		{"a field with another case", `{"spec":{"backofflimit":1}}`, "spec.job.spec.backofflimit"},
		{"a wrong type", `{"spec":{"backoffLimit":"many"}}`, "spec.job"},
		{"a list without merge key", `{"spec":{"template":{"spec":{"containers":[{"image":"x"}]}}}}`, "spec.job"},
		{"another name", `{"metadata":{"name":"x"}}`, "spec.job.metadata.name"},
		{"a namespace", `{"metadata":{"namespace":"x"}}`, "spec.job.metadata.name"},
		{"another kind", `{"kind":"CronJob"}`, "spec.job.kind"},
		{"our label", `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"helm"}}}`, "spec.job.metadata.labels"},
		{"our label of the Pod, deleted", `{"spec":{"template":{"metadata":{"labels":{"schemawave.dev/database":null}}}}}`, "spec.job.metadata.labels"},
		{"the hook", `{"metadata":{"annotations":{"argocd.argoproj.io/hook":"PostSync"}}}`, "spec.job.metadata.annotations"},
		{"the digest", `{"metadata":{"annotations":null}}`, "spec.job.metadata.annotations"},
		{"a Job that vanishes", `{"spec":{"ttlSecondsAfterFinished":60}}`, "spec.job.spec.ttlSecondsAfterFinished"},
		{"a Job that never starts", `{"spec":{"suspend":true}}`, "spec.job.spec.suspend"},
		{"restarts in place", `{"spec":{"template":{"spec":{"restartPolicy":"OnFailure"}}}}`, "spec.job.spec.template.spec.restartPolicy"},
		{"no runner", `{"spec":{"template":{"spec":{"containers":[{"$patch":"delete","name":"migrate"},{"name":"x","image":"y"}]}}}}`, "spec.job.spec.template.spec.containers"},
		{"a password in plain text", `{"spec":{"template":{"spec":{"containers":[{"name":"migrate","env":[{"name":"PGPASSWORD","value":"hunter2"}]}]}}}}`, "spec.job.spec.template.spec"},
		{"a password in a list without merge key", `{"spec":{"template":{"spec":{"containers":[{"name":"migrate","env":[{"value":"hunter2"}]}]}}}}`, "spec.job"},
		{"no failure policy", `{"spec":{"podFailurePolicy":null}}`, "spec.job.spec.podFailurePolicy"},
		{"a container's name misspelt", `{"spec":{"template":{"spec":{"containers":[{"name":"migrat","resources":{}}]}}}}`, "spec.job.spec.template.spec.containers"},
		{"an initContainer's name misspelt", `{"spec":{"template":{"spec":{"initContainers":[{"name":"wait","resources":{}}]}}}}`, "spec.job.spec.template.spec.initContainers"},
		{"memory above its limit", `{"spec":{"template":{"spec":{"containers":[{"name":"migrate","resources":{"requests":{"memory":"1Gi"}}}]}}}}`, "spec.job.spec.template.spec.containers"},
		{"a limit below what is requested", `{"spec":{"template":{"spec":{"containers":[{"name":"migrate","resources":{"limits":{"cpu":"10m"}}}]}}}}`, "spec.job.spec.template.spec.containers"},
		{"a Pod replaced before its end is known", `{"spec":{"podReplacementPolicy":"TerminatingOrFailed"}}`, "spec.job.spec.podReplacementPolicy"},
		{"less than no retry", `{"spec":{"backoffLimit":-1}}`, "spec.job.spec.backoffLimit"},
		{"no gate", `{"spec":{"template":{"spec":{"initContainers":[{"$patch":"delete","name":"wait-for-schema"}]}}}}`, "spec.job.spec.template.spec.initContainers"},
	} {
		t.Run(c.why, func(t *testing.T) {
			in := input(t, twoMigrations())
			in.Migration.DependsOn = []string{"production/customers"}
			in.Migration.Job = json.RawMessage(c.patch)
			_, err := manifests.Build(in)
			if wrong := (*manifests.FieldError)(nil); !errors.As(err, &wrong) || wrong.Field != c.field {
				t.Errorf("error %v, want one about %s", err, c.field)
			} else if wrong.What == "" || wrong.Remedy == "" || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v does not say what and how, or tells the secret", err)
			}
		})
	}
}
