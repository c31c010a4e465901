package kustomize

import (
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/schemawave/schemawave/manifests"
)

// maker is a kind whose controller makes Secrets some time after the object was applied.
type maker struct {
	group, kind string
	name        []string // where the Secret's name stands; the object's own name if this is empty or the field is
	pattern     string   // the Secret's name, NAME standing for the name found, * for anything; empty: NAME
}

// makers lists the kinds people use with a database's credentials, by their documentation.
func makers() []maker {
	return []maker{
		{"external-secrets.io", "ExternalSecret", []string{"spec", "target", "name"}, ""},
		{"bitnami.com", "SealedSecret", []string{"spec", "template", "metadata", "name"}, ""},
		{"secrets.hashicorp.com", "VaultStaticSecret", []string{"spec", "destination", "name"}, ""},
		{"secrets.hashicorp.com", "VaultDynamicSecret", []string{"spec", "destination", "name"}, ""},
		{"secrets.infisical.com", "InfisicalSecret", []string{"spec", "managedSecretReference", "secretName"}, ""},
		{"secrets.doppler.com", "DopplerSecret", []string{"spec", "managedSecret", "name"}, ""},
		{"onepassword.com", "OnePasswordItem", nil, ""},
		{"isindir.github.com", "SopsSecret", []string{"spec", "secretTemplates", "*", "name"}, ""},
		{"cert-manager.io", "Certificate", []string{"spec", "secretName"}, ""},
		{"postgresql.cnpg.io", "Cluster", nil, "NAME-app"},
		{"postgresql.cnpg.io", "Cluster", nil, "NAME-superuser"},
		{"postgres-operator.crunchydata.com", "PostgresCluster", nil, "NAME-pguser-*"},
		{"acid.zalan.do", "postgresql", nil, "*.NAME.credentials.postgresql.acid.zalan.do"},
	}
}

// makerOf returns the object that will make the Secret which a Job of that moment refers to; nil if there is none, or if it is of
// an earlier moment, whose health Argo CD waits for.
func (b built) makerOf(ref, final manifests.Reference, job moment) *resource.Resource {
	if ref.Kind != "Secret" {
		return nil
	}
	kinds := makers()
	for _, r := range b {
		for _, m := range kinds {
			group, _, _ := strings.Cut(r.GetApiVersion(), "/")
			if m.kind == r.GetKind() && m.group == group && !momentOf(r).before(job) && (m.makes(r, ref.Name) || m.makes(r, final.Name)) {
				return r
			}
		}
	}
	return nil
}

func (m maker) makes(r *resource.Resource, secret string) bool {
	names := []string{r.GetName()}
	if found := lookup(&r.RNode, m.name); len(found) > 0 {
		names = found
	}
	for _, name := range names {
		if m.pattern == "" && name == secret {
			return true
		}
		if ok, err := path.Match(strings.ReplaceAll(m.pattern, "NAME", name), secret); ok && err == nil {
			return true
		}
	}
	return false
}

// lookup returns the strings at a path in which "*" stands for every element of a list.
func lookup(n *yaml.RNode, at []string) []string {
	if len(at) == 0 {
		return nil
	}
	found, err := n.Pipe(&yaml.PathMatcher{Path: at})
	if err != nil || found.IsNilOrEmpty() {
		return nil
	}
	var out []string
	for _, e := range found.Content() {
		if e.Value != "" {
			out = append(out, e.Value)
		}
	}
	return out
}
