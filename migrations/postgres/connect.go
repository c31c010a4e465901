package postgres

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	connectTimeout    = 10 * time.Second
	checkInterval     = "client_connection_check_interval"
	undefinedSetting  = "42704"
	applicationName   = "schemawave"
	maxIdentifier     = 63 // NAMEDATALEN-1: longer application names are cut by the server
	idleInTransaction = 30 * time.Second
)

// connect opens the run's connection. The session's settings travel in the startup message: they then are what RESET
// ALL goes back to between migrations.
func connect(ctx context.Context, cfg Config) (*session, error) {
	conn := cfg.Conn.Copy()
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectTimeout
	}
	conn.RuntimeParams = startup(cfg, conn.RuntimeParams)
	pg, err := pgconn.ConnectConfig(ctx, conn)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == undefinedSetting && cfg.Conn.RuntimeParams[checkInterval] == "" {
		delete(conn.RuntimeParams, checkInterval) // PostgreSQL 13 and older do not know it
		pg, err = pgconn.ConnectConfig(ctx, conn)
	}
	if err != nil {
		return nil, connectFailure(ctx, cfg.Conn, err)
	}
	return &session{pg: pg}, nil
}

// startup returns the settings of the session. What the URL says itself is left as it is, except the name.
func startup(cfg Config, given map[string]string) map[string]string {
	params := map[string]string{
		"standard_conforming_strings":         "on", // a file means the same in every database
		"lock_timeout":                        milliseconds(cfg.LockTimeout),
		"statement_timeout":                   milliseconds(cfg.StatementTimeout),
		"idle_in_transaction_session_timeout": milliseconds(idleInTransaction),
		checkInterval:                         "1000", // a dead client's statement ends within a second
		"tcp_keepalives_idle":                 "30",
		"tcp_keepalives_interval":             "10",
		"tcp_keepalives_count":                "3",
		"tcp_user_timeout":                    "60000",
		"client_encoding":                     "UTF8",
	}
	maps.Copy(params, given)
	params["application_name"] = identity(cfg)
	return params
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
