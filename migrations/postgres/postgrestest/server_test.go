package postgrestest_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

const helper = "POSTGRESTEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helper) != "" {
		s, err := postgrestest.Start(context.Background(), postgrestest.Options{})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.Address(), s.SocketDir())
		select {} // until killed
	}
	os.Exit(m.Run())
}

func TestPasswordAndSettings(t *testing.T) {
	s, err := postgrestest.Start(t.Context(), postgrestest.Options{Password: "p@ss/word", Settings: map[string]string{"work_mem": "7MB"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	url, err := s.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if result, err := conn.Exec(t.Context(), "SHOW work_mem").ReadAll(); err != nil || string(result[0].Rows[0][0]) != "7MB" {
		t.Errorf("work_mem: %v", err)
	}
	if _, err := pgconn.Connect(t.Context(), strings.Replace(url, "p%40ss", "other", 1)); err == nil {
		t.Error("a wrong password was accepted")
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.SocketDir()); !os.IsNotExist(err) {
		t.Errorf("the data is still there: %v", err)
	}
	if err := s.Stop(); err != nil {
		t.Errorf("stopped twice: %v", err)
	}
}

func TestStartFailsWhole(t *testing.T) {
	if _, err := postgrestest.Start(t.Context(), postgrestest.Options{Settings: map[string]string{"no_such_setting": "1"}}); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("%v", err)
	}
}

func TestServerDiesWithItsParent(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helper+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
	defer os.RemoveAll(dir)
	if c, err := net.Dial("tcp", address); err != nil {
		t.Fatal(err)
	} else {
		c.Close()
	}
	cmd.Process.Kill()
	cmd.Wait()
	for range 200 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		c.Close()
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("the server outlived its parent")
}
