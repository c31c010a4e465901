// The example's service: it answers /healthz with 200 as long as its one query works, as a service does whose code needs
// a certain schema. Both Applications of the example run it, each with a query of its own.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, os.Getenv("DATABASE_URL"), os.Getenv("QUERY")); err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
}

// serve answers on port 8080 until ctx ends.
func serve(ctx context.Context, url, query string) error {
	db, err := pgxpool.New(ctx, url)
	if err != nil {
		return fmt.Errorf("DATABASE_URL is not a PostgreSQL URL")
	}
	defer db.Close()
	// A service that starts before its schema is there fails, as real ones do.
	if _, err := db.Exec(ctx, query); err != nil {
		return fmt.Errorf("the schema is not what this service needs: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := db.Exec(r.Context(), query); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	slog.Info("serving", "query", query)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}
