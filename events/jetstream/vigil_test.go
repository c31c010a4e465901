package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
)

// schedules is how many orders of events are tried. Each is made from its seed alone, which a failure tells.
const schedules = 20_000

// TestEveryScheduleReleasesInTime plays a server and a network that do whatever they may do to a wait: publish before, between and
// after the subscription and the first read, answer from a replica that lags, lose live messages, bring them late or twice, cut the
// connection, lose the stream and begin a new one, and have leaders whose clocks differ. After each step:
//
//   - Never early: the wait ends well only by states that were published on the subjects of its targets and that satisfy them, and
//     badly only by such that end it.
//   - Never back: what is known of a stream is never replaced by an older message of it.
//   - Never lost: once the network is well, one read of the leader, or one live message of a state that satisfies, ends the wait if and
//     only if what is published then ends it.
func TestEveryScheduleReleasesInTime(t *testing.T) {
	ends := map[string]int{}
	for seed := range uint64(schedules) {
		s := newSchedule(seed)
		end, err := s.play()
		if err != nil {
			t.Fatalf("seed %d: %v, after\n%s", seed, err, strings.Join(s.trace, "\n"))
		}
		ends[end]++
	}
	t.Log(ends)
	for _, end := range []string{"released", "failed", "waiting", "released by a read", "failed by a read", "released live"} {
		if ends[end] < schedules/200 {
			t.Errorf("only %d of %d schedules ended %q", ends[end], schedules, end)
		}
	}
}

// schedule is one order of events, and what the server holds in it.
type schedule struct {
	*rand.Rand
	v         *vigil
	trace     []string
	now       time.Time
	skew      time.Duration              // how far the clocks of two leaders may be apart
	stream    int                        // which one it is: a new one has the next number
	sequence  uint64                     // of its last message
	log       map[string][]posted        // by subject, of this stream
	published map[string]map[string]bool // by subject, what any stream has ever held
	connected bool
	flying    []posted // live messages on their way
	known     map[*topic]posted
}

// posted is a message in its stream.
type posted struct {
	stored
	stream  int
	subject string
}

var databases = []string{"orders", "customers"}

func newSchedule(seed uint64) *schedule {
	s := &schedule{
		Rand: rand.New(rand.NewPCG(seed, 0)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		log: map[string][]posted{}, published: map[string]map[string]bool{}, known: map[*topic]posted{},
	}
	if s.IntN(3) == 0 {
		s.skew = 3 * time.Second
	}
	q := Query{Any: s.IntN(2) == 0, OnFailure: OnFailure(s.IntN(2))}
	for range 1 + s.IntN(2) {
		q.Targets = append(q.Targets, events.Target{Environment: "prod", Database: databases[s.IntN(2)], Version: s.version()})
	}
	s.v = newVigil(&Waiter{}, q)
	s.say("wait for %v, any %t, on failure %d, clocks differ by %s", q.Targets, q.Any, q.OnFailure, s.skew)
	return s
}

func (s *schedule) say(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

// version is one of a few, or that of anybody.
func (s *schedule) version() string {
	if n := s.IntN(6); n > 0 {
		return strconv.Itoa(n)
	}
	return ""
}

// play does some steps, and then makes all well.
func (s *schedule) play() (end string, err error) {
	steps := []func(){s.publish, s.publish, s.deliver, s.deliver, s.lose, s.repeat, s.read, s.cut, s.remake, s.forge}
	for range s.IntN(6) { // before anybody waits
		s.publish()
	}
	for range s.IntN(25) {
		steps[s.IntN(len(steps))]()
		if end, err := s.judge(); end != "" || err != nil {
			return end, err
		}
	}
	s.mend()
	if end, err := s.judge(); end != "" || err != nil {
		return end, err
	}
	if s.IntN(2) == 0 {
		return s.endByRead()
	}
	return s.endLive()
}

// publish stores a state of one database, and sends it to whoever has subscribed and is connected.
func (s *schedule) publish() {
	state := events.State{Environment: "prod", Database: databases[s.IntN(2)]}
	if s.IntN(3) > 0 {
		state.Ready = &events.Ready{Version: strconv.Itoa(1 + s.IntN(5)), Digest: strconv.Itoa(s.IntN(1e9))}
		if s.IntN(4) == 0 {
			state.Ready.MinCompatible = s.version()
		}
	}
	if s.IntN(3) == 0 {
		state.LastAttempt = &events.Attempt{Outcome: events.OutcomeFailed, Version: s.version()}
	}
	s.post(state)
}

func (s *schedule) post(state events.State) {
	data, err := json.Marshal(state)
	if err != nil {
		panic(err)
	}
	s.now, s.sequence = s.now.Add(time.Second), s.sequence+1
	at := s.now
	if s.skew > 0 {
		at = at.Add(-time.Duration(s.Int64N(int64(s.skew))))
	}
	subject := events.StateSubject(state.Environment, state.Database, "")
	m := posted{stored{revision: s.sequence, at: at, data: data}, s.stream, subject}
	s.log[subject] = append(s.log[subject], m)
	if s.published[subject] == nil {
		s.published[subject] = map[string]bool{}
	}
	s.published[subject][string(data)] = true
	if s.connected {
		s.flying = append(s.flying, m)
	}
	s.say("stream %d: %d at %s: %s", m.stream, m.revision, at.Format(time.TimeOnly), data)
}

// deliver brings the live message that was sent first.
func (s *schedule) deliver() {
	if len(s.flying) > 0 {
		m := s.flying[0]
		s.flying = s.flying[1:]
		s.say("live: stream %d, %d", m.stream, m.revision)
		s.v.hear(live(m))
		s.note(m)
	}
}

// lose drops a live message, as a slow consumer does.
func (s *schedule) lose() {
	if len(s.flying) > 0 {
		i := s.IntN(len(s.flying))
		s.say("lost: %d", s.flying[i].revision)
		s.flying = slices.Delete(s.flying, i, i+1)
	}
}

func (s *schedule) repeat() {
	if len(s.flying) > 0 {
		s.flying = append(s.flying, s.flying[0])
	}
}

// read is a direct get of every topic, each answered by whatever a replica has, the stream's absence included. It subscribes first,
// as a wait does, if the connection was cut or not yet made.
func (s *schedule) read() {
	if !s.connected {
		s.connected = true
		s.say("connected")
		for range s.IntN(3) { // between the subscription and the read
			s.publish()
		}
	}
	for _, t := range s.v.topics {
		log := s.log[t.subject]
		switch n := s.IntN(len(log) + 2); {
		case n > len(log):
			t.learn(stored{}, errNoStream)
			s.say("read %s: no stream", t.subject)
		case n == 0:
			t.learn(stored{}, errNoMessage)
			s.say("read %s: no message", t.subject)
		default:
			t.learn(log[n-1].stored, nil)
			s.say("read %s: %d of %d", t.subject, log[n-1].revision, log[len(log)-1].revision)
			s.note(log[n-1])
		}
	}
}

func (s *schedule) cut() {
	if s.connected {
		s.connected, s.flying = false, nil
		s.v.lost(errors.New("cut"))
		s.say("cut")
	}
}

// remake loses the stream and begins another, in which some of the states are soon published again.
func (s *schedule) remake() {
	last := s.log
	s.stream, s.sequence, s.log = s.stream+1, 0, map[string][]posted{}
	s.now = s.now.Add(time.Minute)
	s.say("stream %d is made", s.stream)
	for _, database := range databases {
		if log := last[events.StateSubject("prod", database, "")]; len(log) > 0 && s.IntN(2) == 0 {
			var state events.State
			if err := json.Unmarshal(log[len(log)-1].data, &state); err != nil {
				panic(err)
			}
			s.post(state)
		}
	}
}

// forge sends what would release any wait, if it were a state of the database.
func (s *schedule) forge() {
	t := s.v.topics[0]
	forged := func(environment, subject string) *nats.Msg {
		data, err := json.Marshal(events.State{Environment: environment, Database: t.database, Ready: &events.Ready{Version: "9"}})
		if err != nil {
			panic(err)
		}
		m := live(posted{stored{revision: s.sequence + 100, at: s.now.Add(time.Hour), data: data}, s.stream, subject})
		m.Subject = t.live
		return m
	}
	elsewhere := events.StateSubject("staging", t.database, "")
	var m *nats.Msg
	switch s.IntN(4) {
	case 0: // an answer to somebody who had it sent here
		m = forged("prod", elsewhere)
	case 1: // one that says of itself where it is stored, before the server does
		m = forged("prod", elsewhere)
		m.Header[jetstream.SubjectHeader] = []string{t.subject, elsewhere}
	case 2: // an answer that was sent to the state's subject, and so is stored on it
		m = forged("staging", t.subject)
	case 3: // what a core publisher sends
		m = forged("prod", t.subject)
		m.Header = nats.Header{}
	}
	s.say("forged: %v %s", m.Header, m.Data)
	s.v.hear(m)
}

// mend connects, and lets all that flies arrive.
func (s *schedule) mend() {
	if !s.connected {
		s.read()
	}
	for len(s.flying) > 0 {
		s.deliver()
	}
}

// endByRead reads the leader once.
func (s *schedule) endByRead() (string, error) {
	for _, t := range s.v.topics {
		if log := s.log[t.subject]; len(log) == 0 {
			t.learn(stored{}, errNoMessage)
		} else {
			t.learn(log[len(log)-1].stored, nil)
			s.note(log[len(log)-1])
		}
	}
	s.say("read the leader")
	end, err := s.judge()
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(s.v.topics, func(t *topic) bool { return len(s.log[t.subject]) == 0 }) {
		return "nothing is published", nil // what was known of a stream that is gone stays
	}
	want := verdict(s.v.q, func(t *topic) events.State { return lastOf(s.log[t.subject]) }, s.v)
	switch {
	case end == "" && want == "":
		return "waiting", nil
	case end == want:
		return end + " by a read", nil
	}
	return "", fmt.Errorf("the wait is %q by a read of states that make it %q", end, want)
}

// endLive publishes states that satisfy every target, and delivers them.
func (s *schedule) endLive() (string, error) {
	for _, t := range s.v.topics {
		s.post(events.State{Environment: "prod", Database: t.database, Ready: &events.Ready{Version: "9"}})
		s.deliver()
	}
	end, err := s.judge()
	if err == nil && end != "released" {
		err = fmt.Errorf("the wait is %q by live messages that satisfy it", end)
	}
	return end + " live", err
}

// note checks that what is known of a stream is no older than what it was.
func (s *schedule) note(m posted) {
	for _, t := range s.v.topics {
		if t.subject == m.subject && t.last.revision == m.revision && t.last.at.Equal(m.at) {
			if before := s.known[t]; before.stream == m.stream && before.revision > m.revision {
				s.trace = append(s.trace, fmt.Sprintf("BACK from %d to %d", before.revision, m.revision))
			}
			s.known[t] = m
		}
	}
}

// judge lets the wait end if it would, and checks that it may.
func (s *schedule) judge() (end string, err error) {
	if last := s.trace[len(s.trace)-1]; s.skew == 0 && strings.HasPrefix(last, "BACK") {
		return "", errors.New("an older message has replaced a newer one")
	}
	done, why := s.v.judge()
	if !done {
		return "", nil
	}
	for i, t := range s.v.byTarget {
		data, err := json.Marshal(t.state)
		if err != nil {
			return "", err
		}
		if t.last.revision > 0 && !s.published[t.subject][string(data)] || t.last.revision == 0 && t.state.Ready != nil {
			return "", fmt.Errorf("%s was never published: %s", s.v.q.Targets[i], data)
		}
	}
	end = verdict(s.v.q, func(t *topic) events.State { return t.state }, s.v)
	if end != "released" && why == nil || end != "failed" && why != nil {
		return "", fmt.Errorf("the wait ended with %v, though its states make it %q", why, end)
	}
	return end, nil
}

func lastOf(log []posted) (state events.State) {
	if err := json.Unmarshal(log[len(log)-1].data, &state); err != nil {
		panic(err)
	}
	return state
}

// verdict is how a wait ends by some states, as the contract has it, for versions that are single digits.
func verdict(q Query, of func(*topic) events.State, v *vigil) string {
	satisfied, lost, open := 0, 0, 0
	for i, target := range q.Targets {
		s, required := of(v.byTarget[i]), target.Version
		failed := s.LastAttempt != nil && s.LastAttempt.Version >= required
		switch {
		case s.Ready != nil && required != "" && required < s.Ready.MinCompatible:
			lost++
		case s.Ready != nil && s.Ready.Version >= required:
			satisfied++
		case failed && q.OnFailure == Fail:
			lost++
		default:
			open++
		}
	}
	switch {
	case satisfied == len(q.Targets), q.Any && satisfied > 0:
		return "released"
	case lost > 0 && (!q.Any || open == 0):
		return "failed"
	}
	return ""
}

// live is m as the server republishes it.
func live(m posted) *nats.Msg {
	return &nats.Msg{
		Subject: strings.Replace(m.subject, "schema.state.", "schema.live.", 1), Data: m.data,
		Header: nats.Header{
			jetstream.SubjectHeader:  {m.subject},
			jetstream.SequenceHeader: {strconv.FormatUint(m.revision, 10)},
			jetstream.TimeStampHeaer: {m.at.Format(time.RFC3339Nano)},
		},
	}
}
