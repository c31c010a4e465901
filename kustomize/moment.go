package kustomize

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"

	"github.com/schemawave/schemawave/manifests"
)

// moment is when in a sync an object is applied: phase after phase, and within each wave after wave (Argo CD, "Sync Phases and
// Waves"). A moment begins only when all that was applied before it is healthy, hooks complete.
type moment struct {
	phase phase
	wave  int32
}

type phase int

const (
	preSync phase = iota
	inSync
	afterSync // or never
)

func (p phase) String() string { return [...]string{"PreSync", "Sync", "PostSync"}[p] }

func (m moment) compare(other moment) int {
	return cmp.Or(cmp.Compare(m.phase, other.phase), cmp.Compare(m.wave, other.wave))
}

func (m moment) before(other moment) bool { return m.compare(other) < 0 }

// String is how people say it, "wave -10 of the Sync phase".
func (m moment) String() string { return fmt.Sprintf("wave %d of the %s phase", m.wave, m.phase) }

// momentOf returns when an object of the overlay is first there.
func momentOf(r *resource.Resource) moment {
	annotations := r.GetAnnotations()
	m := moment{phase: inSync}
	if hooks := annotations["argocd.argoproj.io/hook"]; strings.Contains(hooks, "PreSync") {
		m.phase = preSync
	} else if hooks != "" && hooks != "Sync" {
		m.phase = afterSync
	}
	if wave, err := strconv.ParseInt(annotations["argocd.argoproj.io/sync-wave"], 10, 32); err == nil {
		m.wave = int32(wave) // 0 if absent or no number, as for Argo CD
	}
	if m.phase == afterSync {
		m.wave = math.MaxInt32
	}
	return m
}

// moment returns when a migration's Job is applied.
func (d *declaration) moment() moment {
	m := moment{preSync, d.HookWave()}
	if d.Hook == manifests.HookSync {
		m.phase = inSync
	}
	return m
}
