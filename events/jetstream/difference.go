package jetstream

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Difference is one setting of a stream that is not as it should be.
type Difference struct {
	Stream  string `json:"stream"`
	Setting string `json:"setting"` // as the server's configuration names it; "stream" if there is none
	Want    string `json:"want"`
	Have    string `json:"have"`
}

func (d Difference) String() string {
	return fmt.Sprintf("stream %s: %s is %s, want %s", d.Stream, d.Setting, d.Have, d.Want)
}

// DifferenceError says that streams exist with other settings. They are changed by Streams.Migrate, when somebody asks for it.
type DifferenceError struct{ Differences []Difference }

func (e *DifferenceError) Error() string {
	lines := make([]string, len(e.Differences))
	for i, d := range e.Differences {
		lines[i] = d.String()
	}
	return strings.Join(lines, "; ") + ": change the streams (`schemawave streams migrate`) or the configuration"
}

// absent is the difference of a stream that does not exist.
func absent(want jetstream.StreamConfig) Difference {
	return Difference{Stream: want.Name, Setting: "stream", Want: "present", Have: "absent"}
}

// compare lists the settings that decide what the stream keeps, loses or forwards. How it is described, compressed and
// placed is the administrator's affair.
func compare(want, have jetstream.StreamConfig) []Difference {
	settings := []struct {
		name       string
		want, have any
	}{
		{"subjects", want.Subjects, have.Subjects},
		{"retention", want.Retention, have.Retention},
		{"storage", want.Storage, have.Storage},
		{"num_replicas", want.Replicas, have.Replicas},
		{"discard", want.Discard, have.Discard},
		{"max_age", want.MaxAge, have.MaxAge},
		{"max_msgs", unlimited(want.MaxMsgs), unlimited(have.MaxMsgs)},
		{"max_bytes", unlimited(want.MaxBytes), unlimited(have.MaxBytes)},
		{"max_msg_size", unlimited(int64(want.MaxMsgSize)), unlimited(int64(have.MaxMsgSize))},
		{"max_msgs_per_subject", unlimited(want.MaxMsgsPerSubject), unlimited(have.MaxMsgsPerSubject)},
		{"duplicate_window", want.Duplicates, have.Duplicates},
		{"no_ack", want.NoAck, have.NoAck},
		{"sealed", want.Sealed, have.Sealed},
		{"allow_direct", want.AllowDirect, have.AllowDirect},
		{"allow_rollup_hdrs", want.AllowRollup, have.AllowRollup},
		{"allow_msg_ttl", want.AllowMsgTTL, have.AllowMsgTTL},
		{"deny_delete", want.DenyDelete, have.DenyDelete},
		{"deny_purge", want.DenyPurge, have.DenyPurge},
		{"republish", republish(want.RePublish), republish(have.RePublish)},
		{"subject_transform", want.SubjectTransform != nil, have.SubjectTransform != nil},
		{"mirror", want.Mirror != nil, have.Mirror != nil},
		{"sources", len(want.Sources), len(have.Sources)},
	}
	var differences []Difference
	for _, s := range settings {
		if w, h := fmt.Sprint(s.want), fmt.Sprint(s.have); w != h {
			differences = append(differences, Difference{Stream: want.Name, Setting: s.name, Want: w, Have: h})
		}
	}
	return differences
}

// unlimited gives no limit one name: the server writes it -1 or leaves it out.
func unlimited(n int64) string {
	if n <= 0 {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

func republish(r *jetstream.RePublish) string {
	switch {
	case r == nil:
		return "off"
	case r.HeadersOnly:
		return r.Source + " to " + r.Destination + ", headers only"
	}
	return r.Source + " to " + r.Destination
}
