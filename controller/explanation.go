package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// Explanation is what the controller sees of an Application, and what it decides. Its JSON is for tools, its String for people.
type Explanation struct {
	Application string         `json:"application"` // namespace/name
	Sources     []string       `json:"sources"`
	Hydration   *HydrationFact `json:"hydration,omitempty"` // of its source; absent if Argo CD syncs that as it is
	Cluster     string         `json:"cluster,omitempty"`   // in which its Jobs are; absent if that is the one in which it is itself
	Unread      string         `json:"unread,omitempty"`    // why Jobs could not be read there; absent if they could
	Revision    string         `json:"revision,omitempty"`  // compared last; several sources give several, joined by commas
	Operation   *OperationFact `json:"operation,omitempty"` // the last one; absent if there was none
	Refusal     string         `json:"refusal,omitempty"`   // why Argo CD does not sync it by itself, in its words
	Databases   []Database     `json:"databases"`
}

// HydrationFact is what Argo CD has made of the source of an Application.
type HydrationFact struct {
	Branch  string `json:"branch"`            // where it puts that
	Commit  string `json:"commit,omitempty"`  // the newest, in that branch; empty if there is none yet
	From    string `json:"from,omitempty"`    // the commit of the source that it was made from
	Failure string `json:"failure,omitempty"` // why no newer one was made, in Argo CD's words; empty if the last attempt did not fail
	// Awaits is the branch that Argo CD syncs, if that is another one (hydrateTo) and not at Commit: somebody has to merge it, unless that was
	// done by a commit of the merge's own, of which Argo CD's status does not tell what is in it.
	Awaits string `json:"awaits,omitempty"`
}

// OperationFact is the last sync of an Application, in Argo CD's words.
type OperationFact struct {
	Phase    string    `json:"phase"`
	Revision string    `json:"revision,omitempty"`
	Started  time.Time `json:"started"`
	Hooks    bool      `json:"hooks"` // whether it runs any: a partial one or one that merely applies does not
	DryRun   bool      `json:"dryRun,omitempty"`
	Message  string    `json:"message,omitempty"`
}

// Database is what there is of one database, and the verdict on it.
type Database struct {
	Environment string       `json:"environment"`
	Database    string       `json:"database"`
	Wanted      []string     `json:"wanted,omitempty"`  // markers and guards that the commit holds and the cluster does not
	Results     []ResultFact `json:"results,omitempty"` // of the last operation
	Jobs        []JobFact    `json:"jobs,omitempty"`
	Known       bool         `json:"known"` // Published was read
	Published   events.State `json:"published"`
	Standing    string       `json:"standing,omitempty"` // what a reader of Published is told
	Verdict     string       `json:"verdict"`            // with the remedy, where one is needed
	Facts       []string     `json:"facts,omitempty"`    // that the controller would publish now, oldest first
	Doubts      []string     `json:"doubts,omitempty"`   // what it says nothing about, and why
	Waiting     string       `json:"waiting,omitempty"`  // how long it may take until a sync that does not begin is called stuck
}

// ResultFact is Argo CD's word on a migration Job.
type ResultFact struct {
	Job     string `json:"job"`
	Hook    bool   `json:"hook"`
	Phase   string `json:"phase,omitempty"`
	Message string `json:"message,omitempty"`
}

// JobFact is a migration Job in the cluster and what its Pods report.
type JobFact struct {
	Job     string             `json:"job"`
	Phase   string             `json:"phase"`
	Version string             `json:"version,omitempty"`
	Message string             `json:"message,omitempty"`
	Report  *migrations.Report `json:"report,omitempty"` // absent if no Pod has left one
}

func newExplanation(a *argo.Application, view application) Explanation {
	out := Explanation{Application: view.Key.String(), Revision: view.Compared, Refusal: view.Refusal.Message}
	for _, s := range sources(a) {
		out.Sources = append(out.Sources, strings.Join(strings.Fields(withoutCredentials(s.RepoURL)+" "+cmp.Or(s.Path, s.Chart)+" "+s.TargetRevision), " "))
	}
	if a.Spec.SourceHydrator != nil {
		out.Hydration = &HydrationFact{Branch: a.Spec.GetHydrateToSource().TargetRevision, Commit: view.Hydrated.Commit, From: view.Hydrated.From}
		if into := a.Spec.GetSource().TargetRevision; into != out.Hydration.Branch && view.Hydrated.Commit != "" && view.Compared != view.Hydrated.Commit {
			out.Hydration.Awaits = into
		}
		if o := a.Status.SourceHydrator.CurrentOperation; o != nil && o.Phase == argo.HydrateOperationPhaseFailed {
			out.Hydration.Failure = withoutCredentials(o.Message)
		}
	}
	if o, ok := view.last(); ok {
		out.Operation = &OperationFact{
			Phase: string(a.Status.OperationState.Phase), Revision: o.Revision, Started: o.Started, Hooks: !o.skipsHooks(), Message: o.Message,
		}
		out.Operation.DryRun = a.Status.OperationState.Operation.Sync != nil && a.Status.OperationState.Operation.Sync.DryRun
	}
	return out
}

// newDatabase tells an observation, and its decision in the words that waiting readers get.
func newDatabase(o observation, d decision, of types.NamespacedName, known bool) Database {
	out := Database{
		Environment: o.Target.Environment, Database: o.Target.Database, Known: known, Published: o.State, Doubts: d.Doubts,
	}
	required, after := "", o.State
	require := func(version string) {
		if events.CompareVersions(version, required) > 0 {
			required = version
		}
	}
	for _, a := range o.Applications {
		if a.Key != of {
			continue
		}
		for _, m := range a.Wanted {
			if o.concerns(a, m.Key, m.Name) {
				out.Wanted = append(out.Wanted, m.Key.String())
				require(string(m.Name.Version))
			}
		}
		last, _ := a.last()
		for _, m := range last.Markers {
			if o.concerns(a, m.Key, m.Name) {
				require(string(m.Name.Version))
			}
		}
		for _, r := range last.Results {
			if o.concerns(a, r.Key, r.Name) {
				out.Results = append(out.Results, ResultFact{Job: r.Key.String(), Hook: r.Hook, Phase: cmp.Or(r.Phase, r.Status), Message: r.Message})
				require(string(r.Name.Version))
			}
		}
	}
	slices.SortFunc(o.Jobs, func(a, b job) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Key.String(), b.Key.String()))
	})
	for _, j := range o.Jobs {
		out.Jobs = append(out.Jobs, JobFact{
			Job: j.Key.String(), Phase: cmp.Or(string(j.Phase), "pending"), Version: string(j.Version), Message: j.Message, Report: j.report(),
		})
	}
	for _, p := range d.Publications {
		if p.State != nil {
			after = *p.State
		}
		if p.State != nil || p.Event.Predicate == events.Started {
			out.Facts = append(out.Facts, fmt.Sprintf("%s: %s", p.Event.Predicate, p.Event.Reason))
		}
	}
	if o.Again > 0 {
		out.Waiting = fmt.Sprintf("an Application that waits to be synced is called stuck after %s", reaction)
	}
	if known {
		out.Standing = standing(o.State, required)
	}
	out.Verdict = standing(after, required)
	return out
}

// concerns reports whether an object that an Application names is of the observed database: by its name, or because a Job of that
// database is in the same namespace, where the environment is not called like that.
func (o observation) concerns(a application, key types.NamespacedName, n manifests.Name) bool {
	if t, ok := a.targetOf(key, n); ok && t == o.Target {
		return true
	}
	return n.Database == o.Target.Database && slices.ContainsFunc(o.Jobs, func(j job) bool { return j.Cluster == a.Cluster && j.Key.Namespace == key.Namespace })
}

// silent reports whether there is nothing but a name.
func (d Database) silent() bool {
	p := d.Published
	return len(d.Jobs) == 0 && len(d.Facts) == 0 && len(d.Doubts) == 0 && p.Ready == nil && p.LastAttempt == nil && p.Obstacle == nil
}

// standing is what a reader is told that waits for a version, and whatever is in the way of a newer one.
func standing(s events.State, required string) string {
	said := s.Satisfies(required).Reason
	if o := s.Obstacle; o != nil && !strings.Contains(said, o.Reason) {
		said += ", and " + o.Reason
	}
	return said
}

// remark is what somebody says of a fact, to be put after it; empty if nothing.
func remark(message string) string {
	if strings.TrimSpace(message) == "" {
		return ""
	}
	return ": " + brief(message)
}

// String tells it to a person, one fact a line.
func (e Explanation) String() string {
	var p page
	e.tell(&p)
	if len(e.Databases) == 0 {
		p.WriteString("\nno migration is among its resources or in its last operation\n")
	}
	for _, d := range e.Databases {
		d.tell(&p)
	}
	return p.String()
}

// page is what is told, line by line.
type page struct{ strings.Builder }

func (p *page) line(name, format string, args ...any) {
	fmt.Fprintf(p, "  %-10s %s\n", name, strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
}

// tell tells what is seen of the Application itself.
func (e Explanation) tell(p *page) {
	fmt.Fprintf(p, "application %s\n", e.Application)
	for _, s := range e.Sources {
		p.line("source", "%s", s)
	}
	if h := e.Hydration; h != nil {
		made := "nothing yet"
		if h.Commit != "" {
			made = h.Commit + ", from " + h.From
		}
		p.line("hydrated", "to %s: %s", h.Branch, made)
		if h.Awaits != "" {
			p.line("to merge", "into %s, which is not at that commit, unless a commit of its own has merged it", h.Awaits)
		}
		if h.Failure != "" {
			p.line("unhydrated", "%s", brief(h.Failure))
		}
	}
	if where := cmp.Or(e.Cluster, "its own"); e.Unread != "" {
		p.line("cluster", "%s, not read: %s", where, e.Unread)
	} else {
		p.line("cluster", "%s, read", where)
	}
	p.line("revision", "%s", cmp.Or(e.Revision, "not compared yet"))
	if o := e.Operation; o == nil {
		p.line("operation", "none yet")
	} else {
		how := ""
		switch {
		case o.DryRun:
			how = ", a dry run"
		case !o.Hooks:
			how = ", without hooks"
		}
		p.line("operation", "%s%s, started %s, at %s%s", o.Phase, how, o.Started.Format(time.RFC3339), cmp.Or(o.Revision, "no revision"), remark(o.Message))
	}
	if e.Refusal != "" {
		p.line("refusal", "%s", brief(e.Refusal))
	}
}

// tell tells what is seen of a database, and what follows.
func (d Database) tell(p *page) {
	fmt.Fprintf(p, "\ndatabase %s/%s\n", d.Environment, d.Database)
	for _, w := range d.Wanted {
		p.line("wanted", "%s is in the commit and not in the cluster", w)
	}
	for _, r := range d.Results {
		p.line("result", "%s %s%s", r.Job, r.Phase, remark(r.Message))
	}
	for _, j := range d.Jobs {
		p.line("job", "%s %s at version %s%s", j.Job, j.Phase, cmp.Or(j.Version, "unknown"), remark(j.Message))
		switch r := j.Report; {
		case r == nil:
			p.line("report", "none")
		case r.Failure != nil:
			p.line("report", "%s%s", r.Outcome, remark(r.Failure.Message))
		default:
			p.line("report", "%s, at %s", r.Outcome, cmp.Or(string(r.To), "no version"))
		}
	}
	p.line("published", "%s", cmp.Or(d.Standing, "not read, for there was no NATS: what follows counts on nothing"))
	for _, f := range d.Facts {
		p.line("to say", "%s", f)
	}
	for _, s := range d.Doubts {
		p.line("doubt", "nothing is said about %s", s)
	}
	if d.Waiting != "" {
		p.line("waiting", "%s", d.Waiting)
	}
	p.line("verdict", "%s", d.Verdict)
}
