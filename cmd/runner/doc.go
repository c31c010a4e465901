// Package runner holds the commands that both binaries have: what runs inside pods. It links neither Kubernetes nor
// Argo CD.
package runner

import (
	"os"

	"github.com/spf13/cobra"
)

// Commands returns the commands, reading the environment through getenv.
func Commands(getenv func(string) string) []*cobra.Command {
	return []*cobra.Command{newMigrate(getenv), newExec(getenv), newGuard(getenv), newWait(getenv), newInstall(os.Executable)}
}
