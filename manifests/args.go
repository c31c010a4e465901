package manifests

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// args are the runner's, one "--name=value" each. What the team left out is left to the runner's defaults.
func (b *builder) args() []string {
	m := b.Migration
	if t := m.Source.Tool; t != nil {
		a := arguments{"exec"}
		a.add("history", t.History)
		a.add("history-query", t.HistoryQuery)
		a.add("history-table", t.HistoryTable)
		a.whose(m)
		a.bounds(m.Policy)
		return slices.Concat(a, []string{"--"}, t.Command)
	}
	dir, layout := migrationsDir, string(b.set.Layout) // as it was read here: a part of the files might look like another
	if i := m.Source.Image; i != nil {
		dir, layout = i.Path, i.Layout
	}
	a := arguments{"migrate"}
	if b.bundled {
		a.add("bundles", dir)
	} else {
		a.add("dir", dir)
	}
	a.whose(m)
	a.add("layout", layout)
	a.add("target", string(m.Target))
	a.add("min-compatible", string(m.MinCompatible))
	a.bounds(m.Policy)
	a.add("out-of-order", m.Policy.OutOfOrder)
	a.tenants(m.Tenants)
	return a
}

// guardArgs ask for what was rendered. The files of an image are known to nobody else than the container, those of a directory
// to nobody but the render; a tool leaves a run behind.
func (b *builder) guardArgs() []string {
	m := b.Migration
	a := arguments{"guard"}
	switch {
	case m.Source.Tool != nil:
		a = append(a, "--tool-run")
	case m.Source.Image != nil:
		a.add("dir", m.Source.Image.Path)
		a.add("layout", m.Source.Image.Layout)
		a.add("target", string(m.Target))
		a.add("out-of-order", m.Policy.OutOfOrder)
	default:
		a.add("version", string(b.set.Latest()))
		a.add("history", b.set.HistoryDigest())
		for _, r := range b.set.Repeatables {
			a.add("repeatable", r.Name+"="+r.Checksum)
		}
	}
	a.whose(m)
	a.add("deadline", duration(guardDeadline))
	a.tenants(m.Tenants)
	return a
}

type arguments []string

// add appends an option that has a value.
func (a *arguments) add(name, value string) {
	if value != "" {
		*a = append(*a, "--"+name+"="+unexpanded(value))
	}
}

// unexpanded returns an argument that the container gets as it is: Kubernetes takes two dollars for one, and one before a
// parenthesis for a variable.
func unexpanded(arg string) string { return strings.ReplaceAll(arg, "$", "$$") }

func (a *arguments) whose(m SchemaMigration) {
	a.add("database", m.Name)
	a.add("environment", m.Environment)
	a.add("report", reportPath)
}

func (a *arguments) tenants(t *Tenants) {
	if t == nil {
		return
	}
	a.add("tenants", t.Query)
	for _, name := range t.Names {
		a.add("tenant", name)
	}
	if t.Parallel != nil {
		a.add("parallel", strconv.Itoa(int(*t.Parallel)))
	}
}

func (a *arguments) bounds(p Policy) {
	if d := p.LockTimeout; d != nil {
		a.add("lock-timeout", duration(*d))
	}
	if d := p.StatementTimeout; d != nil {
		a.add("statement-timeout", duration(*d))
	}
	a.add("deadline", duration(p.RunDeadline()))
}

// duration prints d as people write it: "30m", not "30m0s".
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
