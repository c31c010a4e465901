// Package argocd runs Argo CD's application controller, repo server, commit server, API server and Redis as processes beside
// the cluster they manage, which they know as https://kubernetes.default.svc like an installation in the cluster does.
package argocd

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

// Port of the API server, at every address of the lab.
const Port = 8080

// Namespace of Argo CD's own objects.
const Namespace = "argocd"

const (
	redis        = "127.0.0.1:6379"
	repoServer   = "127.0.0.1:8081"
	commitServer = "127.0.0.1:8086"
	metrics      = "http://127.0.0.1:"
)

// The ports of /metrics and /healthz; Argo CD's defaults.
const (
	controllerMetrics   = "8082"
	serverMetrics       = "8083"
	repoServerMetrics   = "8084"
	commitServerMetrics = "8087"
)

// ArgoCD is one lab's Argo CD.
type ArgoCD struct {
	// Program is the multi-call binary.
	Program string
	// Source is the directory of its source, which holds the CRDs.
	Source string
	// Bin is a directory on the PATH, for a script that Argo CD's image has there.
	Bin string
	// Dir is its directory; it is made.
	Dir string
	// Kubeconfig leads to the cluster, as an administrator.
	Kubeconfig string
	// Cluster applies objects.
	Cluster Cluster
	// SyncWaveDelay is the pause after each sync wave, in whole seconds.
	SyncWaveDelay time.Duration
	// Reconciliation is how often repositories are polled.
	Reconciliation time.Duration
}

// Components are Argo CD, to be started after the component named api, which is the Kubernetes API.
func (a ArgoCD) Components(api string) []supervise.Component {
	return []supervise.Component{
		{Name: "argocd-install", After: []string{api}, Prepare: a.install},
		a.redis(),
		{
			Name:    "argocd-repo-server",
			After:   []string{"argocd-install", "redis"},
			Env:     a.environment("argocd-repo-server"),
			Command: []string{a.Program, "--address", "127.0.0.1", "--redis", redis, "--metrics-address", "127.0.0.1"},
			Ready: func(ctx context.Context) error {
				return supervise.Answers(ctx, metrics+repoServerMetrics+"/healthz")
			},
		},
		a.commitServer(),
		{
			Name:  "argocd-application-controller",
			After: []string{"argocd-install", "redis"},
			Env:   a.environment("argocd-application-controller"),
			Command: []string{a.Program, "--kubeconfig", a.Kubeconfig, "--namespace", Namespace,
				"--repo-server", repoServer, "--redis", redis, "--metrics-port", controllerMetrics,
				"--hydrator-enabled", "--commit-server", commitServer},
			Ready: func(ctx context.Context) error {
				return supervise.Answers(ctx, metrics+controllerMetrics+"/healthz")
			},
		},
		{
			Name:  "argocd-server",
			After: []string{"argocd-install", "redis"},
			Env:   a.environment("argocd-server"),
			Command: []string{a.Program, "--kubeconfig", a.Kubeconfig, "--namespace", Namespace,
				"--insecure", "--disable-auth", "--port", strconv.Itoa(Port), "--metrics-port", serverMetrics,
				"--repo-server", repoServer, "--redis", redis, "--dex-server", "http://127.0.0.1:1"},
			Ready: func(ctx context.Context) error {
				return supervise.Answers(ctx, fmt.Sprintf("http://127.0.0.1:%d/healthz?full=true", Port))
			},
		},
	}
}

// commitServer pushes what is hydrated. It keeps its clones and a socket at paths below /tmp that nobody can configure, so it has a /tmp of
// its own, in memory; its program may lie below the one that this covers.
func (a ArgoCD) commitServer() supervise.Component {
	const own = `exec 3<"$1" && shift && mount -t tmpfs -o mode=1777 tmp /tmp && exec /proc/self/fd/3 "$@"`
	return supervise.Component{
		Name:  "argocd-commit-server",
		After: []string{"argocd-install"},
		Env:   append(a.environment("argocd-commit-server"), "HOME=/tmp", "TMPDIR=/tmp"),
		Command: []string{"unshare", "--mount", "sh", "-c", own, "sh", a.Program,
			"--address", "127.0.0.1", "--metrics-address", "127.0.0.1"},
		Ready: func(ctx context.Context) error {
			return supervise.Answers(ctx, metrics+commitServerMetrics+"/healthz?full=true")
		},
	}
}

// redis keeps nothing on disk.
func (a ArgoCD) redis() supervise.Component {
	return supervise.Component{
		Name:    "redis",
		Prepare: func(context.Context, io.Writer) error { return os.MkdirAll(a.Dir, 0o755) },
		Command: []string{"redis-server", "--bind", "127.0.0.1", "--port", "6379", "--save", "", "--appendonly", "no", "--dir", a.Dir},
		Ready:   func(ctx context.Context) error { return supervise.Listening(ctx, redis) },
	}
}

// environment points everything that Argo CD keeps under /app, where its image has it, to directories of the lab.
// The binary does what its name says, and this variable is its name.
func (a ArgoCD) environment(name string) []string {
	env := []string{
		"ARGOCD_BINARY_NAME=" + name,
		"ARGOCD_FAKE_IN_CLUSTER=true", "KUBECONFIG=" + a.Kubeconfig, "ARGOCD_GPG_ENABLED=false",
		"ARGOCD_SYNC_WAVE_DELAY=" + strconv.Itoa(int(a.SyncWaveDelay.Seconds())),
		"ARGOCD_RECONCILIATION_TIMEOUT=" + a.Reconciliation.String(),
		"ARGOCD_ASK_PASS_SOCK=" + filepath.Join(a.Dir, "askpass.sock"),
	}
	for _, d := range directories {
		env = append(env, d.variable+"="+filepath.Join(a.Dir, d.name))
	}
	return env
}

// directories of Argo CD and the variables that name them.
var directories = []struct{ variable, name string }{
	{"ARGOCD_TLS_DATA_PATH", "tls"}, {"ARGOCD_SSH_DATA_PATH", "ssh"}, {"ARGOCD_GPG_DATA_PATH", "gpg/source"},
	{"ARGOCD_GNUPGHOME", "gpg/keys"}, {"ARGOCD_PLUGINSOCKFILEPATH", "plugins"}, {"HOME", "home"}, {"TMPDIR", "tmp"},
}
