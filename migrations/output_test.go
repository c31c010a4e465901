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
		"a value of the wrong type":   {`ERROR: invalid input syntax for type integer: "4111-1111"`, "ERROR: invalid input syntax for type integer: …"},
		"a value of no enum":          {`invalid input value for enum mood: "so "so""`, "invalid input value for enum mood: …"},
		"a value out of range":        {`ERROR: value "99999999999" is out of range for type integer (SQLSTATE 22003)`, `ERROR: value " …`},
		"a date out of range":         {`ERROR: date/time field value out of range: "1970-13-01"`, "ERROR: date/time field value out of range: …"},
		"a malformed value":           {`malformed array literal: "{hunter2"`, "malformed array literal: …"},
		"a name beside a value":       {`null value in column "total" violates not-null constraint`, `null value in column "total" violates not-null constraint`},
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
