package kustomize

import (
	"encoding/json"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	sigsjson "sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

func (d *declaration) source(f field) {
	s := &d.Source
	d.members(f, map[string]func(field){
		"directory": d.text(&s.Directory),
		"layout":    d.layout(&s.Layout),
		"image": func(f field) {
			s.Image = &manifests.ImageSource{}
			d.members(f, map[string]func(field){
				"name":   d.text(&s.Image.Name),
				"path":   d.text(&s.Image.Path),
				"layout": d.layout(&s.Image.Layout),
			})
		},
		"tool": func(f field) {
			s.Tool = &manifests.ToolSource{}
			d.members(f, map[string]func(field){
				"image":        d.text(&s.Tool.Image),
				"command":      d.texts(&s.Tool.Command),
				"workingDir":   d.text(&s.Tool.WorkingDir),
				"history":      d.text(&s.Tool.History),
				"historyQuery": d.text(&s.Tool.HistoryQuery),
				"historyTable": d.text(&s.Tool.HistoryTable),
			})
		},
	})
}

// layout reads the name of a layout.
func (d *declaration) layout(into *string) func(field) {
	return func(f field) {
		d.text(into)(f)
		if _, err := migrations.ParseLayout(*into); err != nil {
			d.add(f, err.Error(), "name one of these, or leave it out")
		}
	}
}

func (d *declaration) database(f field) {
	d.members(f, map[string]func(field){
		"urlFrom": func(f field) {
			d.Database.URLFrom = &corev1.EnvVarSource{}
			d.kubernetes(f, d.Database.URLFrom)
		},
		"env": func(f field) {
			for _, e := range d.elements(f) {
				var v corev1.EnvVar
				d.kubernetes(e, &v)
				d.Database.Env = append(d.Database.Env, v)
			}
		},
		"envFrom": func(f field) {
			for _, e := range d.elements(f) {
				var v corev1.EnvFromSource
				d.kubernetes(e, &v)
				d.Database.EnvFrom = append(d.Database.EnvFrom, v)
			}
		},
	})
}

// kubernetes reads a part of the Kubernetes API as strictly as the API server does with field validation.
func (d *declaration) kubernetes(f field, into any) {
	before := len(*d.problems)
	b, err := json.Marshal(d.json(f))
	if err != nil || len(*d.problems) > before {
		return // d.json has said what is wrong
	}
	strict, err := sigsjson.UnmarshalStrict(b, into)
	if err != nil {
		d.add(f, strings.TrimPrefix(err.Error(), "json: "), "write it as in a container of any Pod")
	}
	for _, e := range strict {
		path := f.path
		if at, ok := e.(sigsjson.FieldError); ok {
			path = join(f.path, strings.TrimPrefix(at.FieldPath(), "."))
		}
		d.add(field{f.node, path, d.line(path)}, "unknown field", "write it as in a container of any Pod")
	}
}

func (d *declaration) tenants(f field) {
	t := &manifests.Tenants{}
	d.Tenants = t
	d.members(f, map[string]func(field){
		"query": d.text(&t.Query),
		"names": func(f field) {
			for _, e := range d.elements(f) {
				var name string
				d.text(&name)(e)
				t.Names = append(t.Names, name)
			}
		},
		"parallel": d.integer(&t.Parallel),
	})
}

func (d *declaration) dependsOn(f field) {
	for _, e := range d.elements(f) {
		var name string
		d.text(&name)(e)
		d.DependsOn = append(d.DependsOn, name)
	}
}

func (d *declaration) policy(f field) {
	p := &d.Policy
	d.members(f, map[string]func(field){
		"lockTimeout":      d.duration(&p.LockTimeout),
		"statementTimeout": d.duration(&p.StatementTimeout),
		"deadline":         d.duration(&p.Deadline),
		"outOfOrder":       d.text(&p.OutOfOrder),
		"retries":          d.integer(&p.Retries),
	})
}

// duration reads a duration with its unit; a bare 0 needs none.
func (d *declaration) duration(into **time.Duration) func(field) {
	return func(f field) {
		v, err := time.ParseDuration(f.node.Value)
		if f.node.Kind != yaml.ScalarNode || err != nil {
			d.add(f, "want a duration, have "+describe(f.node), "write a number with its unit, as in 2s, 30m or 1h30m, or 0")
			return
		}
		*into = &v
	}
}

// target reads a version or "latest".
func (d *declaration) target(f field) {
	if f.node.Kind == yaml.ScalarNode && f.node.Value == "latest" {
		return
	}
	d.version(&d.Target)(f)
}

// version reads a version; without quotes its digits are taken as they stand.
func (d *declaration) version(into *migrations.Version) func(field) {
	return func(f field) {
		v, err := migrations.ParseVersion(f.node.Value)
		switch {
		case f.node.Kind != yaml.ScalarNode:
			d.add(f, "want a version, have "+describe(f.node), `write it in quotes, as in "20261122093000"`)
		case err != nil:
			d.add(f, err.Error(), `write it in quotes, as in "20261122093000"`)
		default:
			*into = v
		}
	}
}

// job reads the patch; whether its fields exist is for package manifests to say, which merges it.
func (d *declaration) job(f field) {
	if f.node.Kind != yaml.MappingNode {
		d.add(f, "want a mapping, have "+describe(f.node), "write it as a patch of a Job, as in job: {spec: {template: {spec: {nodeSelector: …}}}}")
		return
	}
	before := len(*d.problems)
	b, err := json.Marshal(d.json(f))
	if err != nil || len(*d.problems) > before {
		return // d.json has said what is wrong
	}
	d.Job = b
}
