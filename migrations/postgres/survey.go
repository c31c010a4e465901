package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// Standing is where a tenant stands, as the ledger tells.
type Standing struct {
	Version    migrations.Version  // newest applied; empty: none is
	Applied    int                 // how many versions are
	AppliedAt  time.Time           // when the last of them was; zero if none is
	Unfinished []string            // IDs of migrations that are half applied
	FailedAt   time.Time           // when the last run that is in the ledger ended, if it failed
	Failure    *migrations.Failure // why it failed
}

// TenantPreview is what a run would do for a tenant, and where the tenant stands.
type TenantPreview struct {
	Preview
	Standing Standing
}

// StatusTenants tells where each tenant stands, in the order of their names, and on one connection, however many they are. It
// neither writes nor locks anything. A tenant without history has a zero Standing; one whose schema is not there, or whose
// history belongs to another database, fails, and holds up no other.
func StatusTenants(ctx context.Context, cfg Config, t Tenants) ([]PerTenant[Standing], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var out []PerTenant[Standing]
	err = t.find(ctx, cfg, func(s *session, names []string) (err error) {
		out, _, err = survey(ctx, cfg, s, names)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, failures(out)
}

// PreviewTenants tells of each tenant what PreviewMigrate tells of a database, as StatusTenants does. One that is half reverted,
// or half applied where that would be passed over, fails, too, for Migrate refuses it.
func PreviewTenants(ctx context.Context, cfg Config, set migrations.Set, t Tenants) ([]PerTenant[TenantPreview], error) {
	set, err := set.Upto(cfg.Target)
	if err != nil {
		return nil, err
	}
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	var out []PerTenant[TenantPreview]
	err = t.find(ctx, cfg, func(s *session, names []string) error {
		standings, states, err := survey(ctx, cfg, s, names)
		if err != nil {
			return err
		}
		l := ledger{schema: cfg.LedgerSchema}
		done, err := l.current(ctx, s, cfg.Database, set)
		if err != nil {
			return err
		}
		histories, err := l.histories(ctx, s, slices.DeleteFunc(names, func(name string) bool { return done[name] }))
		for _, st := range standings {
			p := PerTenant[TenantPreview]{Tenant: st.Tenant, Result: TenantPreview{Standing: st.Result}, Err: st.Err}
			if p.Err == nil {
				p.Err = states[st.Tenant].nothingHalfReverted(l)
			}
			switch {
			case p.Err != nil:
			case done[st.Tenant]:
				p.Result.Plan = migrations.Plan{From: set.Latest(), MinCompatible: set.MinCompatible()}
			default:
				p.Result.Plan, p.Err = set.Plan(histories[st.Tenant], migrations.Policy{OutOfOrder: cfg.OutOfOrder})
				if p.Err == nil {
					p.Err = states[st.Tenant].nothingPassedOver(l, set, p.Result.Plan, histories[st.Tenant])
				}
				p.Result.Unfinished = st.Result.Unfinished
			}
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, failures(out)
}

// failures is the error of those that failed.
func failures[T any](all []PerTenant[T]) error {
	names, errs := make([]string, len(all)), make([]error, len(all))
	for i, one := range all {
		names[i], errs[i] = one.Tenant, one.Err
	}
	return failedAmong(names, errs)
}

// survey reads where the tenants stand, and what of the ledger's state decides whether they can be migrated. One question follows
// another, for a pooler may be in between.
func survey(ctx context.Context, cfg Config, s *session, names []string) ([]PerTenant[Standing], map[string]state, error) {
	l := ledger{schema: cfg.LedgerSchema}
	schemas, err := s.ask(ctx, "SELECT nspname FROM pg_catalog.pg_namespace")
	if err != nil {
		return nil, nil, err
	}
	rows, err := s.ask(ctx, l.ifThere(l.surveySQL()))
	if err != nil {
		return nil, nil, err
	}
	states := map[string]state{}
	for _, schema := range column(schemas) {
		states[schema] = state{tenantSchema: true}
	}
	standings := map[string]Standing{}
	for _, row := range rows {
		st := states[string(row[0])]
		st.exists, st.database, st.format = true, string(row[1]), string(row[2])
		if err := st.parseMidway(row[3]); err != nil {
			return nil, nil, err
		}
		states[string(row[0])] = st
		if standings[string(row[0])], err = parseStanding(row[4:]); err != nil {
			return nil, nil, err
		}
	}
	out := make([]PerTenant[Standing], len(names))
	for i, name := range names {
		out[i] = PerTenant[Standing]{Tenant: name, Result: standings[name], Err: states[name].check(cfg.Database, ledger{cfg.LedgerSchema, name})}
	}
	return out, states, nil
}

// surveySQL asks for a row for each tenant in the ledger. Versions are compared as Version.Compare does.
func (l ledger) surveySQL() string {
	return fmt.Sprintf(`SELECT root.tenant, root.name, root.checksum, (SELECT json_agg(DISTINCT s.migration) %[5]s), coalesce(m.newest, ''), coalesce(m.applied, 0), coalesce(m.at, 0),
coalesce(s.unfinished, '[]'), coalesce(r.at, 0), coalesce(r.error, 'null')
FROM %[1]s root
LEFT JOIN (SELECT tenant, (array_agg(version ORDER BY pg_catalog.string_to_array(version, '.')::numeric[] DESC))[1] AS newest, count(*) AS applied,
	(extract(epoch FROM max(applied_at)) * 1000000)::bigint AS at FROM %[1]s WHERE version <> '' GROUP BY tenant) m ON m.tenant = root.tenant
LEFT JOIN (SELECT tenant, json_agg(DISTINCT migration) AS unfinished FROM %[2]s GROUP BY tenant) s ON s.tenant = root.tenant
LEFT JOIN (SELECT DISTINCT ON (tenant) tenant, outcome, error, (extract(epoch FROM finished) * 1000000)::bigint AS at
	FROM %[3]s WHERE outcome IS NOT NULL ORDER BY tenant, started DESC) r ON r.tenant = root.tenant AND r.outcome = %[4]s
WHERE root.version = '' AND root.tenant <> ''`, l.table("migration"), l.table("statement"), l.table("run"), literal(string(migrations.OutcomeFailed)), l.midwayOf("root"))
}

// parseStanding reads the columns of surveySQL from the newest version on.
func parseStanding(row [][]byte) (Standing, error) {
	st := Standing{Version: migrations.Version(row[0]), AppliedAt: micros(row[2]), FailedAt: micros(row[4])}
	st.Applied, _ = strconv.Atoi(string(row[1])) // a bigint, by the query
	if err := json.Unmarshal(row[3], &st.Unfinished); err != nil {
		return st, fmt.Errorf("read the ledger: unfinished migrations: %w", err)
	}
	if err := json.Unmarshal(row[5], &st.Failure); err != nil {
		return st, fmt.Errorf("read the ledger: the last failure: %w", err)
	}
	return st, nil
}

// micros is a time that the query gave in microseconds; zero where there is none.
func micros(column []byte) time.Time {
	n, _ := strconv.ParseInt(string(column), 10, 64) // a bigint, by the query
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// histories reads what is applied to tenants, by their names, in the form that plans are made from.
func (l ledger) histories(ctx context.Context, s *session, tenants []string) (map[string][]migrations.Applied, error) {
	if len(tenants) == 0 {
		return nil, nil
	}
	values := make([]string, len(tenants))
	for i, name := range tenants {
		values[i] = literal(name)
	}
	list := strings.Join(values, ", ")
	rows, err := s.ask(ctx, l.ifThere(fmt.Sprintf(`SELECT tenant, version, name, checksum, min_compatible FROM %s WHERE version <> '' AND tenant IN (%s)
UNION ALL SELECT tenant, '', name, checksum, '' FROM %s WHERE tenant IN (%[2]s)`, l.table("migration"), list, l.table("repeatable"))))
	if err != nil {
		return nil, err
	}
	out := map[string][]migrations.Applied{}
	for _, row := range rows {
		tenant := string(row[0])
		out[tenant] = append(out[tenant], migrations.Applied{Version: migrations.Version(row[1]), Name: string(row[2]),
			Checksum: string(row[3]), MinCompatible: migrations.Version(row[4])})
	}
	for _, history := range out {
		slices.SortStableFunc(history, func(a, b migrations.Applied) int { return a.Version.Compare(b.Version) })
	}
	return out, nil
}
