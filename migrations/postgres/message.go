package postgres

import (
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

var quoted = regexp.MustCompile(`"(?:[^"]|"")*"`)

// safeMessage returns the server's message without values of the data or literals of sql, the statement it is about. The
// server quotes names and values alike, so a quoted part stays only where it is a name:
//
//   - errors in data (class 22) quote values, which may hold quotes themselves: everything from the first quote on goes;
//   - a syntax error quotes the token it stopped at, which may be a string;
//   - errors about objects (class 42) quote names, unless sql gave the name as a string ('x'::regclass);
//   - what a migration itself raises (class P0) was written to be read, and stays;
//   - elsewhere a quoted part stays if the server says that it is a name, or sql uses it as one.
func safeMessage(pe *pgconn.PgError, sql string) string {
	msg := pe.Message
	keep := func(part string) bool { return isName(part, pe, sql) }
	switch class := pe.Code[:min(2, len(pe.Code))]; {
	case class == "P0":
		return msg
	case class == "22":
		if i := strings.IndexByte(msg, '"'); i >= 0 {
			return msg[:i] + "…"
		}
		return msg
	case pe.Code == "42601":
		const near = ` at or near "`
		i := strings.Index(msg, near)
		if i < 0 {
			return msg
		}
		part := strings.TrimSuffix(msg[i+len(near):], `"`)
		if len(part) > 1 && !migrations.HasName(sql, part) {
			part = "…"
		}
		return msg[:i] + near + part + `"`
	case class == "42":
		keep = func(part string) bool { return isName(part, pe, sql) || !migrations.HasLiteral(sql, part) }
	}
	return quoted.ReplaceAllStringFunc(msg, func(q string) string {
		if keep(strings.Trim(q, `"`)) {
			return q
		}
		return `"…"`
	})
}

// isName reports whether a quoted part is the name of something.
func isName(part string, pe *pgconn.PgError, sql string) bool {
	switch part {
	case "":
		return false
	case pe.SchemaName, pe.TableName, pe.ColumnName, pe.DataTypeName, pe.ConstraintName:
		return true
	}
	return migrations.HasName(sql, part)
}
