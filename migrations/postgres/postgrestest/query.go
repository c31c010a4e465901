package postgrestest

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Query runs statements, sent as one message, on a connection of its own, and returns the rows of the last one, columns joined by "|".
func Query(ctx context.Context, url, sql string) ([]string, error) {
	conn, err := pgconn.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sql, err)
	}
	var out []string
	for _, row := range results[len(results)-1].Rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = string(c)
		}
		out = append(out, strings.Join(cells, "|"))
	}
	return out, nil
}
