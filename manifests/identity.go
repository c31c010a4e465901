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

	AnnotationVersion       = "schemawave.dev/version"        // newest version of the migration set
	AnnotationDigest        = "schemawave.dev/digest"         // of the migration set, "sha256:…"
	AnnotationMinCompatible = "schemawave.dev/min-compatible" // oldest version whose readers still work; absent: not said

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
)

// MarkerSuffix ends a marker's name, before any nameSuffix of the overlay.
const MarkerSuffix = "-marker"

// maxName bounds an object's base name, so that with a suffix of ours it stays within 52 characters and the names of a
// Job's Pods within the 63 of a DNS label (Kubernetes, "Job").
const maxName = 45

// ObjectName returns the content-addressed name of a migration Job, schema-<database>-<version>-<digest8>: a Job of
// another set of migrations can never be taken for it. A long database name is cut and gets a hash of its own.
func ObjectName(database string, version migrations.Version, digest string) string {
	tail := fmt.Sprintf("-%s-%s", version, digest8(digest))
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
	Database string // cut, where the name was too long
	Version  migrations.Version
	Digest8  string // the first eight hex digits of the set's digest
	Marker   bool
}

var objectName = regexp.MustCompile(`schema-([a-z0-9][-a-z0-9]*?)-([0-9]+(?:\.[0-9]+)*)-([0-9a-f]{8})(-marker)?`)

// ParseName reads the name of a migration Job or marker, as Argo CD's status lists it, past a namePrefix or nameSuffix
// that the overlay put around it. It reports false for every other name.
func ParseName(name string) (Name, bool) {
	m := objectName.FindStringSubmatch(name)
	if m == nil {
		return Name{}, false
	}
	return Name{Database: m[1], Version: migrations.Version(m[2]), Digest8: m[3], Marker: m[4] != ""}, true
}

// Matches reports whether digest, "sha256:…", is the one the name was made from.
func (n Name) Matches(digest string) bool { return n.Digest8 == digest8(digest) }
