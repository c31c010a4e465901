package manifests

import "strconv"

// Hook says in which phase of a sync a migration runs (Argo CD, "Sync Phases and Waves"). The zero value is HookPreSync.
type Hook string

// The phases.
const (
	// HookPreSync makes hooks of the Job and of what it needs: nothing else of the Application is applied before the Job has
	// succeeded. Partial syncs and rollbacks run no hooks.
	HookPreSync Hook = "PreSync"
	// HookSync makes them plain objects in an early wave of the Sync phase: the Job can use what waves before it create, and is
	// part of partial syncs and rollbacks too.
	HookSync Hook = "Sync"
)

// inputAnnotations are those of what the Job needs. It is in the Job's own wave, within which Argo CD applies ConfigMaps and
// Secrets before Jobs, so that no second wave's pause is paid, and applied server-side, for client-side apply fails above 256 KiB,
// where its annotation no longer fits.
//
// For a PreSync hook it is a hook itself, for plain objects do not exist yet then, and deleted only once the operation has
// succeeded: a retry must not take it away from under the Job. In the Sync phase it is pruned last, as the Job is.
func (b *builder) inputAnnotations() []string {
	if b.Migration.Hook == HookSync {
		return []string{
			argoWave, strconv.Itoa(int(b.Migration.HookWave())),
			argoCompareOptions, "IgnoreExtraneous",
			argoSyncOptions, "PruneLast=true,ServerSideApply=true",
		}
	}
	return []string{
		argoHook, "PreSync",
		argoHookDelete, "HookSucceeded",
		argoWave, strconv.Itoa(int(b.Migration.HookWave())),
		argoSyncOptions, "ServerSideApply=true",
	}
}

// jobAnnotations are those of the Job. As a hook it is made anew by each sync. As a plain object it is replaced by force, for a Job
// that has failed, or that changed under the same name, cannot be patched; and it is pruned last, for otherwise the old one would be
// gone even if the new one fails.
func (b *builder) jobAnnotations() []string {
	if b.Migration.Hook == HookSync {
		return []string{
			argoWave, strconv.Itoa(int(b.Migration.HookWave())),
			argoCompareOptions, "IgnoreExtraneous",
			argoSyncOptions, "Force=true,PruneLast=true,Replace=true",
		}
	}
	return []string{
		argoHook, "PreSync",
		argoHookDelete, "BeforeHookCreation",
		argoWave, strconv.Itoa(int(b.Migration.HookWave())),
	}
}
