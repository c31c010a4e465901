// Package manifests builds the Kubernetes objects that carry a migration through an Argo CD sync: the ConfigMaps with the
// SQL, the hook Job that runs it, and the marker that makes a migration-only commit a change Argo CD can see, or in its place the
// guard, which fails a sync that leaves the hook out. It is pure:
// the same input gives the same objects, and nothing is read or written.
//
// It also says how to recognise these objects again in a cluster or in an Application's status; see Identity.
package manifests
