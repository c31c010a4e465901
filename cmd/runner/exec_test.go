package runner

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// unsafeTool is a tool of the kind that has no lock of its own: between looking what is applied and applying it there is time
// for another to do the same.
const unsafeTool = `
sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$DATABASE_URL" -c "$1"; }
sql 'CREATE TABLE IF NOT EXISTS migrations (id serial PRIMARY KEY, migration varchar(255) NOT NULL, batch int NOT NULL)' || exit 1
for m in 2024_01_01_000000_create_orders 2024_02_01_000000_create_customers 2024_03_01_000000_create_invoices; do
	test "$(sql "SELECT count(*) FROM migrations WHERE migration = '$m'")" = 0 || continue
	sql "SELECT pg_sleep(0.02)" >/dev/null
	sql "CREATE TABLE ${m#2024_??_??_000000_} (id int)" || exit 1
	sql "INSERT INTO migrations (migration, batch) VALUES ('$m', 1)" || exit 1
	echo "Migrated: $m"
done
`

// execArgs are the arguments of exec for a shell script as the tool.
func execArgs(script string, flags ...string) []string {
	return append(append([]string{"exec", "--history", "laravel", "--database", "orders", "--environment", "test"}, flags...), "--", "sh", "-c", script)
}

// ended runs a program and returns its exit code and its output.
func ended(t *testing.T, c *exec.Cmd) (code migrations.ExitCode, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	err := c.Run()
	if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	return migrations.ExitCode(c.ProcessState.ExitCode()), out.String(), errOut.String()
}

// reported reads the report of a run that wrote it to path.
func reported(t *testing.T, path string) migrations.Report {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := migrations.DecodeReport(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTenToolsAtOnce(t *testing.T) {
	url := freshURL(t)
	var all sync.WaitGroup
	reports := make([]string, 10)
	for i := range reports {
		reports[i] = filepath.Join(t.TempDir(), "report.json")
		c := program(t, url, execArgs(unsafeTool, "--report", reports[i])...)
		all.Go(func() {
			if code, _, stderr := ended(t, c); code != migrations.ExitDone {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
	all.Wait()
	outcomes := map[migrations.Outcome]int{}
	for _, path := range reports {
		r := reported(t, path)
		outcomes[r.Outcome]++
		if r.To != "20240301000000" || r.Tool == nil || r.Tool.To != "2024_03_01_000000_create_invoices" || r.Tool.Status == nil || *r.Tool.Status != 0 {
			t.Errorf("%+v, tool %+v", r, r.Tool)
		}
		if r.Outcome == migrations.OutcomeSucceeded && (r.From != "" || r.Count != 3 || len(r.Applied) != 3 || !r.Tool.Changed) {
			t.Errorf("%+v, tool %+v", r, r.Tool)
		}
	}
	if outcomes[migrations.OutcomeSucceeded] != 1 || outcomes[migrations.OutcomeCurrent] != 9 {
		t.Errorf("outcomes: %v", outcomes)
	}
	if got := query(t, url, "SELECT count(*), count(DISTINCT migration) FROM migrations"); got[0] != "3|3" {
		t.Errorf("applied: %v", got)
	}
	if got := query(t, url, "SELECT outcome, count(*) FROM schemawave.run WHERE pod = 'pod-1' GROUP BY outcome ORDER BY outcome"); strings.Join(got, " ") != "current|9 succeeded|1" {
		t.Errorf("recorded runs: %v", got)
	}
}

// Without the lock the same tool is not safe, or the race above would prove nothing.
func TestTheToolIsUnsafeByItself(t *testing.T) {
	url := freshURL(t)
	var all sync.WaitGroup
	failed := make([]bool, 10)
	for i := range failed {
		c := exec.CommandContext(t.Context(), "sh", "-c", unsafeTool)
		c.Env = append(os.Environ(), "DATABASE_URL="+url)
		all.Go(func() { failed[i] = c.Run() != nil })
	}
	all.Wait()
	for _, f := range failed {
		if f {
			return
		}
	}
	t.Error("ten at once have all succeeded")
}

// waitingTool tells its process id and waits in the server.
const waitingTool = `echo $$ >&2; exec psql -X -q "$DATABASE_URL" -c 'CREATE TABLE half (v int)' -c 'INSERT INTO half SELECT 1 FROM pg_sleep(600)'`

const toolWaits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"

// startWaiting starts a runner whose tool waits, and returns when it does. The pipe closes when runner and tool are gone.
func startWaiting(t *testing.T, url string, flags ...string) (c *exec.Cmd, output *bytes.Buffer) {
	t.Helper()
	c, output = program(t, url, execArgs(waitingTool, flags...)...), &bytes.Buffer{}
	c.Stderr = output
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() }) //nolint:errcheck // it may have ended
	eventually(t, url, toolWaits, "1")
	return c, output
}

// toolPID finds the tool's process id in the output of a runner that has ended.
func toolPID(t *testing.T, output *bytes.Buffer) int {
	t.Helper()
	for line := range strings.Lines(output.String()) {
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			return pid
		}
	}
	t.Fatalf("no process id in %q", output)
	return 0
}

func TestAKilledRunnerTakesItsToolAlong(t *testing.T) {
	url := freshURL(t)
	c, output := startWaiting(t, url)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.Wait() //nolint:errcheck // killed
	eventually(t, url, toolWaits, "0")
	pid := toolPID(t, output)
	for syscall.Kill(pid, 0) == nil && !zombie(pid) {
		if t.Context().Err() != nil {
			t.Fatalf("the tool, process %d, outlives its runner", pid)
		}
	}
	query(t, url, "DROP TABLE half")
	if code, _, stderr := ended(t, program(t, url, execArgs(unsafeTool, "--deadline", "1m")...)); code != migrations.ExitDone {
		t.Errorf("the next one: exit code %d: %s", code, stderr)
	}
}

// zombie reports whether a process has ended and nobody has taken leave of it, as in a container without an init.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && bytes.Contains(stat, []byte(") Z "))
}

func TestSignalsReachTheTool(t *testing.T) {
	for name, test := range map[string]struct {
		signal syscall.Signal
		trap   string
		attr   *syscall.SysProcAttr
	}{
		"SIGTERM":                        {syscall.SIGTERM, "TERM", nil},
		"SIGINT":                         {syscall.SIGINT, "INT", nil},
		"SIGHUP":                         {syscall.SIGHUP, "TERM", nil},
		"SIGQUIT, as php-fpm is stopped": {syscall.SIGQUIT, "TERM", nil},
		"SIGWINCH, as Apache is stopped": {syscall.SIGWINCH, "TERM", asProcessOne()},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			report := filepath.Join(t.TempDir(), "report.json")
			c := program(t, url, execArgs(`trap 'echo got it; exit 0' `+test.trap+`; psql -X -q "$DATABASE_URL" -c 'SELECT pg_sleep(600)' 2>/dev/null & wait`, "--report", report)...)
			var stdout bytes.Buffer
			c.Stdout, c.SysProcAttr = &stdout, test.attr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, url, toolWaits, "1")
			if err := c.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			defer time.AfterFunc(20*time.Second, func() { c.Process.Kill() }).Stop() //nolint:errcheck // it may have ended
			c.Wait()                                                                 //nolint:errcheck // the code is looked at
			if got := c.ProcessState.ExitCode(); got != int(migrations.ExitBusy) || stdout.String() != "got it\n" {
				t.Errorf("exit code %d, output %q", got, stdout.String())
			}
			r := reported(t, report)
			if r.Outcome != migrations.OutcomeFailed || r.Failure == nil || r.Failure.Code != migrations.ExitBusy || r.Failure.Permanent || r.Failure.Output != "got it" {
				t.Errorf("%+v, failure %+v", r, r.Failure)
			}
			eventually(t, url, toolWaits, "0")
			if got := query(t, url, "SELECT outcome, error->>'output' FROM schemawave.run"); len(got) != 1 || got[0] != "failed|got it" {
				t.Errorf("recorded: %v", got)
			}
		})
	}
}

func TestALostLockStopsTheTool(t *testing.T) {
	url := freshURL(t)
	report := filepath.Join(t.TempDir(), "report.json")
	c, _ := startWaiting(t, url, "--report", report)
	query(t, url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'schemawave/pod-1'")
	c.Wait() //nolint:errcheck // the code is looked at
	if got := c.ProcessState.ExitCode(); got != int(migrations.ExitUnreachable) {
		t.Errorf("exit code %d", got)
	}
	if r := reported(t, report); r.Failure == nil || !strings.Contains(r.Failure.Message, "the migration lock") {
		t.Errorf("%+v", r.Failure)
	}
	eventually(t, url, toolWaits, "0")
}

func TestTheDeadlineStopsTheTool(t *testing.T) {
	url := freshURL(t)
	c := program(t, url, execArgs(waitingTool, "--deadline", "2s")...)
	if code, _, stderr := ended(t, c); code != migrations.ExitBusy || !strings.Contains(stderr, "the deadline has passed") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestOneThatWaitsIsToldWhatItWaitsFor(t *testing.T) {
	url := freshURL(t)
	startWaiting(t, url)
	eventually(t, url, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'schemawave/pod-1' AND query LIKE '/* schemawave: sh */%'", "1")
	code, _, stderr := ended(t, program(t, url, execArgs(unsafeTool, "--deadline", "300ms")...))
	if code != migrations.ExitBusy || !strings.Contains(stderr, "schemawave/pod-1") || !strings.Contains(stderr, "running sh") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestExitCodesOfTools(t *testing.T) {
	url := freshURL(t)
	for name, test := range map[string]struct {
		script string
		want   migrations.ExitCode
		says   string
	}{
		"it failed":                      {"echo 'relation already exists' >&2; exit 3", migrations.ExitRejected, "exit status 3"},
		"a lock timeout":                 {"echo 'SQLSTATE[55P03]: Lock not available'; exit 1", migrations.ExitBusy, "55P03"},
		"a lock timeout in words":        {"echo 'psycopg2.errors.LockNotAvailable: canceling statement due to lock timeout'; exit 1", migrations.ExitBusy, "55P03"},
		"the server cannot be reached":   {"echo 'connection to server at 127.0.0.1 failed: Connection refused'; exit 1", migrations.ExitUnreachable, "08001"},
		"it may not":                     {"echo 'ERROR:  permission denied for schema public'; exit 1", migrations.ExitDenied, "42501"},
		"a signal":                       {"kill -9 $$", migrations.ExitBusy, "killed"},
		"it leaves no history":           {"true", migrations.ExitConfig, "no history of laravel"},
		"wrong SQL, from the server too": {`psql -X -v ON_ERROR_STOP=1 -v VERBOSITY=verbose "$DATABASE_URL" -c 'SELECT 1 FROM nowhere'`, migrations.ExitRejected, "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _, stderr := ended(t, program(t, url, execArgs(test.script)...)); code != test.want || !strings.Contains(stderr, test.says) {
				t.Errorf("exit code %d, want %d: %s", code, test.want, stderr)
			}
		})
	}
}

func TestCommandsThatCannotBeRun(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"not-executable": "", "no-interpreter": "#!/nowhere/sh\n", "no-program": "\x7fnothing"} {
		mode := os.FileMode(0o755)
		if name == "not-executable" {
			mode = 0o644
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	url := freshURL(t)
	for _, command := range []string{"no-such-command", filepath.Join(dir, "not-executable"), filepath.Join(dir, "no-interpreter"), filepath.Join(dir, "no-program")} {
		report := filepath.Join(t.TempDir(), "report.json")
		code, _, stderr := ended(t, program(t, url, "exec", "--history", "laravel", "--database", "orders", "--report", report, "--", command))
		if code != migrations.ExitConfig || !strings.Contains(stderr, filepath.Base(command)) {
			t.Errorf("%s: exit code %d: %s", command, code, stderr)
		}
		if f := reported(t, report).Failure; f == nil || !f.Permanent || f.Hint == "" {
			t.Errorf("%s: %+v", command, f)
		}
	}
}

func TestTheToolsSessionsHaveTimeouts(t *testing.T) {
	url := freshURL(t)
	const shows = `psql -X -q -A -t "$DATABASE_URL" -c "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'), ` +
		`current_setting('client_connection_check_interval'), split_part(current_setting('application_name'), '/', 3), current_setting('work_mem')"; exit 1`
	for name, test := range map[string]struct {
		lockTimeout string
		environ     []string
		want        string
	}{
		"as the flags say":  {"1500ms", nil, "1500ms|1min|1s|pod-1|4MB"},
		"0 is no limit":     {"0", nil, "0|1min|1s|pod-1|4MB"},
		"the user's own":    {"1500ms", []string{"PGOPTIONS=-c lock_timeout=7s -c work_mem=5MB"}, "7s|1min|1s|pod-1|5MB"},
		"set to nothing":    {"1500ms", []string{"PGOPTIONS="}, "0|0|0|pod-1|4MB"},
		"the name, as well": {"1500ms", []string{"PGAPPNAME=a/b/mine"}, "1500ms|1min|1s|mine|4MB"},
	} {
		t.Run(name, func(t *testing.T) {
			c := program(t, url, execArgs(shows, "--lock-timeout", test.lockTimeout, "--statement-timeout", "1m")...)
			c.Env = append(c.Env, test.environ...)
			if _, stdout, stderr := ended(t, c); strings.TrimSpace(stdout) != test.want {
				t.Errorf("%s, want %s\n%s", stdout, test.want, stderr)
			}
		})
	}
}

// A setting that the URL has may hold what divides options from each other.
func TestSettingsAreEscaped(t *testing.T) {
	settings := map[string]string{"lock_timeout": `7 \s`, "statement_timeout": "0", "application_name": "schemawave exec"}
	want := []string{"A=b", "PGAPPNAME=schemawave exec", `PGOPTIONS=-c lock_timeout=7\ \\s -c statement_timeout=0`}
	if got := withSettings([]string{"A=b"}, settings); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSecretsAreNotPassedOn(t *testing.T) {
	url := freshURL(t)
	report := filepath.Join(t.TempDir(), "report.json")
	c := program(t, url, execArgs(`echo "password: $PASSWORD_IN_CLEAR"; printf '%s' "$API_TOKEN" | cut -c1-8 | tr -d '\n'; sleep 0.1; printf '%s\n' "$API_TOKEN" | cut -c9-
echo "url $DATABASE_URL and $REDIS_URL" >&2; env | grep -v ^SCHEMAWAVE; exit 1`, "--report", report)...)
	c.Env = append(c.Env, "PASSWORD_IN_CLEAR="+password, "API_TOKEN=tok-0123456789-abcdef", "REDIS_URL=redis://:s3cr3t-redis@redis:6379/0", "APP_ENV=production")
	code, stdout, stderr := ended(t, c)
	b, err := os.ReadFile(report)
	if err != nil || code != migrations.ExitRejected {
		t.Fatalf("exit code %d, %v: %s", code, err, stderr)
	}
	stored := query(t, url, "SELECT error FROM schemawave.run")[0]
	for where, text := range map[string]string{"standard output": stdout, "standard error": stderr, "the report": string(b), "the ledger": stored} {
		for _, secret := range []string{password, "p%40ss", "tok-0123", "abcdef", "s3cr3t-redis"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has %q: %s", where, secret, text)
			}
		}
	}
	if !strings.Contains(stdout, "password: [redacted]\n[redacted]\n") || !strings.Contains(stdout, "APP_ENV=production") || !strings.Contains(stderr, "redis://:[redacted]@redis") {
		t.Errorf("more was left out than secrets: %s%s", stdout, stderr)
	}
}
