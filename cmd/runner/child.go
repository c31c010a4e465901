package runner

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/schemawave/schemawave/cmd/cli"
)

const (
	childGrace = 20 * time.Second // for a tool that was told to end; a Pod has 30 s in all
	drainGrace = 2 * time.Second  // for the rest of the output, once the tool has ended
	signalLag  = 2 * time.Second  // for a signal that came before we listened, and will not come to us
)

// child is a program that runs as a process of ours and does not outlive us.
type child struct {
	path           string
	args           []string // with the name first
	environ        []string
	stdout, stderr io.Writer // each written to by one goroutine
	init           bool      // we are process 1, and inherit the processes whose parents end
}

// ending is how a child ended.
type ending struct {
	status  int            // exit status; -1 if a signal ended it
	signal  syscall.Signal // that ended it
	stopped bool           // we told it to end
}

// run starts the program in a process group of its own and waits for its end. When ctx ends the group is told to end, with
// SIGTERM, or SIGINT if that has reached us, and killed if it takes too long. What is left of the group afterwards is killed.
// The error is that of starting it.
func (c child) run(ctx context.Context) (ending, error) {
	// The kernel kills the child when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, cli.StopSignals()...)
	defer signal.Stop(signals)

	var outputs [2]*output
	files := []*os.File{nil, nil, nil}
	var err error
	if files[0], err = os.Open(os.DevNull); err != nil {
		return ending{}, err
	}
	defer files[0].Close()
	for i, w := range []io.Writer{c.stdout, c.stderr} {
		r, file, err := os.Pipe()
		if err != nil {
			return ending{}, err
		}
		defer file.Close()
		files[i+1], outputs[i] = file, &output{from: r}
		defer r.Close()
		outputs[i].copyTo(w)
	}
	process, err := os.StartProcess(c.path, c.args, &os.ProcAttr{Env: c.environ, Files: files, Sys: childAttributes()})
	for _, f := range files[1:] {
		f.Close() // the child has its own
	}
	if err != nil {
		return ending{}, err
	}
	defer process.Release() //nolint:errcheck // it has ended; not before its group is gone, for this takes the group's number away
	ended := make(chan struct{})
	stopping := make(chan bool, 1)
	go func() { stopping <- stopGroup(ctx, process, signals, ended) }()
	status, err := wait4(process, c.init)
	close(ended)
	out := ending{status: -1, stopped: <-stopping}
	signalGroup(process, os.Kill) // there is none any more, if all went well
	for _, o := range outputs {
		o.drain()
	}
	if err != nil {
		return out, err
	}
	if status.Exited() {
		out.status = status.ExitStatus()
	} else {
		out.signal = status.Signal()
	}
	return out, nil
}

// stopGroup waits for the child's end, or tells its group to end, and reports whether it did.
func stopGroup(ctx context.Context, leader *os.Process, signals <-chan os.Signal, ended <-chan struct{}) bool {
	tell := os.Signal(syscall.SIGTERM)
	select {
	case <-ended:
		return false
	case s := <-signals:
		tell = passedOn(s)
	case <-ctx.Done():
		if why := context.Cause(ctx); why != context.Canceled && errors.Is(why, context.Canceled) { // a signal, as signal.NotifyContext tells it
			select {
			case s := <-signals: // it comes to all who asked for it, in any order
				tell = passedOn(s)
			case <-time.After(signalLag):
			}
		}
	}
	patience := time.NewTimer(childGrace)
	defer patience.Stop()
	for {
		signalGroup(leader, tell)
		select {
		case <-ended:
			return true
		case s := <-signals:
			tell = passedOn(s)
		case <-patience.C:
			tell = os.Kill
		}
	}
}

// passedOn is what a child is told when a signal has told us to stop. The other signals of an image are for its own program: to a
// migration tool they may mean anything.
func passedOn(signal os.Signal) os.Signal {
	if signal == syscall.SIGINT {
		return signal
	}
	return syscall.SIGTERM
}

// output is the reading end of a child's output.
type output struct {
	from *os.File
	read sync.WaitGroup
}

func (o *output) copyTo(w io.Writer) {
	o.read.Go(func() {
		io.Copy(w, o.from) //nolint:errcheck // its end, or the deadline of drain
	})
}

// drain reads what there is, but does not wait for ever for a process that has left the group and keeps the output open.
func (o *output) drain() {
	o.from.SetReadDeadline(time.Now().Add(drainGrace)) //nolint:errcheck // a pipe has deadlines
	o.read.Wait()
}

// exitStatus waits for the end of a process.
func exitStatus(process *os.Process) (status syscall.WaitStatus, err error) {
	state, err := process.Wait()
	if err != nil {
		return status, err
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok {
		return status, errors.New("the system does not say how the process ended")
	}
	return status, nil
}
