package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Refusal is a difference that Migrate leaves, and why.
type Refusal struct {
	Difference
	Why string `json:"why"`
}

// RefusedError says that nothing was changed, because some of it cannot be, or would lose messages.
type RefusedError struct{ Refusals []Refusal }

func (e *RefusedError) Error() string {
	lines := make([]string, len(e.Refusals))
	for i, r := range e.Refusals {
		lines[i] = fmt.Sprintf("%s: %s", r.Difference, r.Why)
	}
	return strings.Join(lines, "; ") + ": nothing was changed; back the stream up (`nats stream backup`), delete it (`nats stream rm`) and " +
		"create it again (`schemawave streams ensure`): the controller publishes the states again, while old events are in the backup alone"
}

// Migrate changes the streams to what Ensure would create, creates those that do not exist, and returns what it changed, beside an
// error, too. How a stream is described, compressed and placed stays as it is. A *RefusedError means that nothing was changed.
// Of the state stream it keeps the last message of each database, which is all that anybody reads.
//
// The server has accepted other numbers of replicas when Migrate returns, and brings them about after that.
func (s *Streams) Migrate(ctx context.Context, o StreamOptions) (changed []Difference, err error) {
	ctx, release := s.guardAPI(ctx)
	defer release()
	var due []change
	var refusals []Refusal
	for _, want := range o.Configs() {
		var c change
		err := s.retry(ctx, "look at stream "+want.Name, func(ctx context.Context) (err error) {
			c, err = s.change(ctx, want)
			return err
		})
		if err != nil {
			return nil, err
		}
		refusals, due = append(refusals, c.refusals...), append(due, c)
	}
	if len(refusals) > 0 {
		return nil, &RefusedError{refusals}
	}
	for _, c := range due {
		if len(c.differences) == 0 {
			continue
		}
		err := s.retry(ctx, "change stream "+c.to.Name, func(ctx context.Context) error {
			_, err := s.js.CreateOrUpdateStream(ctx, c.to)
			return err
		})
		if err != nil {
			return changed, err
		}
		changed = append(changed, c.differences...)
	}
	return changed, nil
}

// change is what one stream lacks.
type change struct {
	to          jetstream.StreamConfig
	differences []Difference
	refusals    []Refusal
}

func (s *Streams) change(ctx context.Context, want jetstream.StreamConfig) (change, error) {
	stream, err := s.js.Stream(ctx, want.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return change{to: want, differences: []Difference{absent(want)}}, nil
	case err != nil:
		return change{}, err
	}
	have := stream.CachedInfo().Config
	c := change{to: adopt(want, have), differences: compare(want, have)}
	for _, d := range c.differences {
		if why := obstacle(d.Setting, want, have); why != "" {
			c.refusals = append(c.refusals, Refusal{d, why})
		}
	}
	return c, nil
}

// obstacle says why a setting cannot be changed from what a stream has, and is empty if it can (nats-server,
// configUpdateCheck), or why it should not be.
func obstacle(setting string, want, have jetstream.StreamConfig) string {
	switch {
	case setting == "storage", setting == "sealed", setting == "deny_purge" && have.DenyPurge, setting == "deny_delete" && have.DenyDelete,
		setting == "allow_msg_ttl" && have.AllowMsgTTL, setting == "retention" && have.Retention == jetstream.WorkQueuePolicy:
		return "NATS cannot change that of a stream"
	case setting == "mirror", setting == "sources":
		return "it is filled from other streams"
	case setting == "max_age" && want.MaxAge > 0 && (have.MaxAge == 0 || have.MaxAge > want.MaxAge):
		return "messages older than that would be lost"
	}
	return ""
}

// adopt is what a stream has with every setting that compare looks at as it should be.
func adopt(want, have jetstream.StreamConfig) jetstream.StreamConfig {
	have.Subjects, have.Retention, have.Storage, have.Replicas, have.Discard = want.Subjects, want.Retention, want.Storage, want.Replicas, want.Discard
	have.MaxAge, have.MaxMsgs, have.MaxBytes, have.MaxMsgSize = want.MaxAge, want.MaxMsgs, want.MaxBytes, want.MaxMsgSize
	have.MaxMsgsPerSubject, have.Duplicates, have.NoAck, have.Sealed = want.MaxMsgsPerSubject, want.Duplicates, want.NoAck, want.Sealed
	have.AllowDirect, have.AllowRollup, have.AllowMsgTTL = want.AllowDirect, want.AllowRollup, want.AllowMsgTTL
	have.DenyDelete, have.DenyPurge = want.DenyDelete, want.DenyPurge
	have.RePublish, have.SubjectTransform, have.Mirror, have.Sources = want.RePublish, want.SubjectTransform, want.Mirror, want.Sources
	return have
}
