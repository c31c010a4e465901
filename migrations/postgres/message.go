package postgres

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

// quoted is what the server puts in quotes, in any of the languages that it speaks (lc_messages).
var quoted = regexp.MustCompile(`"(?:[^"]|"")*"|»[^«]*«|«[^»]*»`)

const quotes = `"»«`

// safeMessage returns the server's message without values of the data or literals of sql, the statement it is about. The
// server quotes names and values alike, so a quoted part stays only where it is a name:
//
//   - errors in data (class 22) tell values, in quotes and after a colon, which may hold quotes themselves: everything from the
//     first of them on goes;
//   - a syntax error quotes the token it stopped at, which may be a string, of the statement or of what is data to it (a tsquery,
//     the connection of a subscription): everything between the first quote and the last goes, unless sql uses it as a name;
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
		if at := valueIn(msg); at >= 0 {
			return msg[:at] + "…"
		}
		return msg
	case pe.Code == "42601":
		first, last := strings.IndexAny(msg, quotes), strings.LastIndexAny(msg, quotes)
		if first < 0 {
			return msg
		}
		_, width := utf8.DecodeRuneInString(msg[first:])
		part := msg[min(first+width, last):last]
		if utf8.RuneCountInString(part) > 1 && !migrations.HasName(sql, part) {
			part = "…"
		}
		return msg[:first+width] + part + msg[max(first+width, last):]
	case class == "42":
		keep = func(part string) bool { return isName(part, pe, sql) || !migrations.HasLiteral(sql, part) }
	}
	return quoted.ReplaceAllStringFunc(msg, func(q string) string {
		if keep(strings.Trim(q, quotes+"\u00a0 ")) {
			return q
		}
		return `"…"`
	})
}

// valueIn returns where the message of an error in data begins to tell values; negative if it does not.
func valueIn(msg string) int {
	for i, c := range msg {
		if strings.ContainsRune(quotes, c) {
			return i
		}
		if rest, colon := strings.CutPrefix(msg[i:], ": "); colon && leadingDigits(strings.TrimLeft(rest, "+-")) != "" {
			return i + len(": ")
		}
	}
	return -1
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
