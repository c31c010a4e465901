package events_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/schemawave/schemawave/events"
)

// schema is the part of JSON Schema that the two files use; any other keyword in them is an error.
type schema struct {
	Schema      string            `json:"$schema"`
	ID          string            `json:"$id"`
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Ref         string            `json:"$ref"`
	Type        string            `json:"type"`
	Required    []string          `json:"required"`
	Properties  map[string]schema `json:"properties"`
	Items       *schema           `json:"items"`
	Enum        []string          `json:"enum"`
	Format      string            `json:"format"`
	Pattern     string            `json:"pattern"`
	MinLength   int               `json:"minLength"`
	Minimum     float64           `json:"minimum"`
	Defs        map[string]schema `json:"$defs"`
}

func parse(t *testing.T, text string) schema {
	t.Helper()
	var s schema
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s schema) resolve(root schema) schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		return root.Defs[name]
	}
	return s
}

// enums are the named string types whose values a schema must list.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[events.Outcome]():  {string(events.OutcomeSucceeded), string(events.OutcomeFailed)},
	reflect.TypeFor[events.Evidence](): {string(events.EvidenceReport), string(events.EvidenceJob), string(events.EvidenceApplication), string(events.EvidenceLedger)},
	reflect.TypeFor[events.Predicate](): {
		string(events.Skipped), string(events.Terminated), string(events.Deleted), string(events.Unattempted), string(events.Blocked), string(events.Stuck),
	},
}

// hold compares a Go type with its schema, both ways: every field and every property, what is required, and the types.
func hold(t *testing.T, path string, typ reflect.Type, s, root schema) {
	t.Helper()
	s = s.resolve(root)
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	want := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Slice: "array", reflect.Struct: "object"}[typ.Kind()]
	if typ == reflect.TypeFor[time.Time]() {
		want = "string"
		if s.Format != "date-time" {
			t.Errorf("%s: format %q, want date-time", path, s.Format)
		}
	}
	if s.Type != want {
		t.Errorf("%s: schema type %q, want %q", path, s.Type, want)
	}
	if diff := cmp.Diff(enums[typ], s.Enum); diff != "" {
		t.Errorf("%s: enum (-Go +schema):\n%s", path, diff)
	}
	switch {
	case want == "array":
		hold(t, path+"[]", typ.Elem(), *s.Items, root)
	case want == "object":
		holdFields(t, path, typ, s, root)
	}
}

func holdFields(t *testing.T, path string, typ reflect.Type, s, root schema) {
	t.Helper()
	var names, required []string
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		names = append(names, name)
		if options == "" {
			required = append(required, name)
		}
		property, ok := s.Properties[name]
		if !ok {
			t.Errorf("%s: the schema lacks %q", path, name)
			continue
		}
		hold(t, path+"."+name, f.Type, property, root)
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(s.Properties))); diff != "" {
		t.Errorf("%s: fields (-Go +schema):\n%s", path, diff)
	}
	if diff := cmp.Diff(required, s.Required); diff != "" {
		t.Errorf("%s: required (-Go +schema):\n%s", path, diff)
	}
}

func TestSchemasDescribeTheGoTypes(t *testing.T) {
	state, event := parse(t, events.StateSchema()), parse(t, events.EventSchema())
	hold(t, "State", reflect.TypeFor[events.State](), state, state)
	hold(t, "Event", reflect.TypeFor[events.Event](), event, event)
	if diff := cmp.Diff(state.Defs, event.Defs); diff != "" {
		t.Errorf("definitions differ (-state +event):\n%s", diff)
	}
}

// validate returns the first fault of v.
func validate(path string, v any, s, root schema) error {
	s = s.resolve(root)
	switch v := v.(type) {
	case map[string]any:
		for _, r := range s.Required {
			if _, ok := v[r]; !ok {
				return fmt.Errorf("%s: %q is missing", path, r)
			}
		}
		for k, x := range v {
			p, ok := s.Properties[k]
			if !ok {
				return fmt.Errorf("%s: %q is unknown", path, k)
			}
			if err := validate(path+"."+k, x, p, root); err != nil {
				return err
			}
		}
		return typed(path, s, "object")
	case []any:
		for _, x := range v {
			if err := validate(path+"[]", x, *s.Items, root); err != nil {
				return err
			}
		}
		return typed(path, s, "array")
	case bool:
		return typed(path, s, "boolean")
	case float64:
		if v < s.Minimum {
			return fmt.Errorf("%s: %v is below %v", path, v, s.Minimum)
		}
		return typed(path, s, "integer")
	case string:
		return validateString(path, v, s)
	}
	return fmt.Errorf("%s: unexpected %T", path, v)
}

func validateString(path, v string, s schema) error {
	switch {
	case len(v) < s.MinLength:
		return fmt.Errorf("%s: %q is too short", path, v)
	case s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v):
		return fmt.Errorf("%s: %q does not match %s", path, v, s.Pattern)
	case s.Enum != nil && !slices.Contains(s.Enum, v):
		return fmt.Errorf("%s: %q is none of %q", path, v, s.Enum)
	}
	if s.Format == "date-time" {
		if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return typed(path, s, "string")
}

func typed(path string, s schema, got string) error {
	if s.Type != got {
		return fmt.Errorf("%s: is a %s, want %s", path, got, s.Type)
	}
	return nil
}

var (
	when    = time.Date(2026, 11, 22, 9, 31, 4, 250e6, time.UTC)
	failure = &events.Failure{
		Permanent: true, SQLState: "42703", File: "0007_add_total.sql", Line: 12, Column: 5,
		Statement: "alter table orders add total numeric default $1", Message: `column "total" does not exist`, Hint: "add it first",
	}
	good = &events.Attempt{
		Outcome: events.OutcomeSucceeded, Version: "20261122093000", Digest: "sha256:ab", Revision: "4f1c", Application: "argocd/shop",
		Evidence: events.EvidenceReport, Run: "2c6e", Started: when, Finished: when.Add(time.Second), Applied: []string{"20261122093000"},
	}
	ready = &events.Ready{
		Version: "20261122093000", MinCompatible: "20260101000000", Digest: "sha256:ab", Revision: "4f1c", Application: "argocd/shop",
		Evidence: events.EvidenceReport, Since: when,
	}
	obstacle = &events.Obstacle{
		Kind: events.Stuck, Version: "20261123000000", Digest: "sha256:cd", Run: "argocd/shop@2026-11-22T09:31:04Z", Since: when.Add(time.Minute),
		Reason: "Argo CD will not sync it by itself; sync the whole application argocd/shop",
	}
)

func TestMessagesValidate(t *testing.T) {
	bad := *good
	bad.Outcome, bad.Failure, bad.Applied = events.OutcomeFailed, failure, nil
	running := events.Attempt{Version: "8", Digest: "sha256:cd", Run: "77"}
	for name, v := range map[string]any{
		"state: everything":  events.State{Environment: "production", Database: "orders", Tenant: "acme", Ready: ready, LastAttempt: &bad},
		"state: first fails": events.State{Environment: "production", Database: "orders", LastAttempt: &bad},
		"state: names alone": events.State{Environment: "production", Database: "orders"},
		"state: by ledger":   events.State{Environment: "production", Database: "orders", Ready: &events.Ready{Version: "1", Evidence: events.EvidenceLedger, Since: when}},
		"state: in the way":  events.State{Environment: "production", Database: "orders", Ready: ready, Obstacle: obstacle},
		"event: started":     events.Event{Environment: "production", Database: "orders", Attempt: &running},
		"event: succeeded":   events.Event{Environment: "production", Database: "orders", Attempt: good, Ready: ready},
		"event: failed":      events.Event{Environment: "production", Database: "orders", Attempt: &bad, Reason: "a reason"},
	} {
		t.Run(name, func(t *testing.T) {
			text := events.StateSchema()
			if _, ok := v.(events.Event); ok {
				text = events.EventSchema()
			}
			s := parse(t, text)
			data, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			var x any
			if err := json.Unmarshal(data, &x); err != nil {
				t.Fatal(err)
			}
			if err := validate("data", x, s, s); err != nil {
				t.Errorf("%v\n%s", err, data)
			}
		})
	}
}
