package peers_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/schemawave/schemawave/migrations/peers"
)

// The tools that are no Go library are followed by psql, in the order and with the transactions that their documentation
// promises.

// alone finds what no transaction can hold.
var alone = regexp.MustCompile(`(?i)\b(concurrently|vacuum)\b`)

// plainByPsql runs each file in a transaction of its own, in the order of their names.
func plainByPsql(ctx context.Context, url, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, f := range files {
		if err := fileByPsql(ctx, url, f); err != nil {
			return err
		}
	}
	return nil
}

func fileByPsql(ctx context.Context, url, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := peers.Psql(ctx, url, string(text), !alone.Match(text)); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	return nil
}

// Of dbmate, "Migration options" in its README: what is between "-- migrate:up" and "-- migrate:down" is applied, in a
// transaction unless transaction:false says otherwise.
var (
	dbmateUp   = regexp.MustCompile(`(?m)^--\s*migrate:up(.*)$`)
	dbmateDown = regexp.MustCompile(`(?m)^--\s*migrate:down.*$`)
)

func dbmateByPsql(ctx context.Context, url, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		text := string(content)
		if at := dbmateDown.FindStringIndex(text); at != nil {
			text = text[:at[0]]
		}
		up := dbmateUp.FindStringSubmatchIndex(text)
		if up == nil {
			return fmt.Errorf("%s: no -- migrate:up", f)
		}
		transaction := !strings.Contains(text[up[2]:up[3]], "transaction:false")
		if err := peers.Psql(ctx, url, text[up[1]:], transaction); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(f), err)
		}
	}
	return nil
}

// Flyway, "Migrations": versioned ones in the order of their versions, of which dots and underscores divide the parts; then
// the repeatable ones in the order of their descriptions.
func flywayByPsql(ctx context.Context, url, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "V*__*.sql"))
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b string) int { return slices.Compare(flywayVersion(a), flywayVersion(b)) })
	repeatable, err := filepath.Glob(filepath.Join(dir, "R__*.sql"))
	if err != nil {
		return err
	}
	slices.Sort(repeatable)
	for _, f := range slices.Concat(files, repeatable) {
		if err := fileByPsql(ctx, url, f); err != nil {
			return err
		}
	}
	return nil
}

func flywayVersion(file string) []int {
	version, _, _ := strings.Cut(filepath.Base(file)[1:], "__")
	var out []int
	for part := range strings.FieldsFuncSeq(version, func(r rune) bool { return r == '.' || r == '_' }) {
		n, err := strconv.Atoi(part)
		out = append(out, cmp.Or(n, 0))
		if err != nil {
			panic(err)
		}
	}
	return out
}
