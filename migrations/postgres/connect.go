package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	connectTimeout    = 10 * time.Second
	checkInterval     = "client_connection_check_interval"
	undefinedSetting  = "42704"
	invalidValue      = "22023"
	protocolViolation = "08P01"
	applicationName   = "schemawave"
	maxIdentifier     = 63 // NAMEDATALEN-1: longer application names are cut by the server
	idleInTransaction = 30 * time.Second
)

// connect opens the run's connection. The session's settings travel in the startup message: they then are what RESET
// ALL goes back to between migrations. A pooler may refuse them; behind one they travel with every transaction.
func connect(ctx context.Context, cfg Config) (*session, error) {
	conn := cfg.Conn.Copy()
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectTimeout
	}
	settings := sessionSettings(cfg)
	conn.RuntimeParams = settings
	pg, err := pgconn.ConnectConfig(ctx, conn)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && cannotCheck(refused) && cfg.Conn.RuntimeParams[checkInterval] == "" {
		delete(settings, checkInterval)
		pg, err = pgconn.ConnectConfig(ctx, conn)
	}
	if errors.As(err, &refused) && refusesSettings(refused) {
		conn.RuntimeParams = maps.Clone(settings)
		maps.DeleteFunc(conn.RuntimeParams, func(name, _ string) bool { return !slices.Contains(poolerKeeps, name) })
		pg, err = pgconn.ConnectConfig(ctx, conn)
	}
	if err != nil {
		return nil, connectFailure(ctx, cfg.Conn, err)
	}
	return &session{pg: pg, settings: settings, begin: []string{"BEGIN"}, reset: resetSQL}, nil
}

// cannotCheck reports whether the server cannot check connections while it executes: PostgreSQL 13 and older do not know the setting,
// later ones refuse it on systems that have no means for it, such as Windows (PostgreSQL, "client_connection_check_interval").
func cannotCheck(pe *pgconn.PgError) bool {
	return pe.Code == undefinedSetting || pe.Code == invalidValue && strings.Contains(pe.Message, checkInterval)
}

// refusesSettings reports whether it was a pooler that did not take a setting in the startup message.
func refusesSettings(pe *pgconn.PgError) bool {
	return pe.Code == protocolViolation && strings.Contains(pe.Message, "startup parameter")
}

// sessionSettings returns the settings of the session. What the URL says itself is left as it is, except the name, what decides
// how our own text is read and, for a tenant, that its schema comes first.
func sessionSettings(cfg Config) map[string]string {
	params := map[string]string{
		"lock_timeout":                        milliseconds(cfg.LockTimeout),
		"statement_timeout":                   milliseconds(cfg.StatementTimeout),
		"idle_in_transaction_session_timeout": milliseconds(idleInTransaction),
		checkInterval:                         "1000", // a dead client's statement ends within a second
		"tcp_keepalives_idle":                 "30",
		"tcp_keepalives_interval":             "10",
		"tcp_keepalives_count":                "3",
		"tcp_user_timeout":                    "60000",
	}
	for _, name := range optionNames(cfg.Conn.RuntimeParams["options"]) { // which the server would read first
		delete(params, name)
	}
	maps.Copy(params, cfg.Conn.RuntimeParams)
	params["standard_conforming_strings"], params["client_encoding"] = "on", "UTF8" // a file means the same in every database
	params["application_name"] = identity(cfg)
	if cfg.Tenant != "" {
		params["search_path"] = identifier(cfg.Tenant) + ", " + fallback(params["search_path"], "public")
	}
	return params
}

// optionNames returns the settings that the connection's options name, in lower case. They may be written -c lock_timeout=3s,
// -clock_timeout=3s or --lock-timeout=3s, and in capital letters (PostgreSQL, "postgres", and ParseLongOption of its source).
func optionNames(options string) []string {
	var names []string
	for _, word := range strings.Fields(options) {
		name, _, set := strings.Cut(word, "=")
		if !set {
			continue
		}
		if rest, long := strings.CutPrefix(name, "--"); long {
			name = rest
		} else {
			name = strings.TrimPrefix(name, "-c")
		}
		names = append(names, strings.ToLower(strings.ReplaceAll(name, "-", "_")))
	}
	return names
}

// identity is how the run shows in pg_stat_activity.
func identity(cfg Config) string {
	name := applicationName
	if who := fallback(cfg.Pod, cfg.Job); who != "" {
		name += "/" + who
	}
	return name[:min(len(name), maxIdentifier)]
}

// milliseconds is a duration as a setting; anything below a millisecond but above nothing is one.
func milliseconds(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	return strconv.FormatInt(max(1, d.Milliseconds()), 10)
}

// poolerKeeps are the settings that pgbouncer takes in a startup message and carries from one server session to the next
// (pgbouncer, "track_extra_parameters" and the ones it always tracks).
var poolerKeeps = []string{"application_name", "client_encoding", "standard_conforming_strings"}

// pooledReset is resetSQL for a server session that others use too: what they have prepared stays, and what the pooler
// believes of this client is so again.
const pooledReset = "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;CLOSE ALL;UNLISTEN *;DISCARD TEMP;DISCARD SEQUENCES;" +
	"SET standard_conforming_strings TO on;SET client_encoding TO 'UTF8'"

// throughPooler prepares the session for server sessions that change from one transaction to the next: nothing can be set for
// longer than one.
func (s *session) throughPooler() error {
	s.pooled, s.reset = true, pooledReset
	if s.settings["options"] != "" {
		return misconfigured("the connection goes through a pooler, which does not pass on the URL's options",
			"write them as parameters of their own, as in &search_path=app, or use the database server's own address")
	}
	if major, err := strconv.Atoi(leadingDigits(s.pg.ParameterStatus("server_version"))); err == nil && major < 14 {
		delete(s.settings, checkInterval)
	}
	var set []string
	s.begin = []string{"BEGIN"}
	for _, name := range slices.Sorted(maps.Keys(s.settings)) {
		if slices.Contains(poolerKeeps, name) || strings.HasPrefix(name, "tcp_") { // the pooler has its own TCP settings
			continue
		}
		if of, ok := strings.CutPrefix(name, "default_"); ok && strings.HasPrefix(of, "transaction_") { // a default comes too late for a transaction that has begun
			s.begin = append(s.begin, fmt.Sprintf("SET LOCAL %s TO %s", of, literal(s.settings[name])))
			s.outlasting = append(s.outlasting, name)
			continue
		}
		set = append(set, fmt.Sprintf("pg_catalog.set_config(%s, %s, true)", literal(name), literal(s.settings[name])))
		if name != checkInterval && !strings.HasSuffix(name, "_timeout") {
			s.outlasting = append(s.outlasting, name)
		}
	}
	s.begin = append(s.begin, "SELECT "+strings.Join(set, ", "))
	return nil
}

func leadingDigits(s string) string {
	end := 0
	for end < len(s) && isDigit(s[end]) {
		end++
	}
	return s[:end]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
