//go:build !unix

package migrations

import "os"

// slurp reads a file.
func slurp(_ []byte, path string) ([]byte, error) { return os.ReadFile(path) }
