package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// The floors are what a runner cannot go below that commits every migration together with a row of its history: no lock,
// no checks, no report, no journal, no parsing.

// messages reads the directory and makes one message of each file. All commits but the last leave the flush to it.
func messages(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	out := []string{"CREATE TABLE floor (version text PRIMARY KEY, previous text UNIQUE REFERENCES floor)"}
	previous := "NULL"
	for i, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		version := "'" + strings.TrimSuffix(filepath.Base(f), ".sql") + "'"
		commit := "SET LOCAL synchronous_commit TO off;"
		if i == len(files)-1 {
			commit = ""
		}
		out = append(out, fmt.Sprintf("BEGIN;%sINSERT INTO floor VALUES (%s, %s);%s;COMMIT", commit, version, previous, text))
		previous = version
	}
	return out, nil
}

// floorPipelined sends everything without waiting for anything.
func floorPipelined(ctx context.Context, url, dir string) error {
	all, err := messages(dir)
	if err != nil {
		return err
	}
	conn, err := pgconn.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var buf []byte
	for _, m := range all {
		if buf, err = (&pgproto3.Query{String: m}).Encode(buf); err != nil {
			return err
		}
	}
	written := make(chan error, 1)
	go func() {
		_, err := conn.Conn().Write(buf)
		written <- err
	}()
	for ready := 0; ready < len(all); {
		msg, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.ReadyForQuery:
			ready++
		}
	}
	return <-written
}

// floorInTurn sends the same, each message after the answer to the one before.
func floorInTurn(ctx context.Context, url, dir string) error {
	all, err := messages(dir)
	if err != nil {
		return err
	}
	conn, err := pgconn.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, m := range all {
		if _, err := conn.Exec(ctx, m).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// floorHash reads and hashes every file, one after another, before it does what floorAsk does: the least that a check of
// what was applied against the files can be.
func floorHash(ctx context.Context, url, dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		sha256.Sum256(text)
	}
	return floorAsk(ctx, url, dir)
}

// floorAsk connects and reads the newest row of the history. It does not even read the directory.
func floorAsk(ctx context.Context, url, _ string) error {
	conn, err := pgconn.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "SELECT version FROM floor ORDER BY version DESC LIMIT 1").ReadAll()
	return err
}
