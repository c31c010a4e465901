package controller

import (
	"regexp"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/migrations"
)

// jobFailure says why a Job failed: in the words of its Pod's report, which name file and line, else in those of the Job.
func jobFailure(j job, r *migrations.Report) events.Failure {
	switch {
	case r != nil && r.Failure != nil:
		f := r.Failure
		return events.Failure{
			Permanent: f.Permanent, SQLState: f.SQLState, File: f.File, Line: f.Line, Column: f.Column,
			Statement: f.Statement, Message: f.Message, Hint: f.Hint,
		}
	case r != nil:
		return events.Failure{
			Message: "the Job failed (" + j.Reason + ") although its Pod reports that the migration is done",
			Hint:    "sync again: the next run finds what is already applied",
		}
	}
	f := messageFailure(j.Message)
	switch j.Reason {
	case batchv1.JobReasonPodFailurePolicy:
		f.Permanent = true
	case batchv1.JobReasonDeadlineExceeded:
		f.Hint = "the next run goes on where this one stopped; raise policy.deadline if it needs more time"
	}
	return f
}

// What Kubernetes writes on a failed Job, and Argo CD passes on (Kubernetes, pkg/controller/job).
var (
	exitCode = regexp.MustCompile(`failed with exit code (\d+) matching FailJob rule`)
	backoff  = "Job has reached the specified backoff limit"
	deadline = "Job was active longer than specified deadline"
)

// messageFailure makes the best of a failed Job's message alone. Only an exit code that the Job's own failure policy stops
// at is permanent; what was retried until the limit may work tomorrow.
func messageFailure(message string) events.Failure {
	f := events.Failure{Message: message, Hint: "see the logs of the Job's Pods"}
	if m := exitCode.FindStringSubmatch(message); m != nil {
		code, err := strconv.Atoi(m[1])
		f.Permanent = err == nil && migrations.ExitCode(code).Permanent()
		f.Hint = exitHint(migrations.ExitCode(code))
	}
	switch message {
	case "":
		f.Message = "the Job failed without a message"
	case backoff:
		f.Hint = "every retry failed; see the logs of the Job's Pods, then sync again"
	case deadline:
		f.Hint = "the next run goes on where this one stopped; raise policy.deadline if it needs more time"
	}
	return f
}

func exitHint(code migrations.ExitCode) string {
	switch code {
	case migrations.ExitRejected:
		return "the migration was rejected: see the logs of the Job's Pods, correct it, and push"
	case migrations.ExitDenied:
		return "the database user lacks a permission: see the logs of the Job's Pods"
	case migrations.ExitConfig, migrations.ExitUsage:
		return "the Job's configuration is wrong: see the logs of its Pods"
	}
	return "see the logs of the Job's Pods"
}
