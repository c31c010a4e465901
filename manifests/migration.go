package manifests

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/migrations"
)

// APIVersion and Kind of the file in which a team declares a migration.
const (
	APIVersion = "schemawave.dev/v1alpha1"
	Kind       = "SchemaMigration"
)

// SchemaMigration is what a team declares: which migrations go to which database, and how. It is the content of a
// SchemaMigration file with its defaults not yet filled in.
type SchemaMigration struct {
	Name          string // metadata.name: the logical database
	Environment   string // spec.environment
	Source        Source
	Database      Database
	Tenants       *Tenants           // whose schemas are migrated; nil: the database has none
	DependsOn     []string           // names of databases of the same overlay, whose Jobs come before, and Targets of others
	Hook          Hook               // the phase of the sync in which the Job runs; empty: HookPreSync
	Wave          *int32             // argocd.argoproj.io/sync-wave of the Job and what it needs; nil: DefaultWave
	Target        migrations.Version // the version to migrate to; empty: the newest
	MinCompatible migrations.Version // overrides what the migrations themselves say; empty: they say it
	Policy        Policy
	Guard         bool            // spec.guard is "job": a sync that skips the hooks is to fail
	Job           json.RawMessage // strategic-merge patch on the rendered Job; nil: none
}

// Database says how the Job reaches the database, as the environment of any container does.
type Database struct {
	URLFrom *corev1.EnvVarSource // becomes DATABASE_URL
	Env     []corev1.EnvVar      // PGHOST and the like
	EnvFrom []corev1.EnvFromSource
}

// Tenants says whose schemas the migrations go to, in place of the one the URL leads to: exactly one of Query and Names.
type Tenants struct {
	Query    string   // SQL that selects their names, at each run
	Names    []string // of schemas
	Parallel *int32   // how many are migrated at once; nil: the runner's default
}

// Policy bounds a run. A nil field is left to the default.
type Policy struct {
	LockTimeout      *time.Duration // how long one statement may wait for a lock, 0 without limit; nil: the runner's default
	StatementTimeout *time.Duration // how long one statement may run, 0 without limit; nil: the runner's default
	Deadline         *time.Duration // how long a run may take in all; nil: DefaultDeadline
	OutOfOrder       string         // refuse, apply or skip; empty: the runner's default
	Retries          *int32         // how often Kubernetes may start another Pod after a transient failure; nil: DefaultRetries
}

// Defaults of a SchemaMigration.
const (
	DefaultWave     int32 = -10              // early, with room for hooks of the team's own before and after
	DefaultDeadline       = 30 * time.Minute // of one run
	DefaultRetries  int32 = 3                // Pods after the first
)

// HookWave returns the sync wave of the Job and of what it needs.
func (m SchemaMigration) HookWave() int32 {
	if m.Wave != nil {
		return *m.Wave
	}
	return DefaultWave
}

// RunDeadline is how long a run may take in all.
func (p Policy) RunDeadline() time.Duration {
	if p.Deadline != nil {
		return *p.Deadline
	}
	return DefaultDeadline
}

func (p Policy) retries() int32 {
	if p.Retries != nil {
		return *p.Retries
	}
	return DefaultRetries
}
