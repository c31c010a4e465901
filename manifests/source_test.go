package manifests_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/manifests"
)

// imageInput has the migrations in an image, toolInput leaves them to a tool.
func imageInput(t testing.TB) manifests.Input {
	in := manifests.Input{Migration: input(t, twoMigrations()).Migration}
	in.Migration.Source = manifests.Source{Image: &manifests.ImageSource{Name: "registry.example.com/orders:1.4.2", Path: "/migrations"}}
	return in
}

func toolInput(t testing.TB) manifests.Input {
	in := imageInput(t)
	in.Migration.Source = manifests.Source{Tool: &manifests.ToolSource{
		Image: "registry.example.com/orders:1.4.2", Command: []string{"php", "artisan", "migrate", "--force"}, History: "laravel",
	}}
	return in
}

// TestSourceDigest finds that the digest changes with everything that decides what runs, and with nothing else.
func TestSourceDigest(t *testing.T) {
	type change = func(*manifests.Input)
	for _, c := range []struct {
		why    string
		from   func(testing.TB) manifests.Input
		change change
		want   bool // another digest
	}{
		{"nothing", imageInput, func(*manifests.Input) {}, false},
		{"another tag", imageInput, func(in *manifests.Input) { in.Migration.Source.Image.Name += ".1" }, true},
		{"another tag by the overlay", imageInput, func(in *manifests.Input) { in.Resolved = "registry.example.com/orders:1.4.3" }, true},
		{"the same image by the overlay", imageInput, func(in *manifests.Input) {
			in.Migration.Source.Image.Name, in.Resolved = "orders", "registry.example.com/orders:1.4.2"
		}, false},
		{"another directory", imageInput, func(in *manifests.Input) { in.Migration.Source.Image.Path = "/sql" }, true},
		{"another layout", imageInput, func(in *manifests.Input) { in.Migration.Source.Image.Layout = "flyway" }, true},
		{"another target", imageInput, func(in *manifests.Input) { in.Migration.Target = "3" }, true},
		{"another deadline", imageInput, func(in *manifests.Input) { in.Migration.Policy.Deadline = new(time.Hour) }, false},
		{"another runner", imageInput, func(in *manifests.Input) { in.Image = "mirror/runner:1" }, false},
		{"another tool's image", toolInput, func(in *manifests.Input) { in.Resolved = "registry.example.com/orders:1.4.3" }, true},
		{"another command", toolInput, func(in *manifests.Input) { in.Migration.Source.Tool.Command[3] = "--pretend" }, true},
		{"the same words otherwise divided", toolInput, func(in *manifests.Input) {
			in.Migration.Source.Tool.Command = []string{"php", "artisan", "migrate --force"}
		}, true},
		{"another history", toolInput, func(in *manifests.Input) { in.Migration.Source.Tool.History = "rails" }, true},
		{"another history table", toolInput, func(in *manifests.Input) { in.Migration.Source.Tool.HistoryTable = "app.migrations" }, true},
		{"another place to run in", toolInput, func(in *manifests.Input) { in.Migration.Source.Tool.WorkingDir = "/app" }, true},
	} {
		before, after := c.from(t), c.from(t)
		c.change(&after)
		was, is := jobOf(t, build(t, before)), jobOf(t, build(t, after))
		if got := was.Name != is.Name; got != c.want || got != (was.Annotations[manifests.AnnotationDigest] != is.Annotations[manifests.AnnotationDigest]) {
			t.Errorf("%s: %s became %s", c.why, was.Name, is.Name)
		}
	}
}

// TestNoVersion says no version where none is known, and can still be recognised by its name.
func TestNoVersion(t *testing.T) {
	for kind, in := range map[string]manifests.Input{"image": imageInput(t), "tool": toolInput(t)} {
		in.Migration.Name = "orders-12345678" // which looks like a version, or a digest
		for _, o := range build(t, in) {
			if v, ok := o.Value.GetAnnotations()[manifests.AnnotationVersion]; ok {
				t.Errorf("%s is said to be of version %q", o.Value.GetName(), v)
			}
			name, ok := manifests.ParseName("eu-" + o.Value.GetName() + "-blue")
			if !ok || name.Database != "orders-12345678" || name.Version != "" || name.Kind != kind || name.What() != kind ||
				!name.Matches(o.Value.GetAnnotations()[manifests.AnnotationDigest]) || name.Marker != (o.Component == manifests.ComponentMarker) {
				t.Errorf("%s parsed: %+v, %t", o.Value.GetName(), name, ok)
			}
		}
	}
}

// TestRunnerIsBrought finds the runner where the container of another image starts it.
func TestRunnerIsBrought(t *testing.T) {
	for kind, in := range map[string]manifests.Input{"image": imageInput(t), "tool": toolInput(t)} {
		in.Image = "mirror/runner:1"
		pod := jobOf(t, build(t, in)).Spec.Template.Spec
		install, c := pod.InitContainers[0], pod.Containers[0]
		if install.Image != "mirror/runner:1" || c.Image != "registry.example.com/orders:1.4.2" {
			t.Errorf("%s: %s brings the runner to %s", kind, install.Image, c.Image)
		}
		to := install.VolumeMounts[0]
		from := c.VolumeMounts[slices.IndexFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == to.Name })]
		if install.Args[1] != to.MountPath || c.Command[0] != from.MountPath+install.Command[0] || to.ReadOnly || !from.ReadOnly {
			t.Errorf("%s: it is put into %s as %s, and started as %s", kind, install.Args[1], install.Command[0], c.Command[0])
		}
	}
}

// TestDollars finds that what is written here is what the runner is given, for Kubernetes takes two dollars for one; and that a
// tool's command is as in any Pod.
func TestDollars(t *testing.T) {
	in := toolInput(t)
	in.Migration.Source.Tool.History, in.Migration.Source.Tool.HistoryQuery = "custom", "SELECT $$a$$, '$(b)'"
	in.Migration.Source.Tool.Command = []string{"migrate", "$(DB_HOST)"}
	args := strings.Join(jobOf(t, build(t, in)).Spec.Template.Spec.Containers[0].Args, "\n")
	for _, want := range []string{"--history-query=SELECT $$$$a$$$$, '$$(b)'\n", "\n--\nmigrate\n$(DB_HOST)"} {
		if !strings.Contains(args, want) {
			t.Errorf("no %q in\n%s", want, args)
		}
	}
}

// TestHome is the team's, if it sets one.
func TestHome(t *testing.T) {
	in := toolInput(t)
	in.Migration.Database.Env = []corev1.EnvVar{{Name: "HOME", Value: "/app"}}
	var homes []string
	for _, e := range jobOf(t, build(t, in)).Spec.Template.Spec.Containers[0].Env {
		if e.Name == "HOME" {
			homes = append(homes, e.Value)
		}
	}
	if !slices.Equal(homes, []string{"/app"}) {
		t.Errorf("HOME is %q", homes)
	}
}

func TestMoves(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for image, want := range map[string]bool{
		"app":                              true,
		"registry.example.com:5000/app":    true,
		"app:latest":                       true,
		"registry.example.com:5000/a:main": true,
		"app:Staging":                      true,
		"app" + digest:                     false,
		"app:latest" + digest:              false,
		"app:1.4.2":                        false,
		"app:main-1a2b3c4d":                false,
		"main:7":                           false,
	} {
		if got := manifests.Moves(image); got != want {
			t.Errorf("%s: %t", image, got)
		}
	}
}
