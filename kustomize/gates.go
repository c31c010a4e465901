package kustomize

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// gate is a workload, as the overlay yields it without one, and what holds it back.
type gate struct {
	workload
	targets   []manifests.Target
	own       pod               // what else its Pods have
	container *corev1.Container // nil: a scheduling gate holds them back
}

// gates finds the workloads that are annotated to wait for schemas. What it is given is the overlay without any gates of its own:
// so annotations count wherever they come from, a base, a component or a patch, and init containers are the Pods' own.
func (w *work) gates(b built) ([]gate, error) {
	g := gateFinder{work: w, onWorkloads: map[string]bool{}}
	for _, r := range b {
		if r.GetLabels()[manifests.LabelManagedBy] == manifests.ManagedBy {
			continue // a migration never waits for itself, not even where all objects are annotated
		}
		value := strings.TrimSpace(r.GetAnnotations()[manifests.AnnotationWaitFor])
		load, ok := workloadOf(r)
		switch {
		case !ok && value != "":
			g.without = append(g.without, workload{Resource: r})
		case ok && value != "":
			g.onWorkloads[value] = true
			if err := g.add(load, value); err != nil {
				return nil, err
			}
		case ok && load.template != nil:
			g.misplaced(load)
		}
	}
	g.podless()
	return g.found, g.problems.err()
}

// gateFinder collects the gates of one overlay.
type gateFinder struct {
	*work
	found       []gate
	without     []workload      // annotated objects that have no Pods
	onWorkloads map[string]bool // the annotations that workloads have
	problems    Problems
}

// add makes the gate of a workload, unless an overlay within this one has made it already.
func (g *gateFinder) add(load workload, value string) error {
	own, err := load.pod()
	if err != nil {
		return err
	}
	made := gate{workload: load, targets: g.targets(load, value), own: own}
	var what string
	var there, enough bool
	switch by := strings.TrimSpace(load.GetAnnotations()[manifests.AnnotationWaitBy]); {
	case by == "" || by == manifests.ByInitContainer:
		made.container = g.container(load, made.targets)
		what = "the init container " + manifests.GateName
		there, enough = own.waits(made.targets)
	case by != manifests.BySchedulingGate:
		g.complain(load, value, fmt.Sprintf("%s is %q, which is no way to wait", manifests.AnnotationWaitBy, by),
			fmt.Sprintf("write %s or %s", manifests.ByInitContainer, manifests.BySchedulingGate))
		return nil
	case len(load.template) == 0:
		g.complain(load, value, "a Pod that is declared itself cannot wait by a scheduling gate, for the next sync would put it back",
			"make a Deployment or a Job of it, or leave "+manifests.AnnotationWaitBy+" out")
		return nil
	default:
		what = "the scheduling gate " + manifests.SchedulingGate
		there, enough = own.gated(made.targets)
	}
	switch {
	case there && !enough:
		g.complain(load, value, what+" is there already, and waits for something else",
			"remove it, for the annotation makes one; if an overlay within this one made it, render that first")
	case !there:
		g.found = append(g.found, made)
	}
	return nil
}

// container makes the init container that holds a workload back.
func (w *work) container(load workload, targets []manifests.Target) *corev1.Container {
	c := manifests.Gate(w.image(), targets)
	if load.runsAsRoot() {
		c.SecurityContext.RunAsUser = new(int64(manifests.GateUser))
	}
	return &c
}

// targets reads the annotation of a workload, and complains about what it cannot read.
func (g *gateFinder) targets(load workload, value string) (targets []manifests.Target) {
	for entry := range strings.SplitSeq(value, ",") {
		entry = strings.TrimSpace(entry)
		t, what, remedy := g.resolve(entry, load.GetNamespace())
		if what == "" && slices.Contains(targets, t) {
			what, remedy = entry+" is given twice", "keep one of them"
		}
		if what != "" {
			g.complain(load, value, what, remedy)
			continue
		}
		targets = append(targets, t)
	}
	return targets
}

// resolve reads one element of the annotation. A plain name is a database of this overlay, at the version that it is migrated
// to unless it names one or latest, so that the gate moves with the migrations; or a database that is declared elsewhere, in the
// environment of the workload's namespace.
func (g *gateFinder) resolve(entry, namespace string) (t manifests.Target, what, remedy string) {
	const form = "write environment/database[@version], or database[@version] for one of this environment"
	name, _, versioned := strings.Cut(entry, "@")
	plain := !strings.Contains(name, "/")
	i := slices.IndexFunc(g.declarations, func(d *declaration) bool { return d.Name == name })
	switch near := nearest(name, g.databases()); {
	case !plain:
	case i >= 0:
		entry = g.declarations[i].Environment + "/" + entry
	case near != "":
		return t, fmt.Sprintf("no SchemaMigration of this overlay is named %s", name), "did you mean " + near + "? If not, write environment/" + name
	case namespace == "":
		return t, name + " is not declared in this overlay, and the overlay sets no namespace to take its environment from", "write environment/" + name
	default:
		entry = namespace + "/" + entry
	}
	t, err := manifests.ParseTarget(entry)
	if err != nil {
		return t, err.Error(), form
	}
	for i, d := range g.declarations {
		if d.Name != t.Database || d.Environment != t.Environment {
			continue
		}
		latest := g.version(i)
		if latest != "" && t.Version.Compare(latest) > 0 {
			return t, fmt.Sprintf("%s is newer than %s, the version that this overlay migrates %s to", t.Version, latest, d.Name), "name one that is there, or add its migration"
		}
		if plain && !versioned {
			t.Version = latest
		}
	}
	return t, "", ""
}

// databases returns the names of the databases that this overlay declares.
func (w *work) databases() map[string]bool {
	names := map[string]bool{}
	for _, d := range w.declarations {
		names[d.Name] = true
	}
	return names
}

// version returns the version that the ith declaration migrates to; empty if only its Job will know.
func (w *work) version(i int) migrations.Version {
	return migrations.Version(w.objects[i][0].Value.GetAnnotations()[manifests.AnnotationVersion])
}

// misplaced complains about the annotation on the Pod's template, where it would be read by nobody.
func (g *gateFinder) misplaced(load workload) {
	n := load.lookup("metadata", "annotations", manifests.AnnotationWaitFor)
	if n != nil && n.YNode().Value != "" {
		g.complain(load, n.YNode().Value, "the annotation is on the Pod's template", "put it on the "+load.GetKind()+"'s own metadata")
	}
}

// podless complains about annotated objects without Pods, unless it is the annotation of a workload, too, as where all objects of
// an overlay get it.
func (g *gateFinder) podless() {
	for _, load := range g.without {
		value := strings.TrimSpace(load.GetAnnotations()[manifests.AnnotationWaitFor])
		if !g.onWorkloads[value] {
			g.complain(load, value, "it has no Pods of its own to hold back", "annotate the Deployment, StatefulSet, DaemonSet, Job, CronJob or Rollout that has")
		}
	}
}

// complain reports what is wrong with a workload's annotation, where it stands if that can be found, else by the kustomization.
func (g *gateFinder) complain(load workload, value, what, remedy string) {
	file, line := g.annotated(value)
	if file == "" {
		file = g.kustomization.file
	}
	g.problems.add(file, line, fmt.Sprintf("%s of %s: %s", manifests.AnnotationWaitFor, load, what), remedy)
}

// annotated finds where an annotation stands, in the overlay or in what it is built from; "" if it cannot be found.
func (r *repository) annotated(value string) (file string, line int) {
	builtFrom(r.tree, r.overlay, func(name string, content []byte) bool {
		n := 0
		for text := range bytes.Lines(content) {
			n++
			if annotates(text) && bytes.Contains(text, []byte(value)) {
				file, line = path.Clean(name), n
				return false
			}
		}
		return true
	})
	return file, line
}
