package manifests

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// FieldError is one thing wrong with a SchemaMigration.
type FieldError struct {
	Field  string // "spec.database.env[0].name"; a missing field's own path
	What   string // what is wrong
	Remedy string // what to do about it
}

func (e *FieldError) Error() string { return e.Field + ": " + e.What + " (" + e.Remedy + ")" }

// dnsLabel is what names of databases and environments must be: they become parts of object names and label values
// (Kubernetes, "Object Names and IDs") and tokens of NATS subjects.
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Variables of the Job that a team may not set: the renderer does.
const (
	envURL       = "DATABASE_URL"
	envPod       = "SCHEMAWAVE_POD"
	envJob       = "SCHEMAWAVE_JOB"
	envDigest    = "SCHEMAWAVE_DIGEST"     // for the report; the files that the runner reads must have it
	envJobDigest = "SCHEMAWAVE_JOB_DIGEST" // in its place, where the runner reads files that nobody has seen
)

// Validate reports everything wrong with m that can be seen without its migrations; nil means nothing.
func (m SchemaMigration) Validate() []*FieldError {
	var v validator
	v.name("metadata.name", m.Name, "it names the database in object names, labels and NATS subjects")
	v.name("spec.environment", m.Environment, "it is a label value and a token of NATS subjects")
	v.source(m)
	v.dependsOn(m.DependsOn)
	v.database(m.Database)
	if m.Tenants != nil {
		v.tenants(*m.Tenants)
	}
	v.policy(m.Policy)
	v.guard(m)
	return v.errs
}

type validator struct{ errs []*FieldError }

func (v *validator) add(field, what, remedy string) {
	v.errs = append(v.errs, &FieldError{Field: field, What: what, Remedy: remedy})
}

func (v *validator) name(field, name, why string) {
	switch {
	case name == "":
		v.add(field, "is missing", "set it: "+why)
	case !dnsLabel.MatchString(name):
		v.add(field, fmt.Sprintf("%q is not a DNS label", name),
			"use at most 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit: "+why)
	}
}

// dependsOn looks at the form alone: who else there is, the overlay knows.
func (v *validator) dependsOn(entries []string) {
	seen := map[string]bool{}
	for i, e := range entries {
		field := fmt.Sprintf("spec.dependsOn[%d]", i)
		_, err := ParseTarget(e)
		switch name, _, versioned := strings.Cut(e, "@"); {
		case seen[e]:
			v.add(field, e+" is given twice", "keep one of them")
		case !strings.Contains(e, "/") && versioned:
			v.add(field, e+" names a version", "leave it out: a database of the same overlay is migrated first, to the version of its own directory; "+
				"that of another Application is written environment/"+name)
		case !strings.Contains(e, "/") && !dnsLabel.MatchString(name):
			v.add(field, fmt.Sprintf("%q is not a DNS label", name), "name a database of this overlay, or environment/database of another Application")
		case strings.Contains(e, "/") && err != nil:
			v.add(field, err.Error(), "name a database of this overlay, or environment/database of another Application")
		}
		seen[e] = true
	}
}

func (v *validator) database(d Database) {
	if d.URLFrom == nil && len(d.Env) == 0 && len(d.EnvFrom) == 0 {
		v.add("spec.database", "says no way to reach the database", "set urlFrom, for instance {secretKeyRef: {name: orders-db, key: url}}, or env or envFrom")
	}
	if u := d.URLFrom; u != nil {
		v.urlFrom(*u)
		v.valueFrom("spec.database.urlFrom", *u)
	}
	reserved := []string{envPod, envJob, envDigest, envJobDigest}
	if d.URLFrom != nil {
		reserved = append(reserved, envURL)
	}
	seen := map[string]bool{}
	for i, e := range d.Env {
		field := fmt.Sprintf("spec.database.env[%d]", i)
		switch {
		case e.Name == "":
			v.add(field+".name", "is missing", "name the variable")
		case slices.Contains(reserved, e.Name):
			v.add(field+".name", e.Name+" is set by the renderer", "leave it out")
		case seen[e.Name]:
			v.add(field+".name", e.Name+" is set twice", "keep one of them")
		case e.Value != "" && e.ValueFrom != nil:
			v.add(field, e.Name+" has both value and valueFrom", "keep one of them")
		case holdsPassword(e):
			v.add(field+".value", "a password in plain text", "keep it in a Secret and use valueFrom: {secretKeyRef: …}")
		}
		if e.ValueFrom != nil {
			v.valueFrom(field+".valueFrom", *e.ValueFrom)
		}
		seen[e.Name] = true
	}
	for i, e := range d.EnvFrom {
		field := fmt.Sprintf("spec.database.envFrom[%d]", i)
		if (e.SecretRef == nil) == (e.ConfigMapRef == nil) {
			v.add(field, "needs exactly one of secretRef and configMapRef", "name the Secret or the ConfigMap that holds the variables")
		}
		if s := e.SecretRef; s != nil {
			v.object(field+".secretRef.name", "Secret", s.Name)
		}
		if c := e.ConfigMapRef; c != nil {
			v.object(field+".configMapRef.name", "ConfigMap", c.Name)
		}
	}
}

func (v *validator) valueFrom(field string, from corev1.EnvVarSource) {
	if s := from.SecretKeyRef; s != nil {
		v.object(field+".secretKeyRef.name", "Secret", s.Name)
	}
	if c := from.ConfigMapKeyRef; c != nil {
		v.object(field+".configMapKeyRef.name", "ConfigMap", c.Name)
	}
}

// object refuses a name that no Secret and no ConfigMap can have (Kubernetes, "Object Names and IDs").
func (v *validator) object(field, kind, name string) {
	if name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
		v.add(field, fmt.Sprintf("%q is not the name of a %s", name, kind),
			"use lower-case letters, digits, hyphens and dots, beginning and ending with a letter or digit")
	}
}

func (v *validator) urlFrom(u corev1.EnvVarSource) {
	const field = "spec.database.urlFrom"
	if (u.SecretKeyRef == nil) == (u.ConfigMapKeyRef == nil) || u.FieldRef != nil || u.ResourceFieldRef != nil {
		v.add(field, "needs exactly one of secretKeyRef and configMapKeyRef", "name the Secret and the key that hold the database's URL")
		return
	}
	if s := u.SecretKeyRef; s != nil && (s.Name == "" || s.Key == "") {
		v.add(field+".secretKeyRef", "needs name and key", "name the Secret and the key that hold the database's URL")
	}
	if c := u.ConfigMapKeyRef; c != nil && (c.Name == "" || c.Key == "") {
		v.add(field+".configMapKeyRef", "needs name and key", "name the ConfigMap and the key that hold the database's URL")
	}
}

// Bounds of tenants: a longer name is none of a schema (PostgreSQL, "Identifiers and Key Words"), and all of them are arguments of
// the Job, each with some 15 bytes around it. What that comes to is for Build to judge; see maxJob.
const (
	maxTenant  = 63
	maxTenants = 64 << 10
)

func (v *validator) tenants(t Tenants) {
	const field = "spec.tenants"
	if (strings.TrimSpace(t.Query) == "") == (len(t.Names) == 0) {
		v.add(field, "needs exactly one of query and names", "write the SQL that selects the tenants' names, or list them")
	}
	total := len(t.Query)
	seen := map[string]bool{}
	for i, name := range t.Names {
		at := fmt.Sprintf("%s.names[%d]", field, i)
		switch {
		case name == "":
			v.add(at, "is empty", "name a schema")
		case len(name) > maxTenant:
			v.add(at, fmt.Sprintf("%q has %d bytes, more than a schema's name can have", name, len(name)), fmt.Sprintf("name a schema, with at most %d", maxTenant))
		case strings.ContainsAny(name, "\x00\n"):
			v.add(at, fmt.Sprintf("%q has a line break or a zero byte", name), "name a schema, on one line")
		case seen[name]:
			v.add(at, fmt.Sprintf("%q is there twice", name), "keep one of them")
		}
		seen[name] = true
		total += len(name)
	}
	if total > maxTenants {
		v.add(field, fmt.Sprintf("%d bytes are more than the Job's arguments can carry (%d)", total, maxTenants), "keep the names in a table, and select them with a short query")
	}
	if strings.ContainsRune(t.Query, 0) {
		v.add(field+".query", "has a zero byte", "write SQL")
	}
	if p := t.Parallel; p != nil && *p < 1 {
		v.add(field+".parallel", fmt.Sprintf("%d is less than 1", *p), "say how many tenants may be migrated at once, each on a connection of its own")
	}
}

func (v *validator) policy(p Policy) {
	if d := p.Deadline; d != nil && *d < time.Second {
		v.add("spec.policy.deadline", d.String()+" is less than a second", "give a run the time it needs, as in 30m")
	}
	v.timeout("spec.policy.lockTimeout", p.LockTimeout)
	v.timeout("spec.policy.statementTimeout", p.StatementTimeout)
	if r := p.Retries; r != nil && *r < 0 {
		v.add("spec.policy.retries", fmt.Sprintf("%d is negative", *r), "use 0 for no retry")
	}
	switch p.OutOfOrder {
	case "", "refuse", "apply", "skip":
	default:
		v.add("spec.policy.outOfOrder", fmt.Sprintf("%q is not known", p.OutOfOrder), "use refuse, apply or skip")
	}
}

func (v *validator) timeout(field string, d *time.Duration) {
	if d != nil && *d < 0 {
		v.add(field, d.String()+" is negative", "use 0 for no limit")
	}
}

// guard refuses to ask what needs no asking, and what nobody can answer: what was skipped leaves no trace in the ledger.
func (v *validator) guard(m SchemaMigration) {
	if m.Guard && m.Hook == HookSync {
		v.add("spec.guard", "a migration in the Sync phase is part of every sync, none leaves it out", "leave the guard out")
	}
	if m.Guard && m.Source.Directory != "" && m.Policy.OutOfOrder == "skip" {
		v.add("spec.guard", "cannot tell a migration that outOfOrder skips from one that did not run", "set spec.policy.outOfOrder to refuse or apply, or leave the guard out")
	}
}
