// Package gates releases Pods that wait for schemas by a scheduling gate, which package kustomize gives the workloads that are
// annotated so. Such a Pod has no node, no container and no connection: it costs nothing, and somebody else has to look.
//
// A Releaser judges a Pod by what is published on NATS, as every other waiter does, and by nothing else: so it is right after a
// change of the leader, and for environments whose states other controllers publish. All Pods that wait for one database share one
// watch, which ends with the last of them. A Pod is released by one patch that takes away the gate and the label by which it was
// found, and nothing else; what is not understood, failed, or is incompatible is told as a Kubernetes Event on the Pod, and goes
// on waiting.
package gates
