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
