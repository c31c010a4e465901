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

// Steps goes through what the plan would run, in order, and marks the tables that it makes itself.
func (p Plan) Steps() ([]Step, error) {
	var steps []Step
	made := map[string]bool{}
	for _, pending := range [][]Migration{p.Pending, p.Repeat} {
		for _, m := range pending {
			statements, err := m.Up.Split()
			if err != nil {
				return nil, err
			}
			step := Step{Migration: m}
			for _, st := range statements {
				locks := st.Locks()
				for i, l := range locks.Tables {
					locks.Tables[i].New = l.Table != "" && made[foldName(l.Table)]
				}
				if table := st.makes(); table != "" {
					made[foldName(table)] = true
				}
				step.Statements = append(step.Statements, PlannedStatement{st, locks})
			}
			steps = append(steps, step)
		}
	}
	return steps, nil
}

// makes returns the table that the statement creates; "" if it creates none for sure.
func (s Statement) makes() string {
	r := &reader{sql: s.SQL, tokens: s.tokens}
	if !r.take("CREATE") {
		return ""
	}
	for r.takeAny("TEMPORARY", "TEMP", "UNLOGGED", "GLOBAL", "LOCAL") {
	}
	if !r.take("TABLE") && !r.take("MATERIALIZED", "VIEW") && !r.take("VIEW") || r.take("IF", "NOT", "EXISTS") {
		return ""
	}
	return r.name()
}
