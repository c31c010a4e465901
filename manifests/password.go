package manifests

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// holdsPassword reports whether e carries a password as a literal, which would stand in git and in the Job's manifest.
func holdsPassword(e corev1.EnvVar) bool {
	if e.Value == "" || reference.MatchString(e.Value) {
		return false
	}
	return strings.HasSuffix(strings.ToUpper(e.Name), "PASSWORD") || passwordIn(e.Value)
}

// reference is a variable that Kubernetes puts in when it starts the container (Kubernetes, "Define Dependent Environment
// Variables"). Those of envFrom are known by then, too (pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables).
var reference = regexp.MustCompile(`^\$\([-._a-zA-Z][-._a-zA-Z0-9]*\)$`)

// password is where values and arguments spell one out: in a URL, and after the word, as options, queries of URLs and
// connection strings have it.
var password = regexp.MustCompile(`(?i)://[^/?#:@\s]*:([^/?#@\s]+)@|password=([^\s&]+)`)

// passwordIn reports whether s spells a password out.
func passwordIn(s string) bool {
	for _, m := range password.FindAllStringSubmatch(s, -1) {
		if !reference.MatchString(m[1] + m[2]) {
			return true
		}
	}
	return false
}
