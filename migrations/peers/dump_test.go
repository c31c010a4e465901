package peers_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// varying is what differs between two runs of pg_dump by itself.
var varying = regexp.MustCompile(`(?m)^(\\(un)?restrict .*|-- (Started|Completed) on .*)\n`)

// dump returns the schema and the data of a database, without what the tools themselves keep there.
func dump(t *testing.T, url string, history []string) (schema, data string) {
	t.Helper()
	args := []string{"-d", url, "--no-owner", "--exclude-schema=schemawave"}
	for _, pattern := range history {
		args = append(args, "--exclude-table="+pattern)
	}
	run := func(more ...string) string {
		var stderr strings.Builder
		cmd := exec.CommandContext(t.Context(), "pg_dump", append(slices.Clone(args), more...)...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("pg_dump: %v: %s", err, stderr.String())
		}
		return varying.ReplaceAllString(string(out), "")
	}
	return run("--schema-only"), run("--data-only", "--inserts")
}

// same fails where two dumps differ, and shows the first place.
func same(t *testing.T, what, original, ours string) {
	t.Helper()
	a, b := strings.Split(original, "\n"), strings.Split(ours, "\n")
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) && i == len(b) {
		return
	}
	around := func(lines []string) string {
		return strings.Join(lines[min(max(i-4, 0), len(lines)):min(i+6, len(lines))], "\n")
	}
	t.Errorf("%s differ at line %d\n--- original\n%s\n--- schemawave\n%s", what, i+1, around(a), around(b))
}
