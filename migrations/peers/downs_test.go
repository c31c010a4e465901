package peers_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/peers"
)

// downLine is where the SQL that reverts begins, in the layouts that keep both directions in one file.
var downLine = map[migrations.Layout]*regexp.Regexp{
	migrations.LayoutGoose:      regexp.MustCompile(`(?mi)^--\s*\+goose down\s*?\n`),
	migrations.LayoutDbmate:     regexp.MustCompile(`(?m)^--\s*migrate:down.*\n`),
	migrations.LayoutTern:       regexp.MustCompile(`(?m)^---- create above / drop below ----\r?\n`),
	migrations.LayoutSQLMigrate: regexp.MustCompile(`(?m)^-- \+migrate Down.*\n`),
}

// remark is a line that holds nothing but a comment.
var remark = regexp.MustCompile(`(?m)^--.*$`)

// prefix is a version at the beginning of a file's name.
var prefix = regexp.MustCompile(`^[VU]?0*([0-9._]*[0-9])_?`)

// downs returns what reverts each version, by the files alone; only versions that have any SQL there.
func downs(layout migrations.Layout, dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, e := range entries {
		content, err := os.ReadFile(dir + "/" + e.Name())
		if err != nil {
			return nil, err
		}
		text := ""
		switch at := downLine[layout]; {
		case at != nil:
			if i := at.FindStringIndex(string(content)); i != nil {
				text = string(content[i[1]:])
			}
		case strings.HasSuffix(e.Name(), ".down.sql"), strings.HasPrefix(e.Name(), "U"):
			text = string(content)
		}
		version := prefix.FindStringSubmatch(e.Name())
		if strings.TrimSpace(remark.ReplaceAllString(text, "")) != "" && version != nil {
			out[strings.ReplaceAll(version[1], "_", ".")] = text
		}
	}
	return out, nil
}

// revertByPsql runs what reverts the newest versions, each in a transaction.
func revertByPsql(layout migrations.Layout) func(ctx context.Context, url, dir string, n int) error {
	return func(ctx context.Context, url, dir string, n int) error {
		all, err := downs(layout, dir)
		if err != nil {
			return err
		}
		newest := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return migrations.Version(b).Compare(migrations.Version(a)) })
		for _, version := range newest[:n] {
			if err := peers.Psql(ctx, url, all[version], true); err != nil {
				return fmt.Errorf("revert %s: %w", version, err)
			}
		}
		return nil
	}
}
