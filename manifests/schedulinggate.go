package manifests

import "strings"

// The ways in which a workload may wait, the values of AnnotationWaitBy.
const (
	ByInitContainer  = "initContainer"  // its Pods run, and Gate holds them back; the default
	BySchedulingGate = "schedulingGate" // its Pods are not given a node before the controller releases them
)

// SchedulingGate is the scheduling gate that holds a Pod back until schemas are ready (Kubernetes, "Pod Scheduling Readiness").
// Pods that have it have LabelGated and AnnotationGate, too.
const SchedulingGate = "schemawave.dev/schema"

// What tells the controller of a Pod that waits by SchedulingGate.
const (
	LabelGated     = "schemawave.dev/gated" // always Gated; removed together with the gate
	AnnotationGate = "schemawave.dev/gate"  // its targets, with commas between them
	Gated          = "true"
)

// GatedBy returns the label and the annotation of a Pod that waits for targets by SchedulingGate.
func GatedBy(targets []Target) (label, annotation map[string]string) {
	var all []string
	for _, t := range targets {
		all = append(all, t.String())
	}
	return map[string]string{LabelGated: Gated}, map[string]string{AnnotationGate: strings.Join(all, ",")}
}
