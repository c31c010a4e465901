package controller

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/schemawave/schemawave/events"
)

var (
	simSeed      = flag.Uint64("simulation.seed", 0, "of the one schedule that TestSimulation plays; 0: many")
	simSchedules = flag.Int("simulation.schedules", 300, "how many schedules TestSimulation plays")
)

// TestSimulation plays the lives of Applications, their Jobs, the controller and its broker in random schedules. However they go,
// what is published is never wrong, nothing that was to be seen is missing, no fact is told twice, and all is in order.
//
// A schedule that fails is cut down to the steps that matter, and printed. Its seed plays it again:
//
//	go test ./controller -run TestSimulation -simulation.seed N
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		play(t, *simSeed)
		return
	}
	n := *simSchedules
	if testing.Short() {
		n /= 10
	}
	var all simFigures
	for seed := range uint64(n) {
		all.add(play(t, seed+1))
		if t.Failed() {
			return
		}
	}
	t.Logf("%d schedules: %s", n, all)
	for p := range claims {
		if all.told[p] == 0 && n >= 300 {
			t.Errorf("no schedule has led to an event %q: what could be said of it is not tried", p)
		}
	}
	if (all.far == 0 || all.both == 0 || all.plain == 0) && n >= 300 {
		t.Error("no schedule has had a Job in another cluster, or two of one name in both, or one in the Sync phase")
	}
	if all.heals == 0 && n >= 300 {
		t.Error("in no schedule a sync was asked for")
	}
}

// simFigures count what schedules led to.
type simFigures struct {
	steps, jobs, far, plain, heals int
	both                           int // schedules with Jobs of the same name in both clusters
	told                           map[events.Predicate]int
}

func (f *simFigures) add(g simFigures) {
	f.steps += g.steps
	f.jobs += g.jobs
	f.far += g.far
	f.plain += g.plain
	f.both += g.both
	f.heals += g.heals
	if f.told == nil {
		f.told = map[events.Predicate]int{}
	}
	for p, n := range g.told {
		f.told[p] += n
	}
}

func (f simFigures) String() string {
	return fmt.Sprintf("%d steps, %d Jobs, %d of them in another cluster, %d times of one name in both, %d in the Sync phase, %d syncs asked for, events %v",
		f.steps, f.jobs, f.far, f.both, f.plain, f.heals, f.told)
}

// simStep is one thing that happens. What exactly, its own seed decides, so that a schedule stays the same where others are left out.
type simStep struct {
	what string
	seed uint64
}

// simChances are how often each step is taken.
var simChances = []struct {
	what   string
	chance int
	do     func(*simulation, *rand.Rand)
}{
	{"argo cd goes on", 60, func(s *simulation, r *rand.Rand) { s.app(r).tick(r) }},
	{"somebody pushes", 5, func(s *simulation, r *rand.Rand) { s.app(r).push(r) }},
	{"argo cd compares", 8, func(s *simulation, r *rand.Rand) { s.app(r).refresh(r.IntN(4)) }},
	{"a full sync", 14, func(s *simulation, r *rand.Rand) { s.app(r).sync(r) }},
	{"a partial sync", 7, func(s *simulation, r *rand.Rand) { s.app(r).selfHeal(r) }},
	{"a rollback", 2, func(s *simulation, r *rand.Rand) { s.app(r).rollback(r) }},
	{"a sync is terminated", 3, func(s *simulation, r *rand.Rand) { s.app(r).terminate() }},
	{"a sync window turns", 3, func(s *simulation, _ *rand.Rand) { s.world.shut() }},
	{"an application is suspended, or goes on", 2, func(s *simulation, r *rand.Rand) { s.app(r).suspend() }},
	{"a job is deleted by hand", 2, func(s *simulation, r *rand.Rand) { s.deleteJob(r) }},
	{"the watches go on", 60, func(s *simulation, r *rand.Rand) { s.watch(r) }},
	{"a watch breaks off", 5, func(s *simulation, r *rand.Rand) { w := s.process(r).watches(); w[r.IntN(len(w))].relist() }},
	{"a pass", 45, func(s *simulation, r *rand.Rand) { s.pass(r) }},
	{"a leader catches up", 6, func(s *simulation, r *rand.Rand) { s.process(r).catchUp() }},
	{"a controller is killed", 2, func(s *simulation, r *rand.Rand) { s.kill(r) }},
	{"a replica leads", 4, func(s *simulation, r *rand.Rand) { s.elect(r) }},
	{"nats goes", 2, func(s *simulation, _ *rand.Rand) { s.outage = true }},
	{"nats comes", 5, func(s *simulation, _ *rand.Rand) { s.outage = false }},
	{"the other cluster goes", 3, func(s *simulation, _ *rand.Rand) { s.world.far.away = true }},
	{"the other cluster comes", 4, func(s *simulation, _ *rand.Rand) { s.world.far.away = false }},
	{"its secret changes", 2, func(s *simulation, r *rand.Rand) { s.world.renew(r.IntN(3) > 0) }},
	{"a leader follows the other cluster", 20, func(s *simulation, r *rand.Rand) { s.follow(r) }},
	{"time passes", 8, func(s *simulation, r *rand.Rand) {
		s.world.clock = s.world.clock.Add(time.Duration(r.IntN(1200)) * time.Second)
	}},
}

// simulation is one schedule as it is played.
type simulation struct {
	t         *testing.T
	options   Options
	world     *simWorld
	broker    *simBroker
	truth     *simTruth
	processes []*simProcess
	outage    bool
	lossy     bool
	rnd       *rand.Rand // of the step
	depth     int
	trace     []string
}

func schedule(seed uint64) []simStep {
	rnd := rand.New(rand.NewPCG(seed, 1))
	total := 0
	for _, c := range simChances {
		total += c.chance
	}
	steps := make([]simStep, 150+rnd.IntN(250))
	for i := range steps {
		n := rnd.IntN(total)
		for _, c := range simChances {
			if n -= c.chance; n < 0 {
				steps[i] = simStep{c.what, rnd.Uint64()}
				break
			}
		}
	}
	return steps
}

// play plays a schedule. If it goes wrong, fewer steps are tried until none can be left out.
func play(t *testing.T, seed uint64) simFigures {
	t.Helper()
	steps := schedule(seed)
	s := simulate(t, seed, steps)
	figures := simFigures{steps: len(steps), jobs: len(s.world.runs), heals: s.truth.heals, told: map[events.Predicate]int{}}
	for _, r := range s.world.runs {
		figures.far += int(truth(r.op.app.server == s.world.far))
		figures.plain += int(truth(r.op.app.plain))
	}
	figures.both = int(truth(s.world.sameNames()))
	for _, m := range s.broker.events.messages {
		figures.told[m.event.Predicate]++
	}
	if len(s.truth.wrong) == 0 {
		return figures
	}
	class, _, _ := strings.Cut(s.truth.wrong[0], ":")
	for size := len(steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(steps); {
			fewer := slices.Delete(slices.Clone(steps), at, at+size)
			if again := simulate(t, seed, fewer); slices.ContainsFunc(again.truth.wrong, func(w string) bool { return strings.HasPrefix(w, class) }) {
				steps, s = fewer, again
			} else {
				at += size
			}
		}
	}
	t.Errorf("seed %d, %d steps:\n\t%s\n%s\nplay it again: go test ./controller -run TestSimulation -simulation.seed %d",
		seed, len(steps), strings.Join(s.trace, "\n\t"), strings.Join(s.truth.wrong, "\n"), seed)
	return figures
}

func simulate(t *testing.T, seed uint64, steps []simStep) *simulation {
	rnd := rand.New(rand.NewPCG(seed, 2))
	s := &simulation{t: t, options: Options{LocalServers: localServers, ApplicationsOnly: rnd.IntN(3) == 0}, lossy: rnd.IntN(2) == 0}
	if !s.options.ApplicationsOnly && rnd.IntN(3) > 0 {
		s.options.ClusterSecrets = "argocd"
	}
	s.world = newSimWorld(rnd)
	s.broker = &simBroker{
		states: simStream{replicated: rnd.IntN(2) == 0}, events: simStream{},
		now:  func() time.Time { return s.world.clock },
		lost: func() bool { return s.outage || s.lossy && s.rnd.IntN(100) < 10 }, meanwhile: s.meanwhile,
	}
	s.broker.events.replicated = s.broker.states.replicated
	s.truth = &simTruth{world: s.world, broker: s.broker, only: s.options.ApplicationsOnly,
		ready: map[string]events.Ready{}, last: map[string]time.Time{}, told: map[string]int{}}
	if rnd.IntN(2) == 0 {
		s.options.Heal = HealSync
	}
	s.world.collected = s.truth.collected
	s.world.healed = func(a *simApp, c change) error {
		s.note("asked for: a sync of %s", a.object.Name)
		return s.truth.healed(a, c)
	}
	s.broker.stored = func(m simMessage) {
		if m.state == nil {
			s.note("told: %s %s/%s@%s run %s by %s", m.event.Predicate, m.event.Environment, m.event.Database, m.event.Attempt.Version,
				m.event.Attempt.Run, m.event.Attempt.Evidence)
		} else {
			s.note("state: %s", m.state)
		}
		s.truth.stored(m)
	}
	s.rnd = rnd
	for i := range 2 {
		s.processes = append(s.processes, newSimProcess(t, fmt.Sprint("replica ", i), s.options, s.world))
	}
	s.processes[0].lead(s.broker)
	for i, step := range steps {
		s.rnd = rand.New(rand.NewPCG(step.seed, uint64(len(step.what))))
		s.world.clock = s.world.clock.Add(time.Duration(s.rnd.IntN(4000)) * time.Millisecond)
		s.note("%d %s %s", i, s.world.clock.Format(time.TimeOnly), step.what)
		s.do(step.what, s.rnd)
	}
	s.settle()
	return s
}

func (s *simulation) do(what string, rnd *rand.Rand) {
	for _, c := range simChances {
		if c.what == what {
			c.do(s, rnd)
		}
	}
}

func (s *simulation) note(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

// settle lets all be seen and said, and then has a new leader look at it.
func (s *simulation) settle() {
	s.outage, s.lossy, s.depth = false, false, 1
	s.note("all settles")
	for _, a := range s.world.apps {
		for range 100 {
			s.world.clock = s.world.clock.Add(time.Second)
			a.tick(s.rnd)
		}
	}
	if s.leader() == nil {
		s.processes[0].lead(s.broker)
	}
	s.world.far.away = s.rnd.IntN(4) == 0
	s.world.renew(s.rnd.IntN(8) > 0)
	s.catchUp()
	s.reach(s.world.far.away || !s.world.known)
	for _, p := range s.processes {
		p.end()
	}
	told := len(s.broker.events.messages)
	s.world.clock = s.world.clock.Add(time.Duration(s.rnd.IntN(3)) * simWindow)
	again := newSimProcess(s.t, "another replica", s.options, s.world)
	s.note("another replica leads")
	again.lead(s.broker)
	s.processes = []*simProcess{again}
	s.world.far.away = s.rnd.IntN(4) == 0
	s.catchUp()
	s.reach(s.world.far.away)
	for _, m := range s.broker.events.messages[told:] {
		// While a Job that is gone still speaks, Argo CD's word on it is not taken; afterwards nothing may wake who would take it.
		late := m.event.Predicate == events.Deleted || m.event.Predicate == events.Terminated ||
			s.unread(m.event)
		if !late && len(s.truth.wrong) == 0 {
			s.truth.fault("lost: only a new leader tells %s of run %s", m.event.Predicate, m.event.Attempt.Run)
		}
	}
	again.end()
}

// unread reports whether an event rests on what counts only while the other cluster is not read: an obstacle of an Application that does not
// say how its environment is called, and Argo CD's word on a plain Job that failed.
func (s *simulation) unread(e events.Event) bool {
	return slices.ContainsFunc(s.world.apps, func(a *simApp) bool {
		return a.server == s.world.far && e.Attempt.Application == a.object.Namespace+"/"+a.object.Name &&
			(e.Predicate.Obstructs() && a.object.Annotations[AnnotationEnvironment] == "" || e.Predicate == events.Failed && a.plain)
	})
}

// reach has the other cluster be there in the end, and all be complete with it as it was without.
func (s *simulation) reach(lost bool) {
	if leader := s.leader(); len(s.truth.wrong) == 0 {
		s.truth.complete(leader)
	}
	if lost {
		s.note("the other cluster is there again")
		s.world.far.away = false
		s.world.renew(true)
		s.catchUp()
		s.reach(false)
	}
}

// catchUp has everybody learn of everything and act on it.
func (s *simulation) catchUp() {
	for _, p := range s.processes {
		if p.acting != nil {
			p.acting.regain()
		}
	}
	s.world.clock = s.world.clock.Add(settling)
	for range 200 {
		any := false
		for _, p := range s.processes {
			any = p.acting != nil && p.acting.pass() || any
			for _, w := range p.watches() {
				for w.next() { // what the controller deleted, too
					any = true
				}
			}
		}
		if !any {
			return
		}
	}
	s.truth.fault("stuck: passes go on failing")
}

func (s *simulation) leader() *simTerm {
	for _, p := range s.processes {
		if p.acting != nil {
			return p.acting
		}
	}
	return nil
}

func (s *simulation) app(r *rand.Rand) *simApp { return s.world.apps[r.IntN(len(s.world.apps))] }

func (s *simulation) process(r *rand.Rand) *simProcess { return s.processes[r.IntN(len(s.processes))] }

func (s *simulation) deleteJob(r *rand.Rand) {
	var there []*simRun
	for _, run := range s.world.runs {
		if !run.gone {
			there = append(there, run)
		}
	}
	if len(there) > 0 {
		s.world.remove(there[r.IntN(len(there))], true)
	}
}

// watch delivers some changes of one kind.
func (s *simulation) watch(r *rand.Rand) {
	all := s.process(r).watches()
	w := all[r.IntN(len(all))]
	for range 1 + r.IntN(4) {
		w.next()
	}
}

// follow has a leader take the next steps in following the other cluster.
func (s *simulation) follow(r *rand.Rand) {
	if term := s.process(r).acting; term != nil {
		for range 1 + r.IntN(3) {
			term.follow(r.IntN(8) == 0)
		}
	}
}

func (s *simulation) pass(r *rand.Rand) {
	p := s.process(r)
	if p.acting != nil && !p.acting.within {
		p.acting.pass()
	}
}

// kill ends a process, and starts it anew with what the server has now.
func (s *simulation) kill(r *rand.Rand) {
	i := r.IntN(len(s.processes))
	p := s.processes[i]
	led := p.acting != nil
	p.end()
	s.processes[i] = newSimProcess(s.t, p.name, s.options, s.world)
	if led && r.IntN(2) == 0 {
		s.processes[i].lead(s.broker)
	}
}

// elect makes a replica the leader, and the other one notices now or later.
func (s *simulation) elect(r *rand.Rand) {
	i := r.IntN(len(s.processes))
	for k, p := range s.processes {
		if k != i && p.acting != nil && r.IntN(2) == 0 {
			p.end()
			s.processes[k] = newSimProcess(s.t, p.name, s.options, s.world)
		}
	}
	if s.processes[i].acting == nil {
		s.processes[i].lead(s.broker)
	}
}

// meanwhile lets something else happen while a request to the broker is on its way.
func (s *simulation) meanwhile() {
	if s.depth > 0 || s.rnd.IntN(4) > 0 {
		return
	}
	s.depth++
	defer func() { s.depth-- }()
	what := []string{"argo cd goes on", "the watches go on", "the watches go on", "a pass", "a leader catches up", "a leader catches up", "a replica leads", "a controller is killed",
		"a leader follows the other cluster", "the other cluster goes"}
	if n := s.rnd.IntN(len(what) + 3); n < len(what) {
		s.note("  meanwhile: %s", what[n])
		s.do(what[n], s.rnd)
	}
}
