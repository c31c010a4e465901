package stack

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

func example(t *testing.T) Config {
	return Config{
		Dir: t.TempDir(), Binaries: map[string]string{"kube": "/cache/kube", "argocd": "/cache/argocd", "kustomize": "/cache/kustomize"},
		PostgreSQL: "/usr/lib/postgresql/15/bin", Password: "p:w/d", Options: Options{SyncWaveDelay: 2 * time.Second, Reconciliation: time.Minute},
	}
}

func TestPlansCanStart(t *testing.T) {
	for _, options := range []Options{{ControlPlane: true}, {}, {SecondCluster: true}} {
		c := example(t)
		c.Options = options
		components, err := c.Components("cgroup")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := supervise.New(components, t.TempDir(), nil); err != nil {
			t.Errorf("%+v: %v", options, err)
		}
	}
}

func TestPasswordIsInNoArgument(t *testing.T) {
	c := example(t)
	components, err := c.Components("cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, component := range components {
		if strings.Contains(strings.Join(append(component.Command, component.Env...), " "), c.Password) {
			t.Errorf("%s carries the password", component.Name)
		}
	}
}

func TestConfigurationIsForItsOwnerAndSurvivesTheFile(t *testing.T) {
	c := example(t)
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(c.Dir, file))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	loaded, err := Load(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, loaded); diff != "" {
		t.Errorf("(-saved +loaded):\n%s", diff)
	}
}

func TestEnvironmentOfACommand(t *testing.T) {
	c := example(t)
	env := c.Environment([]string{"HOME=/home/ada", "PATH=/usr/bin", "DATABASE_URL=postgres://elsewhere/"})
	for name, want := range map[string]string{
		"HOME":         "/home/ada",
		"PATH":         c.Dir + "/bin:/usr/bin",
		"LAB_DIR":      c.Dir,
		"KUBECONFIG":   c.Dir + "/kubeconfig",
		"DATABASE_URL": "postgres://postgres:p%3Aw%2Fd@postgres.lab.svc.cluster.local:5432/postgres",
		"NATS_URL":     "nats://nats.lab.svc.cluster.local:4222",
		"ARGOCD_URL":   "http://argocd.lab.svc.cluster.local",
		"GIT_URL":      "http://git.lab.svc.cluster.local",
	} {
		if got := last(env, name); got != want {
			t.Errorf("%s=%s, want %s", name, got, want)
		}
	}
	if got := last(env, "SECOND_KUBECONFIG"); got != "" {
		t.Errorf("there is no second cluster, but %s", got)
	}
	c.SecondCluster = true
	if got := last(c.Environment(nil), "SECOND_KUBECONFIG"); got != c.Dir+"/second/kubeconfig" {
		t.Errorf("the second cluster is %s", got)
	}
	c.ControlPlane = true
	if got := last(c.Environment([]string{"DATABASE_URL=postgres://elsewhere/"}), "DATABASE_URL"); got != "postgres://elsewhere/" {
		t.Errorf("a control plane has no database, but says %s", got)
	}
}

// last is the value that counts when a variable is there twice.
func last(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

func TestProgramsAreThereByName(t *testing.T) {
	c := example(t)
	c.Binaries["kube"] = "/bin/true"
	for range 2 { // also after an interrupted start
		if err := c.MakeDirectories(); err != nil {
			t.Fatal(err)
		}
	}
	if err := exec.Command(filepath.Join(c.Dir, "bin", "kubectl")).Run(); err != nil {
		t.Error(err)
	}
	c = example(t)
	c.Binaries, c.PostgreSQL = map[string]string{"kube": "/bin/true", "kustomize": "/bin/true"}, ""
	if err := c.MakeDirectories(); err != nil {
		t.Fatal(err)
	}
	if found, err := os.ReadDir(filepath.Join(c.Dir, "bin")); err != nil || len(found) != 2 {
		t.Errorf("programs of a control plane: %v, %v", found, err)
	}
}
