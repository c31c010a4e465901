package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "show a lab's components",
		Long:    "status asks every component how it is. It exits with 69 when the lab is not running or a component is not healthy.",
		Example: "  lab status\n  lab status -o json",
		Args:    none,
	}
	lab := labFlag(cmd)
	output := cmd.Flags().StringP("output", "o", "table", "table or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *output != "table" && *output != "json" {
			return usage{fmt.Errorf("unknown output %q", *output)}
		}
		l, err := lab()
		if err != nil {
			return err
		}
		if err := l.Alive(); err != nil {
			return err
		}
		all, err := supervise.Ask(cmd.Context(), l.Path("status.sock"))
		if err != nil {
			return err
		}
		if *output == "json" {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
		}
		return printStatus(cmd, all)
	}
	return cmd
}

func printStatus(cmd *cobra.Command, all []supervise.Status) error {
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tPID IN LAB\tSINCE\tHEALTHY")
	var ill []string
	for _, s := range all {
		pid, since, healthy := "-", "-", "yes"
		if s.PID != 0 {
			pid = fmt.Sprint(s.PID)
		}
		if !s.Since.IsZero() {
			since = fmt.Sprintf("%s (%v)", s.Since.Local().Format(time.TimeOnly), time.Since(s.Since).Round(time.Second))
		}
		if !s.Healthy() {
			ill = append(ill, s.Name)
			healthy = strings.TrimSpace(fmt.Sprintf("no, %s %s", s.State, s.Error))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Name, pid, since, healthy)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(ill) > 0 {
		return fmt.Errorf("not healthy: %s; lab logs %s tells more", strings.Join(ill, ", "), ill[0])
	}
	return nil
}
