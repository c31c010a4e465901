package build

// ArgoCD is a release of Argo CD.
type ArgoCD struct {
	// Module is its module, path@version, whose directory holds the CRDs.
	Module string
	Binary Binary
}

const (
	argoCD2, version2 = "github.com/argoproj/argo-cd/v2", "2.14.21"
	argoCD3, version3 = "github.com/argoproj/argo-cd/v3", "3.5.7"
)

// ArgoCDs are the releases that a lab can run, by what they are called: the one whose types this checkout requires, and the newest
// that its Go builds.
func ArgoCDs() map[string]ArgoCD {
	old, recent := argoCD2+"@v"+version2, argoCD3+"@v"+version3
	return map[string]ArgoCD{
		"2.14": {Module: old, Binary: Binary{Name: "argocd", Module: old, Dir: ".", Package: "./cmd", Cold: "about 3 minutes",
			LDFlags: "-X " + argoCD2 + "/common.version=" + version2}},
		"3.5": {Module: recent, Binary: Binary{Name: "argocd", Dir: "cmd/lab/argocd35", Package: argoCD3 + "/cmd", Cold: "about 5 minutes",
			LDFlags: "-X " + argoCD3 + "/common.version=" + version3, Inputs: []string{"cmd/lab/argocd35/go.mod", "cmd/lab/argocd35/go.sum"}}},
	}
}
