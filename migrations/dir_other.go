//go:build !linux

package migrations

import "errors"

// files is for Linux only.
func (directory) files() (read, func(), error) { return nil, nil, errors.ErrUnsupported }
