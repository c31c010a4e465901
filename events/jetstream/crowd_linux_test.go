package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// room is how many waiters there are: 10,000, unless the machine allows less open files in a process.
func room(b *testing.B) int {
	const wanted, spare = 10_000, 500
	var files syscall.Rlimit // the Go runtime has raised it to the hard limit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		b.Fatal(err)
	}
	if files.Cur >= wanted+spare {
		return wanted
	}
	n := int(files.Cur) - spare
	b.Logf("%d waiters instead of %d: a process may open %d files here (ulimit -Hn)", n, wanted, files.Cur)
	return n
}

// way is how a crowd waits.
type way struct {
	wait    waitFor
	publish func(version string)
	stream  string // where a consumer would be
}

// Waiting for the same thing in three ways, each by 10,000 waiters with connections of their own, on a server in a process of
// its own. They see a version that does not release them, and then, idle, the one that does. The times are from the call that
// publishes it to the end of a wait; the memory is what the server holds more than before they came.
func BenchmarkCrowd(b *testing.B) {
	for _, w := range []struct {
		name string
		open func(b *testing.B, nc *nats.Conn) way
	}{{"waiter", byWaiter}, {"key-value watch", byWatch}, {"direct get each second", byPolling}} {
		b.Run(w.name, func(b *testing.B) {
			size, runs := room(b), measured{}
			for b.Loop() {
				releaseCrowd(b, size, w.open, runs)
			}
			runs.report(b)
		})
	}
}

func releaseCrowd(b *testing.B, size int, open func(b *testing.B, nc *nats.Conn) way, runs measured) {
	o := config(b, map[string]any{"jetstream": map[string]any{"limits": map[string]any{"default_max_consumers": -1}}})
	o.Process = true
	s := runBare(b, o)
	defer s.Stop()
	nc := dial(b, s)
	defer nc.Close()
	w := open(b, nc)
	w.publish("5")
	before := resident(b, s)
	began := time.Now()
	c := gather(b, size, Options{URL: s.URL()}, w.wait)
	defer c.leave()
	c.allSee("5")
	runs.add("arm-s", time.Since(began).Seconds())
	w.publish("6")
	c.allSee("6")
	runs.add("server-KB/waiter", float64(resident(b, s)-before)/1000/float64(size))
	runs.add("consumers", float64(consumers(b, nc, w.stream)))
	runtime.GC() // what connecting left behind is no part of a release
	clientsBefore, serverBefore := processor(b, os.Getpid()), processor(b, pid(b, s))
	published := time.Now()
	w.publish("7")
	r := c.releasedSince(published, published)
	c.whole(r)
	runs.addRelease(r)
	runs.add("clients-cpu-ms", processor(b, os.Getpid())-clientsBefore)
	runs.add("server-cpu-ms", processor(b, pid(b, s))-serverBefore)
}

// 10,000 waiters when the server is killed, and when a node of three is; each time the version is published as soon as it can be.
// The times are from the moment when the server was back, or the node was gone.
func BenchmarkCrowdOutlives(b *testing.B) {
	b.Run("the server", func(b *testing.B) {
		size, runs := room(b), measured{}
		for b.Loop() {
			s := alone(b)
			c := gather(b, size, Options{URL: s.URL()}, withWaiter)
			runs.addRelease(outlive(b, s, c))
			c.leave()
			s.Stop()
		}
		runs.report(b)
	})
	b.Run("a node of three", func(b *testing.B) {
		size, runs := room(b), measured{}
		for b.Loop() {
			nodes, o := cluster(b, natstest.Options{Process: true}, 3)
			c := gather(b, size, o, withWaiter)
			runs.addRelease(outliveNode(b, nodes, o, c))
			c.leave()
			for _, s := range nodes {
				s.Stop()
			}
		}
		runs.report(b)
	})
}

func byWaiter(b *testing.B, nc *nats.Conn) way {
	ensure(b, nc)
	p := publisher(b, nc)
	var revision uint64
	state := events.State{Environment: "prod", Database: "orders"}
	return way{withWaiter, func(version string) {
		at(version)(&state)
		var err error
		if revision, err = p.PublishState(b.Context(), state, revision, version); err != nil {
			b.Fatal(err)
		}
	}, events.StateStream}
}

// byWatch keeps the same state in a bucket.
func byWatch(b *testing.B, nc *nats.Conn) way {
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	kv, err := js.CreateKeyValue(b.Context(), jetstream.KeyValueConfig{Bucket: "schema", Storage: jetstream.FileStorage})
	if err != nil {
		b.Fatal(err)
	}
	wait := func(ctx context.Context, nc *nats.Conn, saw func(version string)) error {
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		kv, err := js.KeyValue(ctx, "schema")
		if err != nil {
			return err
		}
		w, err := kv.Watch(ctx, "prod.orders")
		if err != nil {
			return err
		}
		for {
			select {
			case e := <-w.Updates():
				if e == nil { // all that was there has been told
					continue
				}
				var state events.State
				if err := json.Unmarshal(e.Value(), &state); err != nil {
					return err
				}
				if state.Satisfies("7").Answer == events.Satisfied {
					return nil
				}
				saw(string(state.Ready.Version))
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	state := events.State{Environment: "prod", Database: "orders"}
	return way{wait, func(version string) {
		at(version)(&state)
		value, err := json.Marshal(state)
		if err == nil {
			_, err = kv.Put(b.Context(), "prod.orders", value)
		}
		if err != nil {
			b.Fatal(err)
		}
	}, "KV_schema"}
}

// byPolling looks at the state once a second, each waiter at its own moment.
func byPolling(b *testing.B, nc *nats.Conn) way {
	w := byWaiter(b, nc)
	w.wait = func(ctx context.Context, nc *nats.Conn, saw func(version string)) error {
		sleep(ctx, rand.N(time.Second))
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			s, err := directGet(ctx, nc, events.StateStream, events.StateSubject("prod", "orders", ""))
			if err != nil {
				return err
			}
			state, err := s.state("prod", "orders", "")
			if err != nil {
				return err
			}
			if state.Satisfies("7").Answer == events.Satisfied {
				return nil
			}
			saw(state.Ready.Version)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return w
}

func consumers(b *testing.B, nc *nats.Conn, stream string) int {
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	s, err := js.Stream(b.Context(), stream)
	if err != nil {
		b.Fatal(err)
	}
	return s.CachedInfo().State.Consumers
}

func pid(b *testing.B, s *natstest.Server) int {
	pid, err := s.PID()
	if err != nil {
		b.Fatal(err)
	}
	return pid
}

var residentLine = regexp.MustCompile(`(?m)^VmRSS:\s*(\d+) kB$`)

// resident is the memory of the server's process, in bytes.
func resident(b *testing.B, s *natstest.Server) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid(b, s)))
	if err != nil {
		b.Fatal(err)
	}
	m := residentLine.FindSubmatch(status)
	if m == nil {
		b.Fatal("the kernel does not tell VmRSS")
	}
	kilobytes, err := strconv.Atoi(string(m[1]))
	if err != nil {
		b.Fatal(err)
	}
	return kilobytes << 10
}

// processor is the time that a process has used, user and system, in milliseconds; the kernel counts hundredths of a second
// (proc(5), stat).
func processor(b *testing.B, pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from the third on
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return float64(ticks) * 10
}

// measured is what each run of a benchmark yielded, by unit.
type measured map[string][]float64

func (m measured) add(unit string, value float64) { m[unit] = append(m[unit], value) }

func (m measured) addRelease(r release) {
	if len(r.after) > 0 {
		m.add("p50-ms", milliseconds(r.after[len(r.after)/2]))
		m.add("p99-ms", milliseconds(r.after[len(r.after)*99/100]))
		m.add("max-ms", milliseconds(r.after[len(r.after)-1]))
	}
	m.add("lost", float64(r.lost))
	m.add("early", float64(r.early))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// report tells the median of the runs, and of what must not be, the most.
func (m measured) report(b *testing.B) {
	b.ReportMetric(0, "ns/op") // a run is no operation
	for unit, values := range m {
		slices.Sort(values)
		value := values[len(values)/2]
		if unit == "lost" || unit == "early" {
			value = values[len(values)-1]
		}
		b.ReportMetric(value, unit)
	}
}
