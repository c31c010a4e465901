package postgrestest

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Restart stops the server and starts it again with the same data on the same port. Every session ends. A fast stop rolls
// back what is under way and writes everything to disk; an immediate one writes nothing, and the server recovers from its
// log when it starts (PostgreSQL, "Shutting Down the Server"). It returns when the server answers.
func (s *Server) Restart(ctx context.Context, immediate bool) error {
	signal := syscall.SIGINT
	if immediate {
		signal = syscall.SIGQUIT
	}
	if err := s.process.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("stop postgresql: %w", err)
	}
	return s.again(ctx)
}

// Kill ends the server and all its sessions by SIGKILL, as a crash of the machine would but for what the operating system
// has not written yet, and starts it again with the same data on the same port. Only Linux tells which processes belong to a
// server; elsewhere it is an error.
func (s *Server) Kill(ctx context.Context) error {
	postmaster := s.process.cmd.Process
	if err := postmaster.Signal(syscall.SIGSTOP); err != nil { // else it could start others meanwhile
		return fmt.Errorf("kill postgresql: %w", err)
	}
	defer postmaster.Signal(syscall.SIGCONT) //nolint:errcheck // it is dead unless this function failed
	children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", postmaster.Pid))
	if err != nil {
		return fmt.Errorf("kill postgresql: which processes belong to it: %w", err)
	}
	if err := postmaster.Kill(); err != nil {
		return fmt.Errorf("kill postgresql: %w", err)
	}
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return fmt.Errorf("kill postgresql: %w", err)
		}
		syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // it may have ended by itself
		if err := gone(ctx, pid); err != nil {
			return fmt.Errorf("kill postgresql: %w", err)
		}
	}
	return s.again(ctx)
}

// gone waits until a process holds nothing any more: while one has the shared memory, the server does not start again.
func gone(ctx context.Context, pid int) error {
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, state, _ := strings.Cut(string(stat), ") ")
		if err != nil || strings.HasPrefix(state, "Z") {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// again starts the server once it has ended.
func (s *Server) again(ctx context.Context) error {
	select {
	case <-s.process.done:
	case <-ctx.Done():
		return fmt.Errorf("stop postgresql: %w", ctx.Err())
	}
	if err := s.launch(ctx); err != nil {
		return fmt.Errorf("start postgresql again: %w", err)
	}
	return nil
}
