package gates

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/events"
)

// The reasons of the Kubernetes Events on Pods.
const (
	reasonMalformed    = "SchemaGateMalformed"
	reasonUnknown      = "SchemaUnknown"
	reasonIncompatible = "SchemaIncompatible"
	reasonFailed       = "MigrationFailed"
	reasonNotReady     = "SchemaNotReady"
	reasonReady        = "SchemaReady"
	reasonUnreleased   = "SchemaGateNotRemoved"
)

// known is what has been learnt of a database.
type known struct {
	state   events.State
	learnt  bool  // it was read at least once, if only to learn that there is none
	trouble error // why the last look taught nothing; nil if it did
}

// verdict is what a Pod is told. The zero value says nothing, for not all is known yet.
type verdict struct {
	release      bool
	reason, text string
}

// kind is the type of the Event that tells it.
func (v verdict) kind() string {
	if v.reason == reasonReady || v.reason == reasonNotReady {
		return corev1.EventTypeNormal
	}
	return corev1.EventTypeWarning
}

// parse reads what a Pod waits for: at least one target.
func parse(annotation string) ([]events.Target, error) {
	var targets []events.Target
	for entry := range strings.SplitSeq(annotation, ",") {
		if strings.TrimSpace(annotation) == "" {
			return nil, errors.New("it names no target")
		}
		t, err := events.ParseTarget(strings.TrimSpace(entry))
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// gravity orders the reasons: the gravest of several targets is the Pod's.
var gravity = []string{reasonReady, reasonNotReady, reasonUnknown, reasonFailed, reasonIncompatible}

// judge decides about a Pod by what is known of each of its targets, all of which must be ready.
func judge(targets []events.Target, all []known) verdict {
	v := verdict{reason: reasonReady}
	var ready, unmet []string
	for i, t := range targets {
		s := all[i].state.Satisfies(t.Version)
		reason, text := "", s.Reason
		switch k := all[i]; {
		case k.learnt && s.Answer == events.Satisfied:
			ready = append(ready, text)
			continue
		case k.trouble != nil:
			reason, text = reasonUnknown, "nothing is known of "+t.String()+": "+k.trouble.Error()
		case !k.learnt:
			return verdict{}
		case s.Answer == events.Incompatible:
			reason = reasonIncompatible
		case s.Answer == events.AttemptFailed:
			reason = reasonFailed
		default:
			reason = reasonNotReady
		}
		unmet = append(unmet, text)
		v.reason = slices.MaxFunc([]string{v.reason, reason}, func(a, b string) int {
			return cmp.Compare(slices.Index(gravity, a), slices.Index(gravity, b))
		})
	}
	v.release = len(unmet) == 0
	if v.release {
		unmet = ready
	}
	v.text = strings.Join(unmet, "; ")
	return v
}
