package postgres

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// What PostgreSQL 15.18 says of the same statements in the languages that it quotes in differently (lc_messages).
func TestMessagesOfAnyLanguage(t *testing.T) {
	statements := []struct{ sql, code string }{
		{"SELECT 'hunter2'::int", "22P02"},
		{"SELECT 1 'hunter2'", "42601"},
		{"SELECT to_tsquery('a hunter2')", "42601"},
		{"SELECT 'hunter2'::regrole", "42704"},
		{"SELECT x FROM invoices", "42P01"},
	}
	for language, messages := range map[string][]string{
		"English": {
			`invalid input syntax for type integer: "hunter2"`, `syntax error at or near "'hunter2'"`, `syntax error in tsquery: "a hunter2"`,
			`role "hunter2" does not exist`, `relation "invoices" does not exist`,
		},
		"German": {
			"ungültige Eingabesyntax für Typ integer: »hunter2«", "Syntaxfehler bei »'hunter2'«", "Syntaxfehler in tsquery: »a hunter2«",
			"Rolle »hunter2« existiert nicht", "Relation »invoices« existiert nicht",
		},
		"French": {
			"syntaxe en entrée invalide pour le type integer : « hunter2 »", "erreur de syntaxe sur ou près de « 'hunter2' »",
			"erreur de syntaxe dans tsquery : « a hunter2 »", "le rôle « hunter2 » n'existe pas", "la relation « invoices » n'existe pas",
		},
		"Spanish": {
			"la sintaxis de entrada no es válida para tipo integer: «hunter2»", "error de sintaxis en o cerca de «'hunter2'»",
			"error de sintaxis en tsquery: «a hunter2»", "no existe el rol «hunter2»", "no existe la relación «invoices»",
		},
		"Russian": {
			`неверный синтаксис для типа integer: "hunter2"`, `ошибка синтаксиса (примерное положение: "'hunter2'")`,
			`ошибка синтаксиса в tsquery: "a hunter2"`, `роль "hunter2" не существует`, `отношение "invoices" не существует`,
		},
		"Japanese": {
			`"integer"型の入力構文が不正です: "hunter2"`, `"'hunter2'"またはその近辺で構文エラー`, `tsquery内の構文エラー: "a hunter2"`,
			`ロール"hunter2"は存在しません`, `リレーション"invoices"は存在しません`,
		},
	} {
		for i, s := range statements {
			got := safeMessage(&pgconn.PgError{Code: s.code, Message: messages[i]}, s.sql)
			if strings.Contains(got, "hunter2") || !strings.Contains(got, "…") && s.code != "42P01" {
				t.Errorf("%s: of %s is told: %s", language, s.sql, got)
			}
			if s.code == "42P01" && got != messages[i] {
				t.Errorf("%s: the name is not told: %s, want %s", language, got, messages[i])
			}
		}
	}
}
