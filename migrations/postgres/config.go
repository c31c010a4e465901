// Package postgres applies migrations to PostgreSQL 12 and later, and keeps the ledger of what was applied in the database itself.
//
// A migration and its ledger row commit in one transaction, on the one connection that also holds the lock. Whatever
// happens to the program, the network or the server, the ledger tells afterwards exactly what is applied, and a plain
// second run goes on from there.
//
//	conn, err := postgres.ParseConfig(os.Getenv) // DATABASE_URL, or libpq's variables
//	if err != nil {
//		return err
//	}
//	report, err := postgres.Migrate(ctx, postgres.Config{Conn: conn, Database: "orders"}, set)
package postgres

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
)

// Defaults of Config's zero values.
const (
	DefaultLedgerSchema = "schemawave"
	DefaultLockTimeout  = 2 * time.Second
	DefaultRetries      = 10
	DefaultMinBackoff   = 200 * time.Millisecond
	DefaultMaxBackoff   = 10 * time.Second
)

// NoLimit is a Config.LockTimeout without limit.
const NoLimit time.Duration = -1

// Config says where and how to migrate. Conn and Database are required.
type Config struct {
	Conn        *pgconn.Config // from ParseConfig
	Database    string         // the logical database's name; the ledger belongs to it and refuses any other
	Environment string         // for the report

	LedgerSchema     string                // DefaultLedgerSchema if empty; one lock and one history per schema
	LockTimeout      time.Duration         // how long a statement waits for a lock before it is tried again; DefaultLockTimeout if 0, no limit if negative, as NoLimit is
	StatementTimeout time.Duration         // no limit if 0
	Deadline         time.Duration         // for the whole run, retries and waiting included; no limit but the context's if 0
	OutOfOrder       migrations.OutOfOrder // refuse if empty
	Target           string                // a version, or "latest", or empty for the same
	Retries          int                   // of one statement, or of connecting; DefaultRetries if 0, none if negative
	MinBackoff       time.Duration         // before the first retry, doubled for each further one; DefaultMinBackoff if 0
	MaxBackoff       time.Duration         // DefaultMaxBackoff if 0

	Logger      *slog.Logger // nil discards
	Digest      string       // for the report and the ledger's list of runs, in place of the set's own: of what was rendered, where the files were not seen
	Job, Pod    string       // who runs this, for those who wait and for the ledger; may be empty
	ToolVersion string       // for the ledger

	Tenant string // whose schema, and whose history in the ledger, this is about; the database's own if empty
}

// digestOf is what the report and the list of runs say was to be applied.
func (c Config) digestOf(set migrations.Set) string {
	if c.Digest != "" {
		return c.Digest
	}
	return set.Digest()
}

// withDefaults returns the configuration with every default in place, or an error that says what is missing.
func (c Config) withDefaults() (Config, error) {
	if c.Conn == nil {
		return c, misconfigured("no connection settings", "call ParseConfig")
	}
	if c.Database == "" {
		return c, misconfigured("the logical database has no name", "give it one, as in --database orders")
	}
	if c.LedgerSchema == "" {
		c.LedgerSchema = DefaultLedgerSchema
	}
	if c.Tenant != "" {
		if err := checkTenant(c.Tenant); err != nil {
			return c, err
		}
		if options := strings.ToLower(c.Conn.RuntimeParams["options"]); strings.Contains(strings.ReplaceAll(options, "-", "_"), "search_path") {
			return c, misconfigured("the connection's options set the search_path, in which a tenant's schema comes first",
				"write what comes after it as a parameter of the URL, as in &search_path=app")
		}
	}
	if len(c.LedgerSchema) > 63 || strings.ContainsRune(c.LedgerSchema, 0) {
		return c, misconfigured("the ledger's schema is not a PostgreSQL identifier", "name one of at most 63 bytes")
	}
	switch c.OutOfOrder {
	case "", migrations.OutOfOrderRefuse, migrations.OutOfOrderApply, migrations.OutOfOrderSkip:
	default:
		return c, misconfigured("unknown policy outOfOrder", "use refuse, apply or skip")
	}
	c.LockTimeout = fallback(c.LockTimeout, DefaultLockTimeout)
	c.Retries = fallback(c.Retries, DefaultRetries)
	c.MinBackoff = fallback(c.MinBackoff, DefaultMinBackoff)
	c.MaxBackoff = fallback(c.MaxBackoff, DefaultMaxBackoff)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// fallback returns v, or d if v is zero.
func fallback[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// ParseConfig reads the connection settings: DATABASE_URL if it is set, completed by libpq's PG* variables, else those alone.
// Its errors never repeat the URL.
//
// PG* variables are read with getenv; what it leaves empty falls back to the process's own environment and to libpq's
// files (.pgpass, pg_service.conf).
func ParseConfig(getenv func(string) string) (*pgconn.Config, error) {
	url := getenv("DATABASE_URL")
	settings := url
	if url == "" {
		settings = keywords(getenv)
	}
	if settings == "" {
		return nil, misconfigured("neither DATABASE_URL nor PGHOST is set", "set DATABASE_URL=postgres://user:password@host:5432/database")
	}
	conn, err := pgconn.ParseConfig(settings)
	if err != nil {
		return nil, unreadableSettings(err, url != "")
	}
	conn.DialFunc = dialer().DialContext
	return conn, nil
}

// unreadableSettings explains why the settings were refused, without any part of them: the parser's own texts quote the
// input, and malformed input may have its password anywhere.
func unreadableSettings(err error, fromURL bool) error {
	where := "the PG* variables"
	if fromURL {
		where = "DATABASE_URL"
	}
	why := "cannot be read"
	var pathErr interface{ Timeout() bool }
	if errors.As(err, &pathErr) {
		why = "names a file (certificate, key, service) that cannot be read"
	}
	if cause := errors.Unwrap(err); cause != nil {
		for _, t := range tlsTroubles {
			if strings.HasPrefix(cause.Error(), t.text) {
				return misconfigured(where+" "+t.why, t.hint)
			}
		}
	}
	return misconfigured(where+" "+why, "want postgres://user:password@host:5432/database?sslmode=require; "+
		"special characters of the password are percent-encoded (@ as %40, / as %2F)")
}

// tlsTroubles explain why there is no TLS configuration, by what the driver's error begins with: it has no types for them.
var tlsTroubles = []struct{ text, why, hint string }{
	{"unable to read CA file", "names authorities in a file that cannot be read", "correct sslrootcert, or mount the file and check its permissions"},
	{"unable to add CA", "names authorities in a file that holds no certificate", "give sslrootcert a file of certificates in PEM"},
	{"unable to read sslkey", "names a key in a file that cannot be read", "correct sslkey, or mount the file and check its permissions"},
	{"failed to decode sslkey", "names a key in a file that holds none", "give sslkey a file with a key in PEM"},
	{"unable to read cert", "names a certificate in a file that cannot be read", "correct sslcert, or mount the file and check its permissions"},
	{"unable to load cert", "names a certificate that does not go with its key", "give sslcert and sslkey that belong together, both in PEM"},
	{"unable to find sslpassword", "names a key that is encrypted", "set sslpassword, or use a key that is not encrypted"},
	{"unable to decrypt key", "names a key that its password does not open", "correct sslpassword"},
	{"both \"sslcert\" and \"sslkey\"", "has only one of sslcert and sslkey", "set both, or neither"},
	{"sslmode is invalid", "has an unknown sslmode", "use disable, prefer, require, verify-ca or verify-full"},
}

// keywords translates libpq's variables (PostgreSQL, "Environment Variables" of libpq) into a connection string.
func keywords(getenv func(string) string) string {
	var b strings.Builder
	for _, v := range [][2]string{
		{"PGHOST", "host"}, {"PGPORT", "port"}, {"PGDATABASE", "dbname"}, {"PGUSER", "user"}, {"PGPASSWORD", "password"},
		{"PGPASSFILE", "passfile"}, {"PGSERVICE", "service"}, {"PGSERVICEFILE", "servicefile"},
		{"PGSSLMODE", "sslmode"}, {"PGSSLCERT", "sslcert"}, {"PGSSLKEY", "sslkey"}, {"PGSSLROOTCERT", "sslrootcert"},
		{"PGSSLPASSWORD", "sslpassword"}, {"PGOPTIONS", "options"}, {"PGAPPNAME", "application_name"},
		{"PGCONNECT_TIMEOUT", "connect_timeout"}, {"PGTARGETSESSIONATTRS", "target_session_attrs"},
	} {
		if value := getenv(v[0]); value != "" {
			b.WriteString(v[1] + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "' ")
		}
	}
	return b.String()
}

// keepAlive notices within a minute that the other side is gone although nothing was closed, as when a node dies.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

func dialer() *net.Dialer {
	return &net.Dialer{KeepAliveConfig: keepAlive, Control: limitUnacknowledged}
}
