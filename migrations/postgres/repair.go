package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/schemawave/schemawave/migrations"
)

// Repaired is a row of the ledger that was brought in line with its file.
type Repaired struct {
	Version migrations.Version `json:"version"`
	File    string             `json:"file,omitempty"` // empty if it has none; then only the digest was wrong
	What    []string           `json:"changed"`        // "checksum", "name", "min_compatible", "down" or "digest"
}

// Repair takes over what the files say now of the migrations that are applied: their checksums, names, minCompatible and
// the scripts that revert them, and with them the digests of the history. It returns the rows that were changed, in the
// order of application; those of which nothing but the digest changes because an earlier one did are left out.
//
// No migration is run: the caller knows that the schema is what the files, as they are now, would have made. Rows without a
// file stay as they are, and so does a down script that the file does not have any more. Repeatable migrations need no
// repair: a change of theirs is a reason to run them.
func Repair(ctx context.Context, cfg Config, set migrations.Set) ([]Repaired, error) {
	var out []Repaired
	err := operate(ctx, cfg, func(ctx context.Context, r *runner, s *session, st state) (func(context.Context) error, error) {
		out = nil
		if !st.exists {
			return nil, nil
		}
		history, err := r.ledger.chain(ctx, s)
		if err != nil {
			return nil, err
		}
		repaired, statements := r.ledger.repairs(set, history)
		if len(statements) == 0 {
			return nil, nil
		}
		out = repaired
		return func(ctx context.Context) error { return r.write(ctx, s, statements...) }, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// repairs compares the history with the files.
func (l ledger) repairs(set migrations.Set, history []Record) (repaired []Repaired, statements []string) {
	var digests, before migrations.Digester // as they should be, and as the recorded checksums give them
	for _, record := range history {
		before.Add(record.Version, record.Checksum)
		fixed, file := record, ""
		if m, ok := fileOf(set, record.Version); ok {
			file = m.Up.Path
			fixed.Name, fixed.Checksum, fixed.MinCompatible = m.Name, m.Checksum, m.MinCompatible
			if m.Down != nil {
				fixed.Down = m.Down.SQL
			}
		}
		digests.Add(record.Version, fixed.Checksum)
		fixed.Digest = digests.Sum()
		if fixed == record {
			continue
		}
		statements = append(statements, fmt.Sprintf("UPDATE %s SET name = %s, checksum = %s, min_compatible = %s, digest = %s, down = nullif(%s, '') WHERE %s", l.table("migration"),
			literal(fixed.Name), literal(fixed.Checksum), literal(string(fixed.MinCompatible)), literal(fixed.Digest), literal(fixed.Down),
			l.mine(" AND version = %s", literal(string(record.Version)))))
		if what := differences(record, fixed, before.Sum()); len(what) > 0 {
			repaired = append(repaired, Repaired{record.Version, file, what})
		}
	}
	return repaired, statements
}

// differences names what changes in a row; the digest only where it was not that of the row's own history.
func differences(record, fixed Record, digest string) []string {
	var what []string
	for _, d := range []struct {
		name    string
		differs bool
	}{
		{"checksum", record.Checksum != fixed.Checksum},
		{"name", record.Name != fixed.Name},
		{"min_compatible", record.MinCompatible != fixed.MinCompatible},
		{"down", strings.TrimSpace(record.Down) != strings.TrimSpace(fixed.Down)},
		{"digest", record.Digest != digest},
	} {
		if d.differs {
			what = append(what, d.name)
		}
	}
	return what
}
