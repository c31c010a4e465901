package runner

import (
	"context"
	"errors"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/migrations"
)

// ConnectBroker connects to NATS as the environment says. With retry it returns at once and connects when it can.
func ConnectBroker(ctx context.Context, getenv func(string) string, name string, retry bool, log *slog.Logger) (*nats.Conn, error) {
	options := jetstream.OptionsFromEnv(getenv)
	options.Name, options.Retry, options.Log = name, retry, log
	return ConnectTo(ctx, options)
}

// ConnectTo connects to NATS, and gives an error its exit code and remedy.
func ConnectTo(ctx context.Context, options jetstream.Options) (*nats.Conn, error) {
	nc, err := jetstream.Connect(ctx, options)
	if config := (*jetstream.ConfigError)(nil); errors.As(err, &config) {
		return nil, &cli.Error{Code: migrations.ExitConfig, Err: err, Hint: "set NATS_URL, and NATS_CREDS or NATS_NKEY to a file where the server asks for it"}
	}
	return nc, BrokerError(err)
}

// BrokerError gives an error of package jetstream its exit code and remedy.
func BrokerError(err error) error {
	var (
		config      *jetstream.ConfigError
		denied      *jetstream.DeniedError
		unreachable *jetstream.UnreachableError
		wait        *jetstream.WaitError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &config):
		return cli.Exit(migrations.ExitConfig, err)
	case errors.As(err, &denied):
		return cli.Exit(migrations.ExitDenied, err)
	case errors.As(err, &wait):
		return &cli.Error{Code: waitCode(wait), Err: err, Hint: waitHint(wait)}
	case errors.As(err, &unreachable):
		return &cli.Error{Code: migrations.ExitUnreachable, Err: err, Hint: "check NATS_URL, and that the streams exist: schemawave streams verify"}
	}
	return cli.Exit(migrations.ExitBug, err)
}

// waitCode tells apart what may pass, as time that ran out or an attempt that will be repeated, from what is over for good.
func waitCode(e *jetstream.WaitError) migrations.ExitCode {
	switch {
	case e.Cause != nil, e.Failure() != nil && !e.Failure().Permanent:
		return migrations.ExitBusy
	case e.Answer() == events.Incompatible:
		return migrations.ExitConfig
	}
	return migrations.ExitRejected
}

func waitHint(e *jetstream.WaitError) string {
	switch {
	case e.Cause != nil:
		return "wait longer with --timeout, or see where the migration is: schemawave status"
	case e.Answer() == events.AttemptFailed:
		return "mend the migration and push it; --on-failure wait goes on waiting for that"
	}
	return ""
}
