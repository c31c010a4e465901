// Package story is the project's main job told from end to end on real parts: a push becomes a rendered migration Job, an
// Argo CD sync runs it, PostgreSQL is migrated, NATS carries the result, and a service that waited starts. The demo prints
// it, the end-to-end tests assert on it; both run the same code against the lab or against a cluster of one's own.
package story

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Environment is where the story plays. All addresses are reached from the story itself and from the cluster's pods alike.
type Environment struct {
	Kubeconfig    string // path of a kubeconfig with cluster-admin rights on a cluster that has Argo CD in namespace argocd
	NATSURL       string
	DatabaseURL   string // of a PostgreSQL role that may create databases
	RepositoryURL string // an environment repository that the story may write, over HTTP
	HookURL       string // where the lab's git server takes a push webhook for that repository; empty: the controller polls
	Checkout      string // root of this project's source, for examples/ and manifests/
	LabDir        string // of the lab whose containerd takes images; empty: the cluster can pull them
	Binaries      string // what `make build` has built
	// SecondKubeconfig is of a second cluster, if there is one; of a lab's, whose containerd takes images in the same directory.
	SecondKubeconfig string
}

// FromEnv reads an Environment from the variables that `lab exec` sets and that a cluster of one's own needs.
func FromEnv(getenv func(string) string, checkout string) (Environment, error) {
	e := Environment{
		Kubeconfig: getenv("KUBECONFIG"), NATSURL: getenv("NATS_URL"), DatabaseURL: getenv("DATABASE_URL"),
		RepositoryURL: getenv("REPOSITORY_URL"), Checkout: checkout, LabDir: getenv("LAB_DIR"), Binaries: filepath.Join(checkout, "bin"),
		SecondKubeconfig: getenv("SECOND_KUBECONFIG"),
	}
	// The lab's git server makes repositories and takes webhooks on demand.
	if git := getenv("GIT_URL"); e.RepositoryURL == "" && git != "" {
		e.RepositoryURL = strings.TrimSuffix(git, "/") + "/shop.git"
		e.HookURL = strings.TrimSuffix(git, "/") + "/_admin/repos/shop/hooks"
	}
	for name, value := range map[string]string{
		"KUBECONFIG": e.Kubeconfig, "NATS_URL": e.NATSURL, "DATABASE_URL": e.DatabaseURL, "REPOSITORY_URL": e.RepositoryURL,
	} {
		if value == "" {
			return Environment{}, fmt.Errorf("%s is not set: run this through `lab exec`, or set KUBECONFIG, NATS_URL, DATABASE_URL and REPOSITORY_URL of a cluster with Argo CD", name)
		}
	}
	return e, nil
}

// Addresses that stand in examples/shop and are replaced by those of the Environment.
const (
	exampleRepository = "http://git.lab.svc.cluster.local/shop.git"
	exampleNATS       = "nats://nats.lab.svc.cluster.local:4222"
)

func (e Environment) replacements() map[string]string {
	return map[string]string{exampleRepository: e.RepositoryURL, exampleNATS: e.NATSURL}
}
