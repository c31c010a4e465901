package kustomize_test

import (
	"strings"
	"testing"
)

// TestOverlayMayNotOpenTheGate refuses an overlay that takes the wait for another Application's schema out of the Job.
func TestOverlayMayNotOpenTheGate(t *testing.T) {
	_, err := renderTree(t, with(repo(good, "policy: {retries: 3}", "dependsOn: [production/customers@7]"), "overlay/kustomization.yaml",
		"namespace: x\npatches:\n- target: {kind: Job}\n  patch: '[{\"op\": \"remove\", \"path\": \"/spec/template/spec/initContainers/0\"}]'\n"))
	if err == nil || !strings.Contains(err.Error(), "changes the initContainer wait-for-schema of Job schema-orders-2-") {
		t.Errorf("error %v", err)
	}
}

// TestBrokerComesTooLate tells by what a Job needs the variables of NATS that nobody has made yet when it runs.
func TestBrokerComesTooLate(t *testing.T) {
	_, err := renderTree(t, with(repo(good, "policy: {retries: 3}", "dependsOn: [production/customers@7]"),
		"overlay/kustomization.yaml", "namespace: x\nresources: [nats.yaml]\n",
		"overlay/nats.yaml", "apiVersion: external-secrets.io/v1beta1\nkind: ExternalSecret\nmetadata: {name: schemawave-nats}\n"))
	if err == nil || !strings.Contains(err.Error(), "overlay/schema.yaml:11: spec.dependsOn: the Secret schemawave-nats is made by the ExternalSecret schemawave-nats of this overlay") {
		t.Errorf("error %v", err)
	}
}
