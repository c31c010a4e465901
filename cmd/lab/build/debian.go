package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/schemawave/schemawave/cmd/lab/progress"
)

// Package is a Debian package the lab uses and why. It counts as installed when its file is there, wherever that came from.
type Package struct {
	Name string
	// Provides is a command looked up on PATH, or a pattern of an absolute path.
	Provides string
	Why      string
}

// ControlPlanePackages is what a Kubernetes API without nodes needs.
func ControlPlanePackages() []Package {
	return []Package{
		{"etcd-server", "etcd", "the Kubernetes API's store"},
		{"iproute2", "ip", "the lab's own network"},
	}
}

// AllPackages is what the whole lab needs.
func AllPackages() []Package {
	return append(ControlPlanePackages(),
		Package{"containerd", "containerd", "runs the pods' containers"},
		Package{"runc", "runc", "starts a container for containerd"},
		Package{"containernetworking-plugins", "/usr/lib/cni/ptp", "connects pods to the lab's network"},
		Package{"iptables", "iptables", "kube-proxy writes Services with it"},
		Package{"mount", "mount", "the kubelet mounts volumes with it"},
		Package{"redis-server", "redis-server", "Argo CD's cache"},
		Package{"git", "git", "the git server and Argo CD"},
		Package{"postgresql", "/usr/lib/postgresql/*/bin/postgres", "the databases that are migrated"},
	)
}

// PostgreSQLDir is the directory of the newest installed PostgreSQL's programs.
func PostgreSQLDir() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errors.Join(errors.New("no /usr/lib/postgresql/*/bin/postgres; install postgresql"), err)
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// Install installs what is missing with apt-get. The services that these packages would start stay off: the lab runs
// its own, on addresses of its own.
func Install(ctx context.Context, packages []Package, log *progress.Log) error {
	var names []string
	for _, p := range packages {
		if p.installed() {
			continue
		}
		log.Printf("installing Debian package %s: %s", p.Name, p.Why)
		names = append(names, p.Name)
	}
	if len(names) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("install %s: %w; install them by the system's own means", strings.Join(names, " "), err)
	}
	restore, err := denyServices("/usr/sbin/policy-rc.d")
	if err != nil {
		return err
	}
	defer restore()
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, names...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

func (p Package) installed() bool {
	if filepath.IsAbs(p.Provides) {
		found, err := filepath.Glob(p.Provides)
		return err == nil && len(found) > 0
	}
	_, err := exec.LookPath(p.Provides)
	return err == nil
}

// denyServices puts a policy in place by which package scripts start no service (Debian's invoke-rc.d policy
// interface, exit code 101), and returns what takes it away. An existing policy is the administrator's and stays.
func denyServices(path string) (restore func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keep packages from starting services: %w", err)
	}
	_, err = f.WriteString("#!/bin/sh\nexit 101\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("keep packages from starting services: %w", err), os.Remove(path))
	}
	return func() { _ = os.Remove(path) }, nil
}
