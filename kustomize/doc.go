// Package kustomize renders migrations into the Kustomize overlays of an environment repository. It reads the
// SchemaMigration files of an overlay, writes the objects that package manifests builds from them into the overlay's
// directory schemawave, adds that directory to the overlay's resources, and proves with a build in memory that the overlay
// then yields those objects intact.
//
// Render computes and changes nothing; Result.Write applies, Result.Diff shows. The same repository gives the same bytes on
// every machine. All functions may be called concurrently, also for overlays of one repository.
//
// Nothing outside the repository is written, or comes into what is rendered, whatever paths and symbolic links the repository holds: bases
// and files to which they lead are refused. What is remote is not fetched unless the options say so; then kustomize reads whatever it is
// led to. Whoever may push to a repository must not be able to hold up what renders it: how large a file may be, what its aliases
// stand for, and how often kustomize would load what is included is bounded.
package kustomize
