// Package supervise starts the lab's components in the order of their needs, as many at once as possible, watches that
// each becomes ready, and starts again what dies later. It knows nothing of what the components are.
package supervise

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Component is one long-running process of the lab or, without a command, one task that has to succeed once.
type Component struct {
	// Name is also the name of the log file.
	Name string
	// After names the components that have to be ready first.
	After []string
	// Prepare runs once, before the first start; what it writes goes to the component's log. It may be nil.
	Prepare func(ctx context.Context, log io.Writer) error
	// Command is the process; empty for a task.
	Command []string
	// Env is added to the supervisor's environment for components.
	Env []string
	// User is whom the process runs as; nil for root.
	User *syscall.Credential
	// Ready returns nil when the component serves. It is asked often and must return soon. Nil: ready once started.
	Ready func(ctx context.Context) error
}

// State of a component.
type State string

// The states, in the order of a component's life. A task ends as Done, a process as Running.
const (
	Waiting  State = "waiting"
	Starting State = "starting"
	Running  State = "running"
	Done     State = "done"
	Failed   State = "failed"
)

// Status is what is known of a component.
type Status struct {
	Name  string    `json:"name"`
	State State     `json:"state"`
	PID   int       `json:"pid,omitempty"`   // in the lab's PID namespace
	Since time.Time `json:"since,omitzero"`  // start of the process, end of the task
	Error string    `json:"error,omitempty"` // why it is not healthy
}

// Healthy tells whether the component does what it is for.
func (s Status) Healthy() bool { return s.Error == "" && (s.State == Running || s.State == Done) }

// check refuses a plan that could never start: duplicates, unknown needs, circles.
func check(components []Component) error {
	ready := map[string]bool{}
	for _, c := range components {
		if _, twice := ready[c.Name]; twice {
			return fmt.Errorf("component %s: there twice", c.Name)
		}
		ready[c.Name] = false
	}
	for range components {
		for _, c := range components {
			can := true
			for _, need := range c.After {
				done, known := ready[need]
				if !known {
					return fmt.Errorf("component %s: needs %s, which is not there", c.Name, need)
				}
				can = can && done
			}
			ready[c.Name] = ready[c.Name] || can
		}
	}
	for _, c := range components {
		if !ready[c.Name] {
			return fmt.Errorf("component %s: needs %v in a circle", c.Name, c.After)
		}
	}
	return nil
}

// command is the component's process, not yet started.
func (c Component) command(env []string, log *os.File) *exec.Cmd {
	cmd := exec.Command(c.Command[0], c.Command[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(append([]string{}, env...), c.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.User}
	return cmd
}
