package events

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// The CloudEvents sources. Source and id together tell messages apart, so a state may carry the id of the event that
// brought it about.
const (
	stateSource = "/schemawave/state"
	eventSource = "/schemawave/event"
)

// changed is the predicate in the CloudEvents type of a State message.
const changed Predicate = "changed"

// Type is the CloudEvents type of an event with this predicate, in the form CDEvents gives to custom events: tool
// schemawave, subject schemamigration, version 0.1.0.
func (p Predicate) Type() string {
	return "dev.cdeventsx.schemawave-schemamigration." + string(p) + ".0.1.0"
}

// EventID is the id of the fact that e tells: what happened to which database in which run of which migration set. Neither
// the time of telling nor the evidence is part of it, so whoever tells the same fact again gives it the same id: 32
// hexadecimal digits.
func EventID(e Event) string {
	fact := []string{string(e.Predicate), e.Environment, e.Database, e.Tenant}
	if a := e.Attempt; a != nil {
		fact = append(fact, a.Version, a.Digest, a.Run)
	}
	for i, f := range fact {
		fact[i] = encodeToken(f) // no token holds a dot, so no two facts join to the same text
	}
	sum := sha256.Sum256([]byte(strings.Join(fact, ".")))
	return hex.EncodeToString(sum[:16])
}

// Headers are the CloudEvents 1.0 attributes of e in binary mode, one NATS header each; the message's data is e as JSON.
func (e Event) Headers() map[string]string {
	return headers(e.ID, eventSource, e.Predicate, e.Time, Target{e.Environment, e.Database, e.Tenant, ""}.String())
}

// Headers are the CloudEvents 1.0 attributes of s in binary mode under the given id; the message's data is s as JSON. The
// time is that of the newest fact in s.
func (s State) Headers(id string) map[string]string {
	var t time.Time
	if s.Ready != nil {
		t = s.Ready.Since
	}
	if s.LastAttempt != nil && s.LastAttempt.Finished.After(t) {
		t = s.LastAttempt.Finished
	}
	if s.Obstacle != nil && s.Obstacle.Since.After(t) {
		t = s.Obstacle.Since
	}
	return headers(id, stateSource, changed, t, s.Name())
}

// headers names the data's type twice: drafts of the NATS binding differ on whether datacontenttype is content-type.
func headers(id, source string, p Predicate, t time.Time, subject string) map[string]string {
	h := map[string]string{
		"ce-specversion":     "1.0",
		"ce-id":              percentEncode(id),
		"ce-source":          source,
		"ce-type":            percentEncode(p.Type()),
		"ce-subject":         percentEncode(subject),
		"ce-datacontenttype": "application/json",
		"content-type":       "application/json",
	}
	if !t.IsZero() {
		h["ce-time"] = t.UTC().Format(time.RFC3339Nano)
	}
	return h
}

// ParseEvent reads an event from a message's headers and data; header gives the value of a header, or "".
func ParseEvent(header func(name string) string, data []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(data, &e); err != nil {
		return Event{}, fmt.Errorf("event %s: %w", header("ce-id"), err)
	}
	e.ID = percentDecode(header("ce-id"))
	kind := percentDecode(header("ce-type"))
	p, ok := strings.CutPrefix(kind, "dev.cdeventsx.schemawave-schemamigration.")
	p, _, dotted := strings.Cut(p, ".")
	if !ok || !dotted {
		return Event{}, fmt.Errorf("event %s: ce-type %q is not an event of schemawave", e.ID, kind)
	}
	e.Predicate = Predicate(p)
	if t := header("ce-time"); t != "" {
		var err error
		if e.Time, err = time.Parse(time.RFC3339Nano, t); err != nil {
			return Event{}, fmt.Errorf("event %s: ce-time: %w", e.ID, err)
		}
	}
	return e, nil
}

// percentEncode makes a header value of any string, as the HTTP binding of CloudEvents 1.0 says in section 3.1.3.2: blanks,
// double quotes, percent signs and whatever is not printable ASCII become "%" and two hexadecimal digits per UTF-8 byte.
func percentEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '%' {
			b.WriteString("%" + hexDigits[c>>4:c>>4+1] + hexDigits[c&15:c&15+1])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// percentDecode undoes percentEncode. As the binding asks, it accepts digits of both cases; what is no escape stays as it is.
func percentDecode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.Write(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
