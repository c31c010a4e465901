package jetstream

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// odd makes the streams with settings that change does to each.
func odd(t *testing.T, change func(state, event *jetstream.StreamConfig)) *Streams {
	t.Helper()
	streams, err := NewStreams(dial(t, runBare(t, natstest.Options{})))
	if err != nil {
		t.Fatal(err)
	}
	configs := StreamOptions{}.Configs()
	change(&configs[0], &configs[1])
	for _, c := range configs {
		if _, err := streams.js.CreateStream(bounded(t), c); err != nil {
			t.Fatal(err)
		}
	}
	return streams
}

func TestMigrateChangesWhatItSays(t *testing.T) {
	streams := odd(t, func(state, event *jetstream.StreamConfig) {
		state.MaxAge, state.MaxMsgsPerSubject, state.MaxBytes, state.Duplicates = time.Hour, 5, 1<<20, time.Minute
		state.AllowDirect, state.DenyDelete, state.RePublish = false, false, nil
		state.Compression, state.Description = jetstream.S2Compression, "ours"
		event.MaxAge, event.DenyPurge, event.Discard, event.AllowRollup = 24*time.Hour, false, jetstream.DiscardNew, false
	})
	p := publisher(t, streams.nc)
	for _, v := range []string{"5", "6", "7"} {
		publish(t, p, "prod", v, at(v))
	}
	want, err := streams.Verify(bounded(t), StreamOptions{})
	if err != nil || len(want) < 9 {
		t.Fatalf("%v, %v", want, err)
	}
	got, err := streams.Migrate(bounded(t), StreamOptions{})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if left, err := streams.Verify(bounded(t), StreamOptions{}); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if again, err := streams.Migrate(bounded(t), StreamOptions{}); err != nil || len(again) > 0 {
		t.Errorf("again: %v, %v", again, err)
	}
	state, err := streams.js.Stream(bounded(t), events.StateStream)
	if err != nil {
		t.Fatal(err)
	}
	if c := state.CachedInfo().Config; c.Description != "ours" || c.Compression != jetstream.S2Compression {
		t.Errorf("what is the administrator's affair was changed: %+v", c)
	}
	released(t, wait(t, bounded(t), NewWaiter(streams.nc), Query{Targets: []events.Target{orders("prod", "7")}}), "7")
}

func TestMigrateCreatesWhatIsAbsent(t *testing.T) {
	streams, err := NewStreams(dial(t, runBare(t, natstest.Options{})))
	if err != nil {
		t.Fatal(err)
	}
	got, err := streams.Migrate(bounded(t), StreamOptions{})
	if err != nil || len(got) != 2 || got[0].Have != "absent" {
		t.Errorf("%v, %v", got, err)
	}
	if left, err := streams.Verify(bounded(t), StreamOptions{}); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// What NATS would not change, or what would lose events, changes nothing else either.
func TestMigrateRefuses(t *testing.T) {
	for reason, c := range map[string]struct {
		change  func(state, event *jetstream.StreamConfig)
		setting string
	}{
		"states in memory":             {func(state, _ *jetstream.StreamConfig) { state.Storage = jetstream.MemoryStorage }, "storage"},
		"states that cannot be purged": {func(state, _ *jetstream.StreamConfig) { state.DenyPurge = true }, "deny_purge"},
		"states that may expire":       {func(state, _ *jetstream.StreamConfig) { state.AllowMsgTTL = true }, "allow_msg_ttl"},
		"events for one reader":        {func(_, event *jetstream.StreamConfig) { event.Retention = jetstream.WorkQueuePolicy }, "retention"},
		"events for ever":              {func(_, event *jetstream.StreamConfig) { event.MaxAge = 0 }, "max_age"},
		"events for a year":            {func(_, event *jetstream.StreamConfig) { event.MaxAge = 365 * 24 * time.Hour }, "max_age"},
		"events from elsewhere":        {func(_, event *jetstream.StreamConfig) { event.Sources = []*jetstream.StreamSource{{Name: "ELSEWHERE"}} }, "sources"},
	} {
		t.Run(reason, func(t *testing.T) {
			streams := odd(t, func(state, event *jetstream.StreamConfig) {
				state.Duplicates = time.Minute // which could be changed
				c.change(state, event)
			})
			before, err := streams.Verify(bounded(t), StreamOptions{})
			if err != nil {
				t.Fatal(err)
			}
			changed, err := streams.Migrate(bounded(t), StreamOptions{})
			var refused *RefusedError
			if !errors.As(err, &refused) || len(refused.Refusals) != 1 || refused.Refusals[0].Setting != c.setting || len(changed) > 0 {
				t.Fatalf("changed %v, %v; want a refusal of %s", changed, err, c.setting)
			}
			if !strings.Contains(err.Error(), "nats stream backup") {
				t.Errorf("%v names no way out", err)
			}
			after, err := streams.Verify(bounded(t), StreamOptions{})
			if diff := cmp.Diff(before, after); err != nil || diff != "" {
				t.Errorf("%v, something was changed:\n%s", err, diff)
			}
		})
	}
}

// Nothing that is said to cannot be changed can be, so that nobody is sent to delete a stream without need.
func TestWhatMigrateRefusesNATSRefuses(t *testing.T) {
	for setting, change := range map[string]func(state *jetstream.StreamConfig){
		"storage":       func(state *jetstream.StreamConfig) { state.Storage = jetstream.MemoryStorage },
		"deny_purge":    func(state *jetstream.StreamConfig) { state.DenyPurge = true },
		"allow_msg_ttl": func(state *jetstream.StreamConfig) { state.AllowMsgTTL = true },
		"retention":     func(state *jetstream.StreamConfig) { state.Retention = jetstream.WorkQueuePolicy },
	} {
		streams := odd(t, func(state, _ *jetstream.StreamConfig) { change(state) })
		if _, err := streams.js.UpdateStream(bounded(t), StreamOptions{}.Configs()[0]); err == nil {
			t.Errorf("%s can be changed", setting)
		}
	}
}

// Whatever a stream has, what it adopts leaves no difference.
func TestAdoptLeavesNoDifference(t *testing.T) {
	for _, want := range (StreamOptions{Replicas: 3}).Configs() {
		have := jetstream.StreamConfig{
			Name: want.Name, Subjects: []string{"x"}, Retention: jetstream.InterestPolicy, Storage: jetstream.MemoryStorage, Replicas: 5,
			Discard: jetstream.DiscardNew, MaxAge: 1, MaxMsgs: 1, MaxBytes: 1, MaxMsgSize: 1, MaxMsgsPerSubject: 7, Duplicates: 1, NoAck: true,
			Sealed: true, AllowDirect: !want.AllowDirect, AllowRollup: true, AllowMsgTTL: true, DenyDelete: !want.DenyDelete, DenyPurge: !want.DenyPurge,
			RePublish: &jetstream.RePublish{Destination: "y"}, SubjectTransform: &jetstream.SubjectTransformConfig{}, Mirror: &jetstream.StreamSource{},
			Sources: []*jetstream.StreamSource{{}},
		}
		if n := len(compare(want, have)); n != 22 {
			t.Errorf("%d settings differ, want all", n)
		}
		if left := compare(want, adopt(want, have)); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}
