package kustomize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/schemawave/schemawave/manifests"
)

// orderWaves gives each declaration of an overlay the wave that follows from what it depends on: the first after those of its
// dependencies, and not before the default. Within a wave Argo CD starts all Jobs at once, so the order is in the waves alone.
func orderWaves(all []*declaration, problems *Problems) {
	byName := map[string]*declaration{}
	for _, d := range all {
		byName[d.Name] = d
	}
	o := ordering{byName: byName, done: map[*declaration]bool{}, problems: problems}
	for _, d := range all {
		o.visit(d)
	}
}

// ordering visits dependencies before what depends on them.
type ordering struct {
	byName   map[string]*declaration
	path     []*declaration // from the first one visited to the one being visited
	done     map[*declaration]bool
	problems *Problems
}

func (o *ordering) visit(d *declaration) {
	if o.done[d] {
		return
	}
	if i := slices.Index(o.path, d); i >= 0 {
		o.cycle(o.path[i:])
		return
	}
	o.path = append(o.path, d)
	wave := manifests.DefaultWave
	for i, name := range d.DependsOn {
		at := fmt.Sprintf("spec.dependsOn[%d]", i)
		dependency := o.find(d, at, name)
		if dependency == nil {
			continue
		}
		o.visit(dependency)
		if d.moment().phase != dependency.moment().phase {
			o.phases(d, dependency, at)
			continue
		}
		if before := dependency.HookWave(); before >= wave {
			wave = before + 1
		}
		if d.Wave != nil && *d.Wave <= dependency.HookWave() && o.done[dependency] {
			o.problems.add(d.file, d.line("spec.wave"), fmt.Sprintf("spec.wave: %d is not after %d, the wave of %s (%s:%d), on which %s depends",
				*d.Wave, dependency.HookWave(), name, dependency.file, dependency.line("spec.wave"), d.Name),
				fmt.Sprintf("leave it out, or choose %d or a later one", dependency.HookWave()+1))
		}
	}
	if d.Wave == nil && wave != manifests.DefaultWave {
		d.Wave = new(wave)
	}
	o.path = o.path[:len(o.path)-1]
	o.done[d] = true
}

// phases complains about a hook that depends on a migration of the Sync phase, which comes after all hooks. The other way round
// the phases are the order.
func (o *ordering) phases(d, dependency *declaration, at string) {
	if d.moment().before(dependency.moment()) {
		o.problems.add(d.file, d.line(at), fmt.Sprintf("%s: %s (%s:%d) is migrated in the Sync phase, after all PreSync hooks", at, dependency.Name, dependency.file, dependency.line("spec.hook")),
			"give "+d.Name+" hook: Sync as well, or take it away from "+dependency.Name)
	}
}

// find returns the declaration that an entry of d's dependencies names; nil if it is one of another Application, or wrong.
func (o *ordering) find(d *declaration, at, name string) *declaration {
	if d.complained(at) {
		return nil
	}
	if t, err := manifests.ParseTarget(name); err == nil {
		if other := o.byName[t.Database]; other != nil && other.Environment == t.Environment {
			o.problems.add(d.file, d.line(at), fmt.Sprintf("%s: %s is declared in this overlay (%s:%d)", at, name, other.file, other.line("metadata.name")),
				"write "+other.Name+", and it is migrated in an earlier wave")
		}
		return nil
	}
	if strings.ContainsAny(name, "/@") {
		return nil // its form has been complained about
	}
	if o.byName[name] == nil {
		o.problems.add(d.file, d.line(at), fmt.Sprintf("%s: no SchemaMigration of this overlay is named %s", at, name),
			didYouMean(name, o.byName)+"; a database of another Application is written environment/"+name)
	}
	return o.byName[name]
}

// cycle complains about declarations of which each depends on the next, and the last on the first.
func (o *ordering) cycle(all []*declaration) {
	var way []string
	for _, d := range all {
		way = append(way, fmt.Sprintf("%s (%s:%d)", d.Name, d.file, d.line("spec.dependsOn")))
	}
	first := all[0]
	o.problems.add(first.file, first.line("spec.dependsOn"),
		"spec.dependsOn: a cycle: "+strings.Join(way, " needs ")+" needs "+first.Name, "take one of these dependencies out: none of them could be migrated first")
}
