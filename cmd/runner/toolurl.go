package runner

import (
	"net/url"
	"slices"
	"strings"
)

// foreignScheme is how tools write what PostgreSQL calls postgres:// — SQLAlchemy with a driver, JDBC, Ecto, django-environ, Laravel.
var foreignScheme = pattern(`^(?:jdbc:postgresql|postgres(?:ql)?\+[a-z0-9]+|ecto|psql|pgsql|postgis)://`)

// clientParameters are parameters of a URL that tools take for themselves and PostgreSQL does not know: Prisma's, Rails', JDBC's,
// SQLAlchemy's, Doctrine's, and libpq's that say nothing to other drivers.
var clientParameters = []string{
	"connection_limit", "pool_timeout", "socket_timeout", "pgbouncer", "sslaccept", "sslidentity", "statement_cache_size",
	"pool", "pool_size", "max_overflow", "prepared_statements", "encoding", "charset", "timeout", "reaping_frequency", "checkout_timeout",
	"ApplicationName", "stringtype", "prepareThreshold", "reWriteBatchedInserts", "socketTimeout", "loginTimeout", "connectTimeout", "tcpKeepAlive",
	"loadBalanceHosts", "hostRecheckSeconds", "loggerLevel", "binaryTransfer", "assumeMinServerVersion",
	"async_fallback", "prepared_statement_cache_size", "serverVersion",
	"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "load_balance_hosts", "fallback_application_name", "sslcompression",
}

// schemaParameters name the schema, which PostgreSQL calls search_path.
var schemaParameters = []string{"schema", "currentSchema"}

// sslMode is what the parameter ssl asks for, which is a switch in JDBC's URLs and a mode in asyncpg's; empty: nothing. Who verifies
// the server in a way of the tool's own says so with sslmode.
func sslMode(ssl string) string {
	switch ssl {
	case "true", "1":
		return "require"
	case "allow", "prefer", "require", "verify-ca", "verify-full":
		return ssl
	}
	return ""
}

// forPostgres returns a DATABASE_URL that was written for a tool as PostgreSQL's own clients read it. What it cannot read it returns
// as it is, to be complained about by who connects.
func forPostgres(databaseURL string) string {
	head, query, found := strings.Cut(foreignScheme().ReplaceAllString(databaseURL, "postgres://"), "?")
	if !found || !strings.HasPrefix(head, "postgres") {
		return head
	}
	ownMode := strings.Contains("&"+query, "&sslmode=")
	var kept []string
	for _, parameter := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(parameter, "=")
		switch {
		case slices.Contains(schemaParameters, name):
			if schema, err := url.QueryUnescape(value); err == nil { // names are quoted, for the tools take them literally
				quoted := url.QueryEscape(`"` + strings.ReplaceAll(schema, `"`, `""`) + `"`)
				kept = append(kept, "search_path="+strings.ReplaceAll(quoted, "+", "%20")) // in libpq's URLs a plus is a plus
			}
		case name == "ssl":
			if mode := sslMode(value); mode != "" && !ownMode {
				kept = append(kept, "sslmode="+mode)
			}
		case name == "targetServerType":
			if value == "primary" || value == "master" {
				kept = append(kept, "target_session_attrs=primary")
			}
		case name == "gssencmode" && value != "require": // it may be done without
		case slices.Contains(clientParameters, name), strings.HasPrefix(name, "x-"): // golang-migrate's
		default:
			kept = append(kept, parameter)
		}
	}
	if len(kept) == 0 {
		return head
	}
	return head + "?" + strings.Join(kept, "&")
}
