package natstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// asServer is set in the environment of a test's program when it is to be a server. It holds the place, as JSON.
const asServer = "NATSTEST_SERVER"

// ready is what a server that accepts clients prints, with its port.
const ready = "ready on port %d\n"

// Serve makes this process a server and does not return, if it was started to be one. A TestMain calls it first.
func Serve() {
	text := os.Getenv(asServer)
	if text == "" {
		return
	}
	if err := serve(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs until its standard input ends, as it does with the process at the other side.
func serve(text string) error {
	var p place
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	r, err := p.inside()
	if err != nil {
		return err
	}
	fmt.Printf(ready, r.port())
	_, err = io.Copy(io.Discard, os.Stdin)
	r.stop()
	return err
}

// process is a server beside this process.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	chosen int // the port
}

func (p process) port() int { return p.chosen }

// beside starts this program again, as a server, and returns when it accepts clients.
func (p place) beside() (running, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asServer+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	started := process{cmd: cmd, stdin: stdin}
	if _, err := fmt.Fscanf(stdout, ready, &started.chosen); err != nil {
		started.stop()
		return nil, fmt.Errorf("the process does not say that it is ready (%w): does TestMain call natstest.Serve?", err)
	}
	return started, nil
}

func (p process) stop() {
	p.stdin.Close()  //nolint:errcheck // it ends in either case
	_ = p.cmd.Wait() // how it ended does not matter: it may have been killed
}

// PID is the server's process.
func (s *Server) PID() (int, error) {
	p, ok := s.running.(process)
	if !ok {
		return 0, errors.New("the nats server has no process of its own")
	}
	return p.cmd.Process.Pid, nil
}

// Kill ends the server at once, without a chance to say goodbye or to write anything down. Its store stays as it is.
func (s *Server) Kill() error {
	p, ok := s.running.(process)
	if !ok {
		return errors.New("the nats server has no process of its own")
	}
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	s.Stop()
	return nil
}
