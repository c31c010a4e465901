package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStartsInTheOrderOfNeeds(t *testing.T) {
	var order []string
	task := func(name string, after ...string) Component {
		return Component{Name: name, After: after, Prepare: func(context.Context, io.Writer) error { return nil }}
	}
	s, err := New([]Component{task("last", "left", "right"), task("left", "first"), task("right", "first"), task("first")}, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), func(st Status) { order = append(order, st.Name) }); err != nil {
		t.Fatal(err)
	}
	if len(order) != 4 || order[0] != "first" || order[3] != "last" {
		t.Errorf("order %v", order)
	}
	for _, st := range s.Status(t.Context()) {
		if !st.Healthy() || st.State != Done {
			t.Errorf("%s is %+v", st.Name, st)
		}
	}
}

func TestRefusesPlansThatCannotStart(t *testing.T) {
	for reason, plan := range map[string][]Component{
		"twice":     {{Name: "a"}, {Name: "a"}},
		"not there": {{Name: "a", After: []string{"b"}}},
		"circle":    {{Name: "a", After: []string{"b"}}, {Name: "b", After: []string{"a"}}},
	} {
		if _, err := New(plan, t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: got %v", reason, err)
		}
	}
}

func TestProcessThatEndsBeforeItIsReadyFailsTheStart(t *testing.T) {
	logs := t.TempDir()
	never := func(context.Context) error { return errors.New("not listening") }
	s, err := New([]Component{
		{Name: "broken", Command: []string{"sh", "-c", "echo no such flag >&2; exit 3"}, Ready: never},
		{Name: "waits", After: []string{"broken"}},
	}, logs, os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Start(t.Context(), func(Status) {})
	var failure *Failure
	if !errors.As(err, &failure) || failure.Component != "broken" || !strings.Contains(err.Error(), "exit status 3") {
		t.Fatalf("got %v", err)
	}
	lines, err := Tail(filepath.Join(logs, "broken.log"), 20)
	if err != nil || !slices.Equal(lines, []string{"no such flag"}) {
		t.Errorf("log %q, %v", lines, err)
	}
}

func TestProcessThatDiesIsStartedAgain(t *testing.T) {
	dir := t.TempDir()
	lives := filepath.Join(dir, "lives")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := New([]Component{{
		Name:    "mortal",
		Command: []string{"sh", "-c", fmt.Sprintf("echo x >>%s; test $(wc -l <%s) -gt 1 && exec sleep 60; sleep 0.2; exit 1", lives, lives)},
	}}, dir, os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(ctx, func(Status) {}); err != nil {
		t.Fatal(err)
	}
	first := s.Status(ctx)[0].PID
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if st := s.Status(ctx)[0]; st.Healthy() && st.PID != first {
			process, err := os.FindProcess(st.PID)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			_ = process.Kill()
			return
		}
	}
	t.Fatalf("not started again: %+v", s.Status(ctx)[0])
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for content, want := range map[string][]string{"": nil, "a\n": {"a"}, "a\nb\nc\n": {"b", "c"}, "a\nb": {"a", "b"}} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Tail(path, 2)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v", content, got, err)
		}
	}
}
