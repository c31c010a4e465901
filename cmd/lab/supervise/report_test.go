package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

func TestFollowHearsOfEachComponentAndTheEnd(t *testing.T) {
	ok := func(context.Context, io.Writer) error { return nil }
	for name, test := range map[string]struct {
		plan  []Component
		heard int
		want  string
	}{
		"up":     {[]Component{{Name: "a", Prepare: ok}, {Name: "b", Prepare: ok}}, 2, ""},
		"failed": {[]Component{{Name: "a", Prepare: ok}, {Name: "b", After: []string{"a"}, Prepare: fails}}, 1, "b: no disk; its log ends:\n    line 11\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(test.plan, t.TempDir(), nil)
			if err != nil {
				t.Fatal(err)
			}
			r, w := io.Pipe()
			go func() {
				_ = s.StartAndReport(t.Context(), w)
				w.Close()
			}()
			heard := 0
			err = Follow(r, func(Status) { heard++ })
			if heard != test.heard {
				t.Errorf("heard of %d components, want %d", heard, test.heard)
			}
			if (err == nil) != (test.want == "") || (err != nil && !strings.HasPrefix(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func fails(_ context.Context, log io.Writer) error {
	for i := range 31 {
		fmt.Fprintf(log, "line %d\n", i)
	}
	return errors.New("no disk")
}

func TestFollowTellsAnEndWithoutAWord(t *testing.T) {
	if err := Follow(strings.NewReader(""), func(Status) {}); !errors.Is(err, ErrSilent) {
		t.Errorf("got %v", err)
	}
}

func TestAskIsAnsweredThroughTheSocket(t *testing.T) {
	s, err := New([]Component{{Name: "a"}}, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), func(Status) {}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, socket) }()
	var all []Status
	for range 1000 {
		if all, err = Ask(ctx, socket); err == nil {
			break
		}
	}
	if err != nil || len(all) != 1 || all[0].State != Done {
		t.Errorf("got %+v, %v", all, err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
