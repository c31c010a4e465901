//go:build !linux

package cli

import "os"

// toProcessOne are none: only on Linux are there containers.
func toProcessOne() []os.Signal { return nil }
