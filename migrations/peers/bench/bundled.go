package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/peers"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// bundled is where the files of a directory are in one bundle, as a Job with so many of them has it.
func bundled(dir string) string { return dir + "-bundled" }

// bundle puts the files of a directory into one bundle.
func bundle(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return err
	}
	var all []byte
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		all = migrations.AppendToBundle(all, filepath.Base(f), text)
	}
	if err := os.Mkdir(bundled(dir), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bundled(dir), "all"+migrations.BundleSuffix), all, 0o600)
}

// migrateBundled is peers.Schemawave, except that it reads the bundle of the directory.
func migrateBundled(ctx context.Context, url, dir string) error {
	cfg, err := peers.SchemawaveConfig(url)
	if err != nil {
		return err
	}
	_, err = postgres.MigrateLoading(ctx, cfg, func() (migrations.Unchecked, error) {
		return migrations.ReadBundles(migrations.Dir(bundled(dir)), migrations.LayoutAuto)
	})
	return err
}
