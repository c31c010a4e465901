package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

const (
	startTimeout = 2 * time.Minute       // for a component to become ready
	pollEvery    = 30 * time.Millisecond // between two looks whether it is
	restartAfter = time.Second           // between a component's death and its next life
	probeTimeout = 2 * time.Second       // for one look
)

// Supervisor runs components. Make one with New.
type Supervisor struct {
	components []Component
	logs       string
	env        []string

	mu     sync.Mutex
	status map[string]*Status
}

// New returns a supervisor for the components, whose logs go to the directory logs and whose environment starts with env.
func New(components []Component, logs string, env []string) (*Supervisor, error) {
	if err := check(components); err != nil {
		return nil, err
	}
	s := &Supervisor{components: components, logs: logs, env: env, status: map[string]*Status{}}
	for _, c := range components {
		s.status[c.Name] = &Status{Name: c.Name, State: Waiting}
	}
	return s, nil
}

// Start returns when every component is ready, or with the first failure; report hears of each component as it becomes
// ready, one call at a time. The components live, and are started again when they die, until ctx ends.
func (s *Supervisor) Start(ctx context.Context, report func(Status)) error {
	starting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ready := map[string]chan struct{}{}
	for _, c := range s.components {
		ready[c.Name] = make(chan struct{})
	}
	var wg sync.WaitGroup
	var reporting sync.Mutex
	for _, c := range s.components {
		wg.Go(func() {
			for _, need := range c.After {
				select {
				case <-ready[need]:
				case <-starting.Done():
					return
				}
			}
			if err := s.bring(starting, ctx, c); err != nil {
				cancel(&Failure{Component: c.Name, Err: err})
				return
			}
			reporting.Lock()
			report(s.get(c.Name))
			reporting.Unlock()
			close(ready[c.Name])
		})
	}
	wg.Wait()
	return context.Cause(starting)
}

// Failure is a component that did not start.
type Failure struct {
	Component string
	Err       error
}

func (f *Failure) Error() string { return f.Component + ": " + f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// bring starts one component and returns when it is ready. It gives up when starting ends; the process lives on in life.
func (s *Supervisor) bring(starting, life context.Context, c Component) error {
	s.set(c.Name, func(st *Status) { st.State = Starting })
	log, err := os.OpenFile(filepath.Join(s.logs, c.Name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return s.fail(c.Name, err)
	}
	ctx, cancel := context.WithTimeout(starting, startTimeout)
	defer cancel()
	if c.Prepare != nil {
		if err := c.Prepare(ctx, log); err != nil {
			return s.fail(c.Name, errors.Join(err, log.Close()))
		}
	}
	if len(c.Command) == 0 {
		s.set(c.Name, func(st *Status) { st.State, st.Since = Done, time.Now() })
		return log.Close()
	}
	exited, err := s.launch(c, log)
	if err != nil {
		return s.fail(c.Name, err)
	}
	if err := awaitReady(ctx, c, exited); err != nil {
		return s.fail(c.Name, err)
	}
	s.set(c.Name, func(st *Status) { st.State = Running })
	go s.keep(life, c, log, exited)
	return nil
}

// launch starts the process; the channel gets its end.
func (s *Supervisor) launch(c Component, log *os.File) (<-chan error, error) {
	cmd := c.command(s.env, log)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.set(c.Name, func(st *Status) { st.PID, st.Since, st.Error = cmd.Process.Pid, time.Now(), "" })
	exited := make(chan error, 1)
	go func() { exited <- ended(cmd) }()
	return exited, nil
}

// ended waits for the process and always returns an error: none of the components is meant to end.
func ended(cmd *exec.Cmd) error {
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("process ended: %w", err)
	}
	return errors.New("process ended: exit status 0")
}

// awaitReady polls until the component is ready, its process ends or ctx does.
func awaitReady(ctx context.Context, c Component, exited <-chan error) error {
	for {
		err := c.probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case end := <-exited:
			return end
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w (%w)", err, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

func (c Component) probe(ctx context.Context) error {
	if c.Ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return c.Ready(ctx)
}

// keep starts the component again whenever it ends, until life ends.
func (s *Supervisor) keep(life context.Context, c Component, log *os.File, exited <-chan error) {
	defer log.Close()
	for {
		select {
		case <-life.Done():
			return
		case err := <-exited:
			s.set(c.Name, func(st *Status) { st.State, st.PID, st.Error = Starting, 0, err.Error() })
			fmt.Fprintf(log, "lab: %v; starting again in %v\n", err, restartAfter)
		}
		select {
		case <-life.Done():
			return
		case <-time.After(restartAfter):
		}
		again, err := s.launch(c, log)
		if err != nil {
			failed := make(chan error, 1)
			failed <- err
			again = failed
		} else {
			s.set(c.Name, func(st *Status) { st.State = Running })
		}
		exited = again
	}
}

// Status looks at every component now, in the order they were given.
func (s *Supervisor) Status(ctx context.Context) []Status {
	all := make([]Status, len(s.components))
	var wg sync.WaitGroup
	for i, c := range s.components {
		wg.Go(func() {
			st := s.get(c.Name)
			if st.State == Running {
				if err := c.probe(ctx); err != nil {
					st.Error = err.Error()
				}
			}
			all[i] = st
		})
	}
	wg.Wait()
	return all
}

func (s *Supervisor) fail(name string, err error) error {
	s.set(name, func(st *Status) { st.State, st.Error = Failed, err.Error() })
	return err
}

func (s *Supervisor) set(name string, change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.status[name])
}

func (s *Supervisor) get(name string) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.status[name]
}
