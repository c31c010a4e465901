package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/schemawave/schemawave/cmd/lab/kubernetes"
	"github.com/schemawave/schemawave/cmd/lab/nats"
	"github.com/schemawave/schemawave/cmd/lab/postgres"
)

// Variable is one environment variable of the lab.
type Variable struct{ Name, Value string }

// Variables are where the lab's services are; a lab of the control plane alone has the first, one without a second cluster
// not the last. The names resolve in pods and for commands in the lab alike.
func (c Config) Variables() []Variable {
	all := []Variable{{"KUBECONFIG", c.cluster().Kubeconfig()}}
	if c.ControlPlane {
		return all
	}
	database := url.URL{
		Scheme: "postgres", User: url.UserPassword(postgres.User, c.Password),
		Host: fmt.Sprintf("%s:%d", kubernetes.ServiceName("postgres"), postgres.Port), Path: "/postgres",
	}
	all = append(all,
		Variable{"DATABASE_URL", database.String()},
		Variable{"NATS_URL", fmt.Sprintf("nats://%s:%d", kubernetes.ServiceName("nats"), nats.Port)},
		Variable{"ARGOCD_URL", "http://" + kubernetes.ServiceName("argocd")},
		Variable{"GIT_URL", GitURL()},
	)
	if c.SecondCluster {
		all = append(all, Variable{"SECOND_KUBECONFIG", c.second().Kubeconfig()})
	}
	return all
}

// GitURL is the git server's URL.
func GitURL() string { return "http://" + kubernetes.ServiceName("git") }

// Environment is the environment of a command in the lab: the caller's, with the lab's variables and programs on top.
func (c Config) Environment(callers []string) []string {
	path := c.path("bin")
	for _, v := range callers {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = c.path("bin") + ":" + value
		}
	}
	env := append(append([]string{}, callers...), "PATH="+path, "LAB_DIR="+c.Dir, "KUBECACHEDIR="+c.path("home", ".kube"))
	for _, v := range c.Variables() {
		env = append(env, v.Name+"="+v.Value)
	}
	return env
}

// ComponentEnvironment is what components start from: nothing of the caller's, whose variables must not change the lab.
func (c Config) ComponentEnvironment() []string {
	return []string{
		"PATH=" + c.path("bin") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + c.path("home"), "TMPDIR=" + c.path("tmp"), "LANG=C.UTF-8",
	}
}

// MakeDirectories makes the directories that components share, and bin with the programs by the names they answer to.
func (c Config) MakeDirectories() error {
	own := []string{c.path("bin"), c.path("home"), c.path("tmp"), c.path("logs")}
	for _, dir := range append(own, c.Clusters()...) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the lab's directories: %w", err)
		}
	}
	for name, target := range map[string]string{
		"kubectl":       c.Binaries["kube"],
		"argocd":        c.Binaries["argocd"],
		"kustomize":     c.Binaries["kustomize"],
		"kustomize-5.4": c.Binaries["kustomize-5.4"],
		"psql":          filepath.Join(c.PostgreSQL, "psql"),
	} {
		if !filepath.IsAbs(target) {
			continue // not part of this lab
		}
		if err := os.Symlink(target, c.path("bin", name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the lab's directories: %w", err)
		}
	}
	return nil
}
