// Package build provides the programs the lab runs: Debian packages for what Debian has, and binaries compiled from Go
// modules for the rest, each built once and kept in the user's cache directory.
package build

// Binary is one program compiled from Go source. Its source is either a directory of this checkout or a module version
// from the Go proxy.
type Binary struct {
	// Name of the file that is built.
	Name string
	// Module is path@version of a module that is built by its own go.mod; empty for this checkout.
	Module string
	// Dir is the directory go build runs in, relative to the module's root.
	Dir string
	// Package is what is built: an import path, or a path relative to Dir.
	Package string
	// LDFlags are linker flags beyond -s -w.
	LDFlags string
	// Inputs are files of this checkout, relative to its root, that decide what comes out.
	Inputs []string
	// Cold says how long the first build takes on two idle cores.
	Cold string
}

// Versions of what is built from modules of its own. The kube and coredns versions are in their go.mod.
const (
	kustomizeVersion = "v5.8.1" // that of Argo CD 3.5, and of the library used here
	oldKustomize     = "v5.4.3" // that of Argo CD 2.14
)

// kube's version has to be stamped in: clients and kubelet compare it.
const kubeLDFlags = "-X k8s.io/component-base/version.gitVersion=v1.33.13" +
	" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=33"

// ControlPlane is what a Kubernetes API without nodes needs, and kustomize for what is applied to it: a lab has no network
// in which commands could fetch it.
func ControlPlane() []Binary {
	return []Binary{
		nested("kube", kubeLDFlags, "about 4 minutes"),
		kustomize("kustomize", kustomizeVersion),
		kustomize("kustomize-5.4", oldKustomize),
	}
}

// All is what the whole lab needs.
func All(argoCD ArgoCD) []Binary {
	return append(ControlPlane(), argoCD.Binary,
		nested("coredns", "", "about a minute"),
		Binary{Name: "nats-server", Dir: ".", Package: "github.com/nats-io/nats-server/v2", Inputs: []string{"go.mod", "go.sum"}, Cold: "seconds"},
		Binary{Name: "pause", Dir: ".", Package: "./cmd/lab/pause", Inputs: []string{"cmd/lab/pause/main.go"}, Cold: "seconds"},
	)
}

// kustomize is a version of its command.
func kustomize(name, version string) Binary {
	return Binary{Name: name, Module: "sigs.k8s.io/kustomize/kustomize/v5@" + version, Dir: ".", Package: ".", Cold: "seconds",
		LDFlags: "-X sigs.k8s.io/kustomize/api/provenance.version=" + version}
}

// nested is a binary with a module of its own under cmd/lab, whose requirements must not rule the project's.
func nested(name, ldflags, cold string) Binary {
	dir := "cmd/lab/" + name
	return Binary{Name: name, Dir: dir, Package: ".", LDFlags: ldflags, Cold: cold,
		Inputs: []string{dir + "/go.mod", dir + "/go.sum", dir + "/main.go"}}
}
