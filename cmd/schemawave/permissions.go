package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/events/jetstream"
)

func newPermissions() *cobra.Command {
	var environment, inbox, output string
	c := &cobra.Command{
		Use:   "permissions ROLE",
		Short: "Print what a NATS user must be allowed, and no more",
		Long: `Print the subjects that a NATS user must be allowed, and no more, as a piece of a nats-server configuration, as JSON, or as
arguments of nsc. It connects to nothing. The roles:

  controller     creates the streams, and publishes states and events
  waiter         waits for schemas; it reads states and makes no consumer
  auditor        reads states and events (status, events), and makes consumers for that
  administrator  creates, verifies and migrates the streams, and reads all that an auditor does

Give each user an inbox prefix of its own, here and in NATS_INBOX_PREFIX: users with the same one can overhear each other's answers.`,
		Example: `  schemawave streams permissions waiter --environment production --inbox _INBOX_production
  nsc edit user --name waiter $(schemawave streams permissions waiter -o nsc)`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"controller", "waiter", "auditor", "administrator"},
		RunE: cli.Do(func(_ context.Context, c *cobra.Command, args []string) error {
			if strings.ContainsAny(inbox, "*> \t\r\n\"") {
				return cli.Usage("--inbox %q: want a prefix without wildcards and blanks", inbox)
			}
			role := args[0]
			if role == "administrator" && environment != "" {
				return cli.Usage("--environment: streams hold all environments, and so does their administrator's view")
			}
			var p jetstream.Permissions
			switch role {
			case "controller":
				p = jetstream.ControllerPermissions(environment, inbox)
			case "waiter":
				p = jetstream.WaiterPermissions(environment, inbox)
			case "auditor":
				p = jetstream.AuditorPermissions(environment, inbox)
			case "administrator":
				p = jetstream.AdministratorPermissions(inbox)
			}
			return printPermissions(c.OutOrStdout(), output, p)
		}),
	}
	f := c.Flags()
	f.StringVar(&environment, "environment", "", "for one environment only")
	f.StringVar(&inbox, "inbox", "", "the user's inbox prefix; _INBOX if empty")
	f.StringVarP(&output, "output", "o", "config", "config, json or nsc")
	return c
}

func printPermissions(w io.Writer, output string, p jetstream.Permissions) error {
	switch output {
	case "config":
		_, err := fmt.Fprintf(w, "permissions: {\n  publish: [%s]\n  subscribe: [%s]\n}\n", subjects(p.Publish), subjects(p.Subscribe))
		return err
	case "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false) // nats-server reads no \u
		return e.Encode(p)
	case "nsc":
		_, err := fmt.Fprintf(w, "--allow-pub %s --allow-sub %s\n", strings.Join(p.Publish, ","), strings.Join(p.Subscribe, ","))
		return err
	}
	return cli.Usage("--output %q: want config, json or nsc", output)
}

// subjects puts each on a line of its own, in quotes, which a subject never holds.
func subjects(list []string) string {
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "\n    %q", s)
	}
	return b.String() + "\n  "
}
