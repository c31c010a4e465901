package controller

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// secretTypeLabel is how Argo CD finds the Secrets of the clusters that it deploys to (argo-cd, common: LabelKeySecretType).
const (
	secretTypeLabel   = "argocd.argoproj.io/secret-type"
	secretTypeCluster = "cluster"
)

// remote is a cluster that Argo CD deploys to, as one of its Secrets tells.
type remote struct {
	secret     *corev1.Secret
	name       string // as people call it
	address    string
	namespaces []string     // whose Jobs are read; none means all
	config     *rest.Config // nil if the Secret is of no use
	unusable   error        // why; it never holds anything of the Secret's data
}

// same reports whether two remotes are read in the same way.
func (r *remote) same(as *remote) bool {
	return r.secret.Name == as.secret.Name && maps.EqualFunc(r.secret.Data, as.secret.Data, bytes.Equal)
}

// newRemote reads a Secret as Argo CD does (argo-cd, util/db: SecretToCluster).
func newRemote(s *corev1.Secret, jobNamespaces []string) *remote {
	r := &remote{secret: s, name: string(s.Data["name"]), address: trimAddress(string(s.Data["server"])), namespaces: jobNamespaces}
	r.name = cmp.Or(r.name, r.address)
	r.unusable = r.read(jobNamespaces)
	return r
}

func (r *remote) read(jobNamespaces []string) error {
	c := argo.Cluster{Server: r.address}
	if text := r.secret.Data["config"]; len(text) > 0 && json.Unmarshal(text, &c.Config) != nil {
		return errors.New("its config is not the JSON that Argo CD reads: add the cluster again with argocd cluster add")
	}
	var own []string
	for n := range strings.SplitSeq(string(r.secret.Data["namespaces"]), ",") {
		if n = strings.TrimSpace(n); n != "" {
			own = append(own, n)
		}
	}
	if len(own) > 0 && len(jobNamespaces) > 0 {
		own = slices.DeleteFunc(own, func(n string) bool { return !slices.Contains(jobNamespaces, n) })
		if len(own) == 0 {
			return errors.New("none of its namespaces is among argocd.jobNamespaces")
		}
	}
	if len(own) > 0 {
		r.namespaces = own
	}
	switch {
	case r.address == "":
		return errors.New("it names no server")
	case c.Config.ExecProviderConfig != nil:
		return missingProgram("execProviderConfig")
	case c.Config.AWSAuthConfig != nil:
		return missingProgram("awsAuthConfig")
	}
	config, err := c.RawRestConfig()
	if err != nil {
		return errors.New("its config.proxyUrl is no URL of a proxy") // err repeats it, password and all
	}
	r.config = config
	return nil
}

func missingProgram(field string) error {
	return fmt.Errorf("it logs in with %s, a program that is not in this image: put the bearerToken of a service account into a Secret "+
		"of the cluster; until then Argo CD's word is taken", field)
}

func trimAddress(server string) string { return strings.TrimRight(server, "/") }

// remotes reads all cluster Secrets, by address and by name. Of two with the same address the first by its Secret's name counts. The
// Applications' own cluster, which a Secret may give another name, is among the names alone.
func (o Options) remotes(secrets []corev1.Secret) (byAddress map[string]*remote, addresses map[string]string) {
	byAddress, addresses = map[string]*remote{}, map[string]string{}
	secrets = slices.SortedFunc(slices.Values(secrets), func(a, b corev1.Secret) int { return strings.Compare(a.Name, b.Name) })
	for i := range secrets {
		r := newRemote(&secrets[i], o.JobNamespaces)
		if slices.Contains(o.LocalServers, r.address) {
			addresses[r.name] = ""
			continue
		}
		if _, taken := byAddress[r.address]; !taken {
			byAddress[r.address] = r
		}
		addresses[r.name] = r.address
	}
	return byAddress, addresses
}
