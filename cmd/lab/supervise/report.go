package supervise

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// message is what a starting lab tells the command that started it: a component's status, in the end Up or Error.
type message struct {
	Status *Status `json:"status,omitempty"`
	Up     bool    `json:"up,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// tailLines of a failed component's log are shown.
const tailLines = 20

// StartAndReport is Start with its progress and outcome written to w for Follow to read.
func (s *Supervisor) StartAndReport(ctx context.Context, w io.Writer) error {
	out := json.NewEncoder(w)
	// a listener that has gone away changes nothing for the lab
	err := s.Start(ctx, func(st Status) { _ = out.Encode(message{Status: &st}) })
	if err == nil {
		return out.Encode(message{Up: true})
	}
	text := err.Error()
	var failure *Failure
	if errors.As(err, &failure) {
		if lines, err := Tail(filepath.Join(s.logs, failure.Component+".log"), tailLines); err == nil && len(lines) > 0 {
			text = fmt.Sprintf("%s; its log ends:\n    %s", text, strings.Join(lines, "\n    "))
		}
	}
	return errors.Join(err, out.Encode(message{Error: text}))
}

// ErrSilent means that the lab ended without a word; its log tells more.
var ErrSilent = errors.New("the lab ended before it was up")

// Follow reads what StartAndReport writes, tells ready of each component, and returns when the lab is up or has failed.
func Follow(r io.Reader, ready func(Status)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("read the lab's report: %w", err)
		}
		switch {
		case m.Status != nil:
			ready(*m.Status)
		case m.Up:
			return nil
		default:
			return errors.New(m.Error)
		}
	}
	return errors.Join(ErrSilent, lines.Err())
}
