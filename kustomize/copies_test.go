package kustomize_test

import (
	"strings"
	"testing"
)

// TestSecretsThatComeLater renders overlays in which the database's Secret is made by a controller after the sync has gone
// past PreSync. The declaration asks for the Secret orders-db in line 9.
func TestSecretsThatComeLater(t *testing.T) {
	object := func(apiVersion, kind, name, spec string) string {
		return "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata:\n  name: " + name + "\n" + spec
	}
	for _, c := range []struct{ why, manifest, secret, want string }{
		{"an ExternalSecret by its own name", object("external-secrets.io/v1", "ExternalSecret", "orders-db", "spec: {}\n"), "orders-db", "ExternalSecret orders-db"},
		{"an ExternalSecret by its target", object("external-secrets.io/v1beta1", "ExternalSecret", "x", "spec: {target: {name: orders-db}}\n"), "orders-db", "ExternalSecret x"},
		{"an ExternalSecret of another target", object("external-secrets.io/v1", "ExternalSecret", "orders-db", "spec: {target: {name: y}}\n"), "orders-db", ""},
		{"a SealedSecret", object("bitnami.com/v1alpha1", "SealedSecret", "orders-db", "spec: {encryptedData: {url: x}}\n"), "orders-db", "SealedSecret orders-db"},
		{"a SealedSecret by its template", object("bitnami.com/v1alpha1", "SealedSecret", "x", "spec: {template: {metadata: {name: orders-db}}}\n"), "orders-db", "SealedSecret x"},
		{"a Vault secret", object("secrets.hashicorp.com/v1beta1", "VaultStaticSecret", "x", "spec: {destination: {name: orders-db}}\n"), "orders-db", "VaultStaticSecret x"},
		{"one of several SOPS secrets", object("isindir.github.com/v1alpha3", "SopsSecret", "x", "spec: {secretTemplates: [{name: a}, {name: orders-db}]}\n"), "orders-db", "SopsSecret x"},
		{"a 1Password item", object("onepassword.com/v1", "OnePasswordItem", "orders-db", "spec: {}\n"), "orders-db", "OnePasswordItem orders-db"},
		{"a certificate", object("cert-manager.io/v1", "Certificate", "x", "spec: {secretName: orders-db}\n"), "orders-db", "Certificate x"},
		{"CloudNativePG's application user", object("postgresql.cnpg.io/v1", "Cluster", "orders", "spec: {}\n"), "orders-app", "Cluster orders"},
		{"Crunchy's users", object("postgres-operator.crunchydata.com/v1beta1", "PostgresCluster", "orders", "spec: {}\n"), "orders-pguser-shop", "PostgresCluster orders"},
		{"Zalando's users", object("acid.zalan.do/v1", "postgresql", "orders", "spec: {}\n"), "shop.orders.credentials.postgresql.acid.zalan.do", "postgresql orders"},
		{"a kind of the same name", object("example.com/v1", "ExternalSecret", "orders-db", "spec: {}\n"), "orders-db", ""},
		{"a hook of an earlier wave", object("external-secrets.io/v1", "ExternalSecret", "orders-db", "  annotations: {argocd.argoproj.io/hook: PreSync, argocd.argoproj.io/sync-wave: \"-11\"}\nspec: {}\n"), "orders-db", ""},
		{"a hook of the same wave", object("external-secrets.io/v1", "ExternalSecret", "orders-db", "  annotations: {argocd.argoproj.io/hook: PreSync, argocd.argoproj.io/sync-wave: \"-10\"}\nspec: {}\n"), "orders-db", "ExternalSecret orders-db"},
		{"a hook of wave 0", object("external-secrets.io/v1", "ExternalSecret", "orders-db", "  annotations: {argocd.argoproj.io/hook: PreSync}\nspec: {}\n"), "orders-db", "ExternalSecret orders-db"},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			files := repo(good, "name: orders-db", "name: "+c.secret)
			files["overlay/kustomization.yaml"] = "namespace: x\nresources:\n- later.yaml\n"
			files["overlay/later.yaml"] = c.manifest
			_, err := renderTree(t, files)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("not refused")
			}
			kind, _, _ := strings.Cut(c.want, " ")
			wantProblems(t, err, "overlay/schema.yaml:9: spec.database.urlFrom: the Secret "+c.secret+" is made by the "+c.want+" of this overlay, after the migration would need it"+
				" (create the "+kind+" outside of this Application, or make it a PreSync hook of a wave before -10, or migrate in the Sync phase (hook: Sync))")
		})
	}
}

func TestServiceAccountComesLater(t *testing.T) {
	files := repo(good, "policy: {retries: 3}", "job: {spec: {template: {spec: {serviceAccountName: migrator}}}}")
	files["overlay/kustomization.yaml"] = "namespace: x\nnamePrefix: eu-\nresources:\n- account.yaml\n"
	files["overlay/account.yaml"] = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: migrator\n"
	_, err := renderTree(t, files)
	if err == nil {
		t.Fatal("not refused")
	}
	wantProblems(t, err, "overlay/schema.yaml:11: spec.job: the ServiceAccount eu-migrator of this overlay does not exist yet when the migration first runs (create the ServiceAccount outside of this Application, or make it a PreSync hook of wave -10 or before, or migrate in the Sync phase (hook: Sync))")
}

// TestLaterInTheSyncPhase renders a migration of the Sync phase, wave -10, that needs what the overlay creates in the same phase.
func TestLaterInTheSyncPhase(t *testing.T) {
	const outside = " outside of this Application, or annotate it with argocd.argoproj.io/sync-wave, "
	for _, c := range []struct{ why, kind, annotations, want string }{
		{"a maker in an earlier wave is healthy before", "ExternalSecret", "argocd.argoproj.io/sync-wave: \"-11\"", ""},
		{"a PreSync hook as well", "ExternalSecret", "argocd.argoproj.io/hook: PreSync", ""},
		{"a maker in the same wave may not be", "ExternalSecret", "argocd.argoproj.io/sync-wave: \"-10\"",
			"the Secret orders-db is made by the ExternalSecret orders-db of this overlay, after the migration would need it (create the ExternalSecret" + outside + "a wave before -10, or give the migration a later one (spec.wave))"},
		{"a maker in wave 0", "ExternalSecret", "",
			"the Secret orders-db is made by the ExternalSecret orders-db of this overlay, after the migration would need it (create the ExternalSecret" + outside + "a wave before -10, or give the migration a later one (spec.wave))"},
		{"a maker after the sync", "ExternalSecret", "argocd.argoproj.io/hook: PostSync",
			"the Secret orders-db is made by the ExternalSecret orders-db of this overlay, after the migration would need it (create the ExternalSecret" + outside + "a wave before -10, or give the migration a later one (spec.wave))"},
		{"a service account in the same wave is there before the Job", "ServiceAccount", "argocd.argoproj.io/sync-wave: \"-10\"", ""},
		{"a service account in wave 0", "ServiceAccount", "",
			"the ServiceAccount orders-db of this overlay does not exist yet when the migration first runs (create the ServiceAccount" + outside + "wave -10 or before, or give the migration a later one (spec.wave))"},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			version, at := "external-secrets.io/v1", "overlay/schema.yaml:9: spec.database.urlFrom: "
			files := repo(good, "policy: {retries: 3}", "hook: Sync")
			if c.kind == "ServiceAccount" {
				version, at = "v1", "overlay/schema.yaml:12: spec.job: "
				files = repo(good, "policy: {retries: 3}", "hook: Sync\n  job: {spec: {template: {spec: {serviceAccountName: orders-db}}}}")
			}
			files["overlay/kustomization.yaml"] = "namespace: x\nresources:\n- other.yaml\n"
			files["overlay/other.yaml"] = "apiVersion: " + version + "\nkind: " + c.kind + "\nmetadata:\n  name: orders-db\n  annotations: {" + c.annotations + "}\n"
			_, err := renderTree(t, files)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && err == nil:
				t.Error("not refused")
			case c.want != "":
				wantProblems(t, err, at+c.want)
			}
		})
	}
}

// TestCopies covers the ways to name an input, and Secrets however they are written.
func TestCopies(t *testing.T) {
	files := repo(good, "policy: {retries: 3}", `job:
    spec:
      template:
        spec:
          imagePullSecrets: [{name: pull}]
          volumes:
          - {name: ca, secret: {secretName: ca}}
          - {name: conf, configMap: {name: conf}}
          containers:
          - {name: migrate, volumeMounts: [{name: ca, mountPath: /ca}, {name: conf, mountPath: /conf}]}`)
	files["overlay/kustomization.yaml"] = "namespace: x\nnameSuffix: \"-1\"\nresources:\n- inputs.yaml\n" +
		"secretGenerator:\n- {name: pull, type: kubernetes.io/dockerconfigjson, literals: ['.dockerconfigjson={}']}\n" +
		"configMapGenerator:\n- {name: conf, files: [data.bin]}\n"
	files["overlay/data.bin"] = "\xff\xfe\x00"
	files["overlay/inputs.yaml"] = "apiVersion: v1\nkind: Secret\nmetadata: {name: orders-db}\nimmutable: true\nstringData: {url: 'postgres://u@h/d'}\n" +
		"---\napiVersion: v1\nkind: Secret\nmetadata: {name: ca}\ndata: {ca.crt: Y2E=}\n"
	result, err := renderTree(t, files)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	collect(got, result)
	for file, want := range map[string]string{
		"orders.secret-copy.yaml":    "type: kubernetes.io/dockerconfigjson",
		"orders.secret-copy-2.yaml":  "ca.crt: Y2E=",
		"orders.secret-copy-3.yaml":  "url: postgres://u@h/d",
		"orders.configmap-copy.yaml": "data.bin: //4A",
	} {
		all := got["overlay/schemawave/orders.secret-copy.yaml"] + got["overlay/schemawave/orders.secret-copy-2.yaml"] + got["overlay/schemawave/orders.secret-copy-3.yaml"] + got["overlay/schemawave/orders.configmap-copy.yaml"]
		if got["overlay/schemawave/"+file] == "" || !strings.Contains(all, want) {
			t.Errorf("%s is not rendered, or nothing holds %s:\n%s", file, want, all)
		}
	}
	if job := got["overlay/schemawave/orders.job.yaml"]; strings.Count(job, "-in-") != 4 || strings.Contains(job, "orders-db") {
		t.Errorf("the Job does not refer to the copies:\n%s", job)
	}
}
