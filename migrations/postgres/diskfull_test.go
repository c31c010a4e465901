//go:build linux

package postgres_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// diskCase is something that finds no room on its disk.
type diskCase struct {
	options string // of the URL
	move    string // SQL after the first migration
	room    int64  // bytes left on the disk
	crowd   bool   // no page of the table of runs has room left either
	dir     fstest.MapFS
	check   func(*testing.T, string)
}

// The migrations need more than a page of the ledger and of each of its indexes.
const diskMigrations = 600

func diskCases() map[string]diskCase {
	one, single := countedFiles(diskMigrations, 50), singleFile(diskMigrations)
	whole := func(t *testing.T, url string) { counted(t, url, diskMigrations, 50) }
	executed := func(t *testing.T, url string) {
		const sql = "SELECT count(*), count(DISTINCT what), (SELECT count(*) FROM schemawave.statement) FROM executions"
		if got, want := query(t, url, sql)[0], fmt.Sprintf("%[1]d|%[1]d|0", diskMigrations); got != want {
			t.Errorf("executed: %s, want %s", got, want)
		}
	}
	return map[string]diskCase{
		"ledger":         {"", "ALTER TABLE schemawave.migration SET TABLESPACE small", 0, false, one, whole},
		"ledger's key":   {"", "ALTER INDEX schemawave.migration_pkey SET TABLESPACE small", 0, false, one, whole},
		"ledger's chain": {"", "ALTER INDEX schemawave.migration_tenant_previous_key SET TABLESPACE small", 0, false, one, whole},
		"journal":        {"", "ALTER TABLE schemawave.statement SET TABLESPACE small", 64 << 10, false, single, executed},
		"journal's key":  {"", "ALTER INDEX schemawave.statement_pkey SET TABLESPACE small", 16 << 10, false, single, executed},
		"runs":           {"", "ALTER TABLE schemawave.run SET TABLESPACE small", 0, true, one, whole},
		"everything":     {"&default_tablespace=small", "", 1 << 20, false, one, whole},
	}
}

// singleFile executes n statements one by one, after a migration that makes the table for it.
func singleFile(n int) fstest.MapFS {
	var sql strings.Builder
	sql.WriteString("-- schemawave: no-transaction\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&sql, "INSERT INTO executions VALUES (%d);\n", i)
	}
	return fstest.MapFS{"0000_executions.sql": countedFiles(0, 1)["0000_executions.sql"], "0001_all.sql": {Data: []byte(sql.String())}}
}

// A run whose ledger, journal or tables find no room on the disk says so, and once there is room a plain run completes it.
//
// The disk is a small file system, mounted in a mount namespace of a process of its own, which leaves no mount behind however
// it ends.
func TestDiskFull(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		runInNamespace(t)
		return
	}
	for name, c := range diskCases() {
		t.Run(name, func(t *testing.T) {
			disk := smallDisk(t)
			url := freshURL(t)
			query(t, url, "CREATE TABLESPACE small LOCATION '"+disk+"'")
			defer query(t, server.URL("postgres"), "DROP TABLESPACE small")
			defer dropDatabase(t, url)
			set := load(t, c.dir)
			cfg := config(t, url+c.options)
			cfg.Retries = 2
			first := cfg
			first.Target = "0"
			migrate(t, first, set)
			if c.move != "" {
				query(t, url, c.move)
			}
			ballast := fill(t, disk, c.room)
			if c.crowd {
				crowd(t, url)
			}

			report, err := postgres.Migrate(t.Context(), cfg, set)
			if err == nil {
				t.Fatal("no error although the disk is full")
			}
			f := report.Failure
			if f.SQLState != "53100" || f.Code != migrations.ExitUnreachable || f.Permanent || !strings.Contains(f.Message, "No space left on device") || !strings.Contains(f.Hint, "disk is full") {
				t.Errorf("report: %+v", f)
			}
			t.Logf("%d of %d recorded: %v", len(recorded(t, cfg)), len(set.Migrations), err)

			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			migrate(t, cfg, set)
			c.check(t, url)
		})
	}
}

// inNamespace is set in the process that may mount.
const inNamespace = "SCHEMAWAVE_TEST_IN_NAMESPACE"

// runInNamespace runs this test in a process with mounts of its own; if this one is not root's, with capabilities that reach
// no further than that.
func runInNamespace(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if uid := os.Geteuid(); uid != 0 {
		const mayMount = 21 // CAP_SYS_ADMIN, linux/capability.h
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{mayMount}
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("in a mount namespace: %v (it takes root, or a kernel that lets users make namespaces)", err)
	}
}

// smallDisk mounts a file system of a few MiB for the server.
func smallDisk(t *testing.T) string {
	t.Helper()
	owner, err := os.Stat(server.SocketDir())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(server.SocketDir(), "disk-")
	if err != nil {
		t.Fatal(err)
	}
	stat := owner.Sys().(*syscall.Stat_t)
	options := fmt.Sprintf("size=32m,mode=0700,uid=%d,gid=%d", stat.Uid, stat.Gid)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill writes a file that leaves just so much room on the disk.
func fill(t *testing.T, disk string, room int64) (ballast string) {
	t.Helper()
	ballast = filepath.Join(disk, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var size int64
	block := make([]byte, 4096)
	for err == nil {
		var n int
		n, err = f.Write(block)
		size += int64(n)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Truncate(size - room); err != nil {
		t.Fatal(err)
	}
	return ballast
}

// crowd fills the table of runs, on a disk that is full.
func crowd(t *testing.T, url string) {
	t.Helper()
	const add = "INSERT INTO schemawave.run (id, digest, job, pod, tool) SELECT gen_random_uuid(), digest, job, pod, tool FROM schemawave.run LIMIT 1"
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for err == nil {
		_, err = conn.Exec(t.Context(), add).ReadAll()
	}
	if pe := new(pgconn.PgError); !errors.As(err, &pe) || pe.Code != "53100" {
		t.Fatal(err)
	}
}
