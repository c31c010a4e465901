package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/schemawave/schemawave/cmd/lab/progress"
)

// unusedAfter is when a cached binary that no lab has used is removed.
const unusedAfter = 30 * 24 * time.Hour

// Cache is the directory of built binaries. A file is named after the binary and a key over everything that decides its
// content, so a hit needs no further check and checkouts on different branches share it.
type Cache struct {
	Dir       string
	Toolchain Toolchain
}

// UserCache is the cache in the user's cache directory, the only thing of the lab that outlives it.
func UserCache(t Toolchain) (Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return Cache{}, fmt.Errorf("find the cache directory: %w; set HOME or XDG_CACHE_HOME", err)
	}
	return Cache{Dir: filepath.Join(dir, "schemawave", "lab"), Toolchain: t}, nil
}

// Ensure builds what is missing and returns the path of each binary by its name.
func (c Cache) Ensure(ctx context.Context, binaries []Binary, log *progress.Log) (map[string]string, error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the binary cache: %w", err)
	}
	unlock, err := c.lock(log)
	if err != nil {
		return nil, err
	}
	defer unlock()

	paths := map[string]string{}
	var missing []Binary
	for _, b := range binaries {
		path, err := c.path(b)
		if err != nil {
			return nil, err
		}
		paths[b.Name] = path
		now := time.Now()
		if err := os.Chtimes(path, now, now); err != nil {
			missing = append(missing, b)
		}
	}
	for i, b := range missing {
		log.Printf("building %s (%d of %d), %s, once", b.Name, i+1, len(missing), b.Cold)
		partial := paths[b.Name] + ".partial"
		if err := c.Toolchain.build(ctx, b, partial); err != nil {
			return nil, fmt.Errorf("build %s: %w", b.Name, err)
		}
		if err := os.Rename(partial, paths[b.Name]); err != nil {
			return nil, fmt.Errorf("build %s: %w", b.Name, err)
		}
	}
	return paths, c.prune(time.Now())
}

// path is where b is or will be.
func (c Cache) path(b Binary) (string, error) {
	key, err := c.key(b)
	if err != nil {
		return "", err
	}
	return filepath.Join(c.Dir, b.Name+"-"+key), nil
}

// key covers the toolchain, the flags, the source's version and the content of the inputs.
func (c Cache) key(b Binary) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%s\x00%q\x00", c.Toolchain.Version, b.Module, b.Dir, b.Package, flags(b))
	for _, input := range b.Inputs {
		content, err := os.ReadFile(filepath.Join(c.Toolchain.Root, input))
		if err != nil {
			return "", fmt.Errorf("key of %s: %w", b.Name, err)
		}
		fmt.Fprintf(h, "%s\x00%d\x00%s", input, len(content), content)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// lock keeps other lab commands from building the same at the same time; the kernel frees it if this process dies.
func (c Cache) lock(log *progress.Log) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the binary cache: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		log.Printf("waiting for another lab command that builds")
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the binary cache: %w", err)
	}
	return func() { f.Close() }, nil
}

// prune removes binaries that nothing has used for unusedAfter, and builds that were interrupted.
func (c Cache) prune(now time.Time) error {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return fmt.Errorf("prune the binary cache: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.Name() == "lock" {
			continue
		}
		if now.Sub(info.ModTime()) > unusedAfter || strings.HasSuffix(e.Name(), ".partial") {
			if err := os.Remove(filepath.Join(c.Dir, e.Name())); err != nil {
				return fmt.Errorf("prune the binary cache: %w", err)
			}
		}
	}
	return nil
}
