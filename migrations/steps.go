package migrations

// Step is one migration of a plan as it would run: in one transaction with its row in the ledger, unless its NoTransaction
// says that each statement is on its own.
type Step struct {
	Migration  Migration
	Statements []PlannedStatement
}

// PlannedStatement is a statement and what it locks. In a transaction, locks are held until its end.
type PlannedStatement struct {
	Statement
	Locks Locks
}

// Steps goes through what the plan would run, in order, and marks the tables that it makes itself. A temporary one is gone when its file
// ends.
func (p Plan) Steps() ([]Step, error) {
	var steps []Step
	made := map[string]bool{}
	for _, pending := range [][]Migration{p.Pending, p.Repeat} {
		for _, m := range pending {
			statements, err := m.Up.Split()
			if err != nil {
				return nil, err
			}
			step, temporary := Step{Migration: m}, map[string]bool{}
			for _, st := range statements {
				locks := st.Locks()
				for i, l := range locks.Tables {
					locks.Tables[i].New = l.Table != "" && (made[foldName(l.Table)] || temporary[foldName(l.Table)])
				}
				switch table, isTemporary := st.makes(); {
				case table == "":
				case isTemporary:
					temporary[foldName(table)] = true
				default:
					made[foldName(table)] = true
				}
				step.Statements = append(step.Statements, PlannedStatement{st, locks})
			}
			steps = append(steps, step)
		}
	}
	return steps, nil
}

// makes returns the table that the statement creates; "" if it creates none for sure. temporary says that the session alone has it.
func (s Statement) makes() (table string, temporary bool) {
	r := &reader{sql: s.SQL, tokens: s.tokens}
	if !r.take("CREATE") {
		return "", false
	}
	r.takeAny("GLOBAL", "LOCAL")
	temporary = r.takeAny("TEMPORARY", "TEMP")
	r.take("UNLOGGED")
	if !r.take("TABLE") && !r.take("MATERIALIZED", "VIEW") && !r.take("VIEW") || r.take("IF", "NOT", "EXISTS") {
		return "", false
	}
	return r.name(), temporary
}
