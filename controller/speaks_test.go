package controller

import (
	"testing"
	"time"
)

// TestJobsThatSpeak: a name says what a Job migrates, not which operation, or which try of one, has made it.
func TestJobsThatSpeak(t *testing.T) {
	const backoffLimit = "BackoffLimitExceeded"
	for _, c := range []struct {
		name    string
		job     job
		message string
		change  func(*operation)
		want    bool
	}{
		{name: "it was made in this operation", job: madeJob("1", 11), want: true},
		{name: "it was made in the next", job: madeJob("1", 20), change: func(o *operation) { o.Next = minute(20) }},
		{name: "it is gone, and has ended within this one", job: madeJob("1", 11, complete, gone), message: reached, want: true},
		{name: "the failed one of another try", job: madeJob("1", 11, failing(backoffLimit, backoff), gone), message: reached},
		{name: "the failed one of another try, which is still there", job: madeJob("1", 11, failing(backoffLimit, backoff)), message: reached},
		{name: "its failure is told", job: madeJob("1", 11, failing(backoffLimit, backoff), gone), message: backoff, want: true},
		{name: "it had ended before", job: madeJob("1", 8, complete, gone), message: reached},
		{name: "it ended after", job: madeJob("1", 15, complete, gone), message: reached},
		{name: "the end of this one is not known", job: madeJob("1", 15, complete, gone), message: reached, want: true,
			change: func(o *operation) { o.Finished = time.Time{} }},
	} {
		o := word("1", "Succeeded", c.message).Operations[0]
		if c.change != nil {
			c.change(&o)
		}
		if got := o.saw(c.job, o.Results[0]); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// TestCapturesAwaited: what Argo CD said of a Job that runs, by a watch that is behind, is wanted if that goes without a result.
func TestCapturesAwaited(t *testing.T) {
	a := word("1", "Succeeded", reached)
	said := capture{application: &a}
	for name, c := range map[string]struct {
		jobs []job
		want bool
	}{
		"it runs": {[]job{madeJob("1", 11)}, true}, "another runs": {[]job{madeJob("2", 11)}, false},
		"it has ended": {[]job{madeJob("1", 11, complete)}, false}, "it is gone": {[]job{madeJob("1", 11, gone)}, false}, "there is none": {nil, false},
	} {
		if got := (observation{Jobs: c.jobs}).awaits(said); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestAwaits: an operation waits for the Jobs that it has made, hooks or plain ones, until it is over or is being terminated.
func TestAwaits(t *testing.T) {
	created := result{Phase: "Running", Message: "job.batch/x created"}
	hook := result{Phase: "Running", Hook: true}
	for name, c := range map[string]struct {
		of   operation
		r    result
		want bool
	}{
		"a hook":                 {operation{}, hook, true},
		"a plain Job":            {operation{}, created, true},
		"one that is left as is": {operation{}, result{Phase: "Running", Message: "job.batch/x unchanged"}, false},
		"one that has ended":     {operation{}, result{Phase: "Failed", Hook: true}, false},
		"it is being ended":      {operation{Ending: true}, created, false},
		"it is over":             {operation{Finished: minute(1)}, created, false},
	} {
		if got := c.of.awaits(c.r); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
