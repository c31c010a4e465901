package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/schemawave/schemawave/migrations"
)

// Source is a migration that can be written out in every layout.
type Source struct {
	Name          string
	Up, Down      []string // statements without their last semicolon; Down may be empty
	NoTransaction bool     // then Up is one statement: golang-migrate knows no other way
}

// Write puts the files of the sources, versions from first on, into dir.
func Write(dir string, layout migrations.Layout, first int, sources []Source) error {
	write, ok := map[migrations.Layout]func(int, Source) map[string]string{
		migrations.LayoutPlain:         plain,
		migrations.LayoutGolangMigrate: golangMigrate,
		migrations.LayoutGoose:         goosed,
		migrations.LayoutDbmate:        dbmate,
		migrations.LayoutTern:          tern,
		migrations.LayoutSQLMigrate:    sqlMigrate,
		migrations.LayoutFlyway:        flyway,
	}[layout]
	if !ok {
		return fmt.Errorf("write migrations: no such layout: %q", layout)
	}
	for i, s := range sources {
		for name, text := range write(first+i, s) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func plain(version int, s Source) map[string]string {
	return map[string]string{fmt.Sprintf("%04d_%s.sql", version, s.Name): script(s.Up)}
}

func golangMigrate(version int, s Source) map[string]string {
	base := fmt.Sprintf("%06d_%s", version, s.Name)
	files := map[string]string{base + ".up.sql": script(s.Up)}
	if len(s.Down) > 0 {
		files[base+".down.sql"] = script(s.Down)
	}
	return files
}

func goosed(version int, s Source) map[string]string {
	text := ""
	if s.NoTransaction {
		text = "-- +goose NO TRANSACTION\n"
	}
	text += "-- +goose Up\n" + marked("-- +goose ", s.Up)
	if len(s.Down) > 0 {
		text += "\n-- +goose Down\n" + marked("-- +goose ", s.Down)
	}
	return map[string]string{fmt.Sprintf("%05d_%s.sql", version, s.Name): text}
}

func sqlMigrate(version int, s Source) map[string]string {
	option := ""
	if s.NoTransaction {
		option = " notransaction"
	}
	text := "\n-- +migrate Up" + option + "\n" + marked("-- +migrate ", s.Up)
	if len(s.Down) > 0 {
		text += "\n-- +migrate Down" + option + "\n" + marked("-- +migrate ", s.Down)
	}
	return map[string]string{fmt.Sprintf("%04d-%s.sql", version, s.Name): text}
}

func dbmate(version int, s Source) map[string]string {
	option := ""
	if s.NoTransaction {
		option = " transaction:false"
	}
	text := "-- migrate:up" + option + "\n" + script(s.Up) + "\n-- migrate:down" + option + "\n" + script(s.Down)
	return map[string]string{fmt.Sprintf("20240501%06d_%s.sql", version, s.Name): text}
}

func tern(version int, s Source) map[string]string {
	text := ""
	if s.NoTransaction {
		text = "---- tern: disable-tx ----\n"
	}
	text += "-- Write your migrate up statements here\n\n" + script(s.Up)
	if len(s.Down) > 0 {
		text += "\n---- create above / drop below ----\n\n" + script(s.Down)
	}
	return map[string]string{fmt.Sprintf("%03d_%s.sql", version, s.Name): text}
}

func flyway(version int, s Source) map[string]string {
	files := map[string]string{fmt.Sprintf("V%d__%s.sql", version, s.Name): script(s.Up)}
	if len(s.Down) > 0 {
		files[fmt.Sprintf("U%d__%s.sql", version, s.Name)] = script(s.Down)
	}
	return files
}

func script(statements []string) string {
	var b strings.Builder
	for _, st := range statements {
		b.WriteString(st + ";\n")
	}
	return b.String()
}

// marked encloses each statement that holds a semicolon, for tools that would end it there.
func marked(prefix string, statements []string) string {
	var b strings.Builder
	for _, st := range statements {
		if strings.Contains(st, ";") {
			b.WriteString(prefix + "StatementBegin\n" + st + ";\n" + prefix + "StatementEnd\n")
			continue
		}
		b.WriteString(st + ";\n")
	}
	return b.String()
}
