package migrations

import "testing"

func TestRedactOutput(t *testing.T) {
	for name, test := range map[string]struct{ line, want string }{
		"a name stays":                {"Migrating: 2024_01_01_000000_create_orders", "Migrating: 2024_01_01_000000_create_orders"},
		"an apostrophe is no string":  {`it doesn't work: relation "orders" doesn't exist`, `it doesn't work: relation "orders" doesn't exist`},
		"a string":                    {"ERROR near 'hunter2' and 'it''s'", "ERROR near '…' and '…'"},
		"an open string":              {"ERROR near 'hunter2", "ERROR near '…'"},
		"PostgreSQL's detail":         {"DETAIL:  Key (email)=(a@b.c) already exists.", "DETAIL: …"},
		"a failing row":               {"ERROR: x Failing row contains (1, hunter2).", "ERROR: x Failing row contains …"},
		"node-postgres":               {"  detail: 'Key (id)=(7) already exists.',", "  detail: …"},
		"Laravel puts bindings in":    {"SQLSTATE[23505]: Unique violation: 7 ERROR (SQL: insert into users values (a@b.c))", "SQLSTATE[23505]: Unique violation: 7 ERROR (SQL: …"},
		"SQLAlchemy":                  {"[SQL: INSERT INTO users VALUES (hunter2)]", "[SQL: …"},
		"SQLAlchemy's parameters":     {"[parameters: {name: hunter2}]", "[parameters: …"},
		"an SQLSTATE in a label":      {"SQL State  : 42P07", "SQL State  : 42P07"},
		"colours and carriage return": {"\x1b[31;1mERROR\x1b[0m\r", "ERROR"},
		"a title":                     {"\x1b]0;secret\x07done", "done"},
		"not UTF-8":                   {"a\xffb", "a�b"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := RedactOutput(test.line); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
