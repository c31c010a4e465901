package postgres_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// particular is the address of a server that refuses a setting in the startup message, and is the real one otherwise.
func particular(t *testing.T, setting string, refusal pgproto3.ErrorResponse) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go serve(client, setting, refusal)
		}
	}()
	return l.Addr().String()
}

// serve is one connection to it.
func serve(client net.Conn, setting string, refusal pgproto3.ErrorResponse) {
	defer client.Close()
	backend := pgproto3.NewBackend(client, client)
	first, err := backend.ReceiveStartupMessage()
	if err != nil {
		return
	}
	if m, ok := first.(*pgproto3.StartupMessage); ok && m.Parameters[setting] != "" {
		backend.Send(&refusal)
		backend.Flush() //nolint:errcheck // the client sees that it got no answer
		return
	}
	real, err := net.Dial("tcp", server.Address())
	if err != nil {
		return
	}
	defer real.Close()
	frontend := pgproto3.NewFrontend(real, real)
	frontend.Send(first)
	if frontend.Flush() != nil {
		return
	}
	go io.Copy(real, client) //nolint:errcheck // ends with either side
	io.Copy(client, real)    //nolint:errcheck // the same
}

// A server that cannot check connections, because it is too old or its system has no means for it, is used without.
func TestServersThatCannotCheckConnections(t *testing.T) {
	const setting = "client_connection_check_interval"
	for name, refusal := range map[string]pgproto3.ErrorResponse{
		"PostgreSQL 13": {Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "42704", Message: `unrecognized configuration parameter "` + setting + `"`},
		"Windows":       {Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "22023", Message: `invalid value for parameter "` + setting + `": 1000`},
	} {
		t.Run(name, func(t *testing.T) {
			url := freshURL(t)
			cfg := config(t, strings.Replace(url, server.Address(), particular(t, setting, refusal), 1))
			if report := migrate(t, cfg, load(t, numbered(2))); report.Count != 2 {
				t.Errorf("%+v", report)
			}
			if rows := query(t, url, "SELECT count(*) FROM schemawave.migration"); rows[0] != "3" {
				t.Errorf("%s rows in the ledger", rows[0])
			}
		})
	}
}
