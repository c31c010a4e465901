package migrations

// NonTransactional returns what the statement is if PostgreSQL refuses it in a transaction block ("CREATE INDEX
// CONCURRENTLY"), and "" if it does not, or if the text alone does not tell: REINDEX and CLUSTER are refused for what is
// partitioned, DROP SUBSCRIPTION for one that has a replication slot. The rule is PreventInTransactionBlock in PostgreSQL's
// tcop/utility.c and the commands it calls, up to PostgreSQL 18. ALTER TYPE … ADD VALUE is not among them since PostgreSQL 12.
func (s Statement) NonTransactional() string {
	r := reader{sql: s.SQL, tokens: s.tokens}
	switch {
	case s.begins("CREATE", "INDEX", "CONCURRENTLY"), s.begins("CREATE", "UNIQUE", "INDEX", "CONCURRENTLY"):
		return "CREATE INDEX CONCURRENTLY"
	case s.begins("DROP", "INDEX", "CONCURRENTLY"):
		return "DROP INDEX CONCURRENTLY"
	case s.begins("VACUUM"):
		return "VACUUM"
	case s.begins("ALTER", "SYSTEM"):
		return "ALTER SYSTEM"
	case s.begins("ALTER", "TABLE") && s.has("DETACH") && s.ends("CONCURRENTLY"):
		return "ALTER TABLE … DETACH PARTITION … CONCURRENTLY"
	case r.take("REINDEX"):
		return r.nonTransactionalReindex()
	case r.take("CLUSTER"):
		return r.nonTransactionalCluster()
	case r.take("ALTER", "DATABASE"):
		if r.name(); r.take("SET", "TABLESPACE") {
			return "ALTER DATABASE … SET TABLESPACE"
		}
	case r.take("CREATE", "SUBSCRIPTION"):
		return r.nonTransactionalSubscription()
	case r.take("ALTER", "SUBSCRIPTION"):
		return r.nonTransactionalAlteration()
	}
	for _, verb := range []string{"CREATE", "DROP"} {
		for _, object := range []string{"DATABASE", "TABLESPACE"} {
			if s.begins(verb, object) {
				return verb + " " + object
			}
		}
	}
	return ""
}

// nonTransactionalReindex reads what follows REINDEX.
func (r *reader) nonTransactionalReindex() string {
	concurrently := r.optionValues().on("concurrently", false)
	for _, object := range []string{"SCHEMA", "DATABASE", "SYSTEM"} {
		if r.take(object) {
			return "REINDEX " + object
		}
	}
	if (r.take("TABLE") || r.take("INDEX")) && (r.take("CONCURRENTLY") || concurrently) {
		return "REINDEX CONCURRENTLY"
	}
	return ""
}

// nonTransactionalCluster reads what follows CLUSTER: without a table it is about all that were clustered before.
func (r *reader) nonTransactionalCluster() string {
	r.optionValues()
	r.take("VERBOSE")
	if len(r.tokens) == 0 {
		return "CLUSTER of all tables"
	}
	return ""
}

// nonTransactionalSubscription reads what follows CREATE SUBSCRIPTION: a replication slot made on the other server could not be
// rolled back.
func (r *reader) nonTransactionalSubscription() string {
	with := r.with()
	if with.on("connect", true) && with.on("create_slot", true) {
		return "CREATE SUBSCRIPTION"
	}
	return ""
}

// nonTransactionalAlteration reads what follows ALTER SUBSCRIPTION.
func (r *reader) nonTransactionalAlteration() string {
	r.name()
	switch {
	case r.take("REFRESH"):
		return "ALTER SUBSCRIPTION … REFRESH"
	case r.take("SET", "PUBLICATION"), r.take("ADD", "PUBLICATION"), r.take("DROP", "PUBLICATION"):
		if r.with().on("refresh", true) {
			return "ALTER SUBSCRIPTION … PUBLICATION"
		}
	case r.take("SET"):
		if set := r.optionValues(); set.has("failover") || set.has("two_phase") { // PostgreSQL 17 and 18: it changes the slot
			return "ALTER SUBSCRIPTION … SET"
		}
	}
	return ""
}

// with moves past everything up to WITH (…), and returns its options.
func (r *reader) with() optionValues {
	r.skipTo("WITH")
	return r.optionValues()
}
