package manifests

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/schemawave/schemawave/migrations"
)

// Labels and annotations of every rendered object.
const (
	LabelManagedBy   = "app.kubernetes.io/managed-by" // always ManagedBy
	LabelDatabase    = "schemawave.dev/database"
	LabelEnvironment = "schemawave.dev/environment"
	LabelComponent   = "schemawave.dev/component" // what the object is for, a Component

	AnnotationVersion       = "schemawave.dev/version"        // newest version of the migration set; absent: nobody knows before it has run
	AnnotationDigest        = "schemawave.dev/digest"         // of the migration set, or of the image and what is done with it, "sha256:…"
	AnnotationMinCompatible = "schemawave.dev/min-compatible" // oldest version whose readers still work; absent: not said

	// AnnotationWaitFor is a team's own, on a workload: the schemas without which it is not to start, with commas between them.
	AnnotationWaitFor = "schemawave.dev/wait-for"
	// AnnotationWaitBy is a team's own, beside AnnotationWaitFor: ByInitContainer or BySchedulingGate.
	AnnotationWaitBy = "schemawave.dev/wait-by"

	ManagedBy = "schemawave"
)

// Component is the value of LabelComponent.
type Component string

// The components of one rendered migration.
const (
	ComponentMigration Component = "migration" // the Job
	ComponentSQL       Component = "sql"       // a ConfigMap with SQL files
	ComponentInput     Component = "input"     // a copy of a ConfigMap or Secret the Job refers to
	ComponentMarker    Component = "marker"    // the plain ConfigMap that changes with the digest

	ComponentGuard      Component = "guard"       // in the marker's place, the plain Job that asks whether the migration is there
	ComponentGuardInput Component = "guard-input" // a copy of a ConfigMap or Secret the guard refers to
)

// MarkerSuffix and GuardSuffix end the name of a marker and of a guard, before any nameSuffix of the overlay.
const (
	MarkerSuffix = "-marker"
	GuardSuffix  = "-guard"
)

// maxName bounds an object's base name, so that with a suffix of ours it stays within 52 characters and the names of a
// Job's Pods within the 63 of a DNS label (Kubernetes, "Job").
const maxName = 45

// ObjectName returns the content-addressed name of a migration Job, schema-<database>-<what>-<digest8>: a Job of another set
// of migrations can never be taken for it. A long database name is cut and gets a hash of its own.
//
// What is the version, or the kind of the source, image or tool, where nobody knows the version before the Job has run: with
// nothing in its place, the end of a database's name could be taken for one.
func ObjectName(database, what, digest string) string {
	tail := fmt.Sprintf("-%s-%s", what, digest8(digest))
	room := maxName - len("schema-") - len(tail)
	if len(database) > room {
		sum := sha256.Sum256([]byte(database))
		database = strings.TrimRight(database[:max(1, room-7)], "-") + "-" + hex.EncodeToString(sum[:3])
	}
	return "schema-" + database + tail
}

// digest8 returns the first eight hex digits of a "sha256:…" digest.
func digest8(digest string) string {
	d := strings.TrimPrefix(digest, "sha256:")
	return d[:min(8, len(d))]
}

// Name is what an object's name alone says of it.
type Name struct {
	Database string             // cut, where the name was too long
	Version  migrations.Version // empty if the name does not say it
	Kind     string             // of the source, "image" or "tool", if the name says that in place of a version
	Digest8  string             // the first eight hex digits of the digest
	Marker   bool
	Guard    bool
}

// objectName takes as much as it can for the database, whose name may end like one that goes on: with a number, or the kind of a source.
var objectName = regexp.MustCompile(`schema-([a-z0-9][-a-z0-9]*)-(?:([0-9]+(?:\.[0-9]+)*)|(image|tool))-([0-9a-f]{8})(-marker|-guard)?(?:[^0-9a-z]|$)`)

// ParseName reads the name of a migration Job, marker or guard, as Argo CD's status lists it, past a namePrefix or nameSuffix
// that the overlay put around it: one that begins with a hyphen and has nothing of such a name. It reports false for every other name.
func ParseName(name string) (Name, bool) {
	m := objectName.FindStringSubmatch(name)
	if m == nil {
		return Name{}, false
	}
	return Name{Database: m[1], Version: migrations.Version(m[2]), Kind: m[3], Digest8: m[4], Marker: m[5] == MarkerSuffix, Guard: m[5] == GuardSuffix}, true
}

// What is the part between database and digest; see ObjectName.
func (n Name) What() string { return string(n.Version) + n.Kind }

// Matches reports whether digest, "sha256:…", is the one the name was made from.
func (n Name) Matches(digest string) bool { return n.Digest8 == digest8(digest) }
