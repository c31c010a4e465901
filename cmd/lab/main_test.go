package main

import (
	"strings"
	"testing"
)

func TestExitCodesOfLabItself(t *testing.T) {
	t.Setenv("LAB_DIR", t.TempDir()) // a lab that is not running
	for args, want := range map[string]int{
		"--help":                               0,
		"frob":                                 exitUsage,
		"up now":                               exitUsage,
		"up --frob":                            exitUsage,
		"up --sync-wave-delay 500ms":           exitUsage,
		"up --control-plane --second-cluster":  exitUsage,
		"exec":                                 exitUsage,
		"load-image lab.local/app:1":           exitUsage,
		"status -o yaml":                       exitUsage,
		"logs kubelet":                         exitUsage,
		"status --dir /" + long:                exitUsage,
		"status":                               exitUnavailable,
		"exec -- true":                         exitUnavailable,
		"kubectl get pods":                     exitUnavailable,
		"load-image lab.local/app:1 /bin/true": exitUnavailable,
		"logs":                                 exitUnavailable,
		"become -- /nonexistent/command":       exitNotFound,
	} {
		if got := run(t.Context(), strings.Fields(args)); got != want {
			t.Errorf("lab %s: exit code %d, want %d", args, got, want)
		}
	}
}

const long = "0123456789012345678901234567890123456789012345678901234567890123456789"

func TestEveryCommandShowsAnExample(t *testing.T) {
	for _, c := range command().Commands() {
		if !c.Hidden && c.Name() != "help" && c.Example == "" {
			t.Errorf("lab %s has none", c.Name())
		}
	}
}
