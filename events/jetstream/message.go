package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/schemawave/schemawave/events"
)

// stored is a message of a stream with its place in it. The zero value stands for no message.
type stored struct {
	revision uint64    // the sequence in the stream
	at       time.Time // when the stream stored it
	id       string    // its Nats-Msg-Id
	data     []byte
}

var (
	errNoMessage = errors.New("the subject has no message")
	errNoStream  = errors.New("no server answers for the stream: create it with `schemawave streams ensure`, unless its server is just starting")
)

// fromHeaders reads what the server adds to a direct answer or to a republished message: Nats-Sequence, Nats-Time-Stamp.
func fromHeaders(m *nats.Msg) (stored, error) {
	revision, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return stored{}, fmt.Errorf("message on %s has no %s header: it was not stored by a stream", m.Subject, jetstream.SequenceHeader)
	}
	// An unreadable time leaves the zero time: only the sequence then decides which message is newer.
	at, _ := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	return stored{revision: revision, at: at, id: m.Header.Get(jetstream.MsgIDHeader), data: m.Data}, nil
}

// directGet reads the last message on subject from any replica, which may lag behind. It needs no right but to publish to
// $JS.API.DIRECT.GET.<stream>.<subject>.
func directGet(ctx context.Context, nc *nats.Conn, stream, subject string) (stored, error) {
	m, err := nc.RequestWithContext(ctx, directSubject(stream, subject), nil)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return stored{}, errNoStream
	case err != nil:
		return stored{}, err
	}
	switch status := m.Header.Get("Status"); status {
	case "":
		return fromHeaders(m)
	case "404":
		return stored{}, errNoMessage
	default:
		return stored{}, fmt.Errorf("stream %s answers %s %s", stream, status, m.Header.Get("Description"))
	}
}

// storedOn reports whether the stream stored m on subject. A server sends answers wherever a request wants them, so the subject
// that a message comes on proves nothing; what the server says in the header does, unless somebody said it before.
func storedOn(m *nats.Msg, subject string) bool {
	return slices.Equal(m.Header.Values(jetstream.SubjectHeader), []string{subject})
}

func directSubject(stream, subject string) string {
	return "$JS.API.DIRECT.GET." + stream + "." + subject
}

func lastSubject(stream string) string { return "$JS.API.STREAM.MSG.GET." + stream }

// lastGet reads the last message on subject from the stream's leader, so it sees every message that was acknowledged.
func lastGet(ctx context.Context, nc *nats.Conn, stream, subject string) (stored, error) {
	return get(ctx, nc, stream, map[string]any{"last_by_subj": subject})
}

// nextGet reads, as lastGet does, the first message on subject after the sequence number after, or, if that is 0, since a time.
func nextGet(ctx context.Context, nc *nats.Conn, stream, subject string, since time.Time, after uint64) (stored, error) {
	if after > 0 {
		return get(ctx, nc, stream, map[string]any{"next_by_subj": subject, "seq": after + 1})
	}
	return get(ctx, nc, stream, map[string]any{"next_by_subj": subject, "start_time": since})
}

// get asks for one message of a stream (nats-server, JSApiMsgGetRequest), for as long as an attempt may take.
func get(ctx context.Context, nc *nats.Conn, stream string, query map[string]any) (stored, error) {
	request, err := json.Marshal(query)
	if err != nil {
		return stored{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, lastSubject(stream), request)
	if err != nil {
		return stored{}, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Sequence uint64    `json:"seq"`
			Time     time.Time `json:"time"`
			Headers  []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return stored{}, fmt.Errorf("stream %s: answer: %w", stream, err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return stored{}, errNoMessage
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		return stored{}, errNoStream
	case answer.Error != nil:
		return stored{}, answer.Error
	case answer.Message == nil:
		return stored{}, fmt.Errorf("stream %s: answer holds neither a message nor an error", stream)
	}
	s := stored{revision: answer.Message.Sequence, at: answer.Message.Time, data: answer.Message.Data}
	if len(answer.Message.Headers) > 0 {
		h, err := nats.DecodeHeadersMsg(answer.Message.Headers)
		if err != nil {
			return stored{}, fmt.Errorf("stream %s: message %d: headers: %w", stream, s.revision, err)
		}
		s.id = h.Get(jetstream.MsgIDHeader)
	}
	return s, nil
}

// newerThan reports whether s replaces old. A higher sequence does, whatever its time, because the clocks of two leaders differ; so
// does a later message with the same or a lower sequence, because the stream was then made anew. An earlier one comes from a
// replica that lags.
func (s stored) newerThan(old stored) bool {
	return s.revision > old.revision || s.at.After(old.at)
}

// event is the Event that the message holds, as its data tells it; one without an attempt, if it holds none.
func (s stored) event(p events.Predicate) events.Event {
	e := events.Event{Predicate: p}
	if err := json.Unmarshal(s.data, &e); err != nil {
		return events.Event{}
	}
	return e
}

// state is the State that the message holds. No message is a state with names alone, and so is one that is an error: it holds
// something else, or the state of another database.
func (s stored) state(environment, database, tenant string) (events.State, error) {
	none := events.State{Environment: environment, Database: database, Tenant: tenant}
	if s.revision == 0 {
		return none, nil
	}
	state := none
	if err := json.Unmarshal(s.data, &state); err != nil {
		return none, fmt.Errorf("state of %s, revision %d: %w", none.Name(), s.revision, err)
	}
	if state.Environment != environment || state.Database != database || state.Tenant != tenant {
		return none, fmt.Errorf("state of %s, revision %d: it is that of %s", none.Name(), s.revision, state.Name())
	}
	return state, nil
}
