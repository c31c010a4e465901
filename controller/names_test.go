package controller

import (
	"maps"
	"slices"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
)

func TestMigrationName(t *testing.T) {
	for name, want := range map[string]bool{
		"schema-orders-20260101000000-8aed135b":             true,
		"eu-schema-orders-20260101000000-8aed135b-blue":     true,
		"schema-orders-20260101000000-8aed135b-marker":      false,
		"schema-orders-20260101000000-8aed135b-guard":       false,
		"eu-schema-orders-20260101000000-8aed135b-guard-eu": false,
		"schema-orders-image-8aed135b":                      true,
		"eu-schema-orders-tool-8aed135b-blue":               true,
		"schema-orders-tool-8aed135b-marker":                false,
		"migrate-0001":                                      false,
	} {
		if _, got := migrationName(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestCutNames: a database's name that may have been cut to fit is not guessed.
func TestCutNames(t *testing.T) {
	for database, want := range map[string]bool{
		"orders":                           true,
		"shop-abc123":                      true,  // looks like a hash, but is not long enough to have been cut
		"orders-abc123":                    false, // may be what remains of orders-something-long
		"a-database-with-a-very-long-name": false,
		"customer-accounts-from-tool":      false, // 26 are, beside "tool"
		"invoices-from-tool":               true,
		"customer-accounts":                false, // 17 characters are too many beside a timestamp
	} {
		what := "20260101000000"
		if strings.HasSuffix(database, "-from-tool") {
			what = "tool"
		}
		name := manifests.ObjectName(database, what, digest("1"))
		n, ok := migrationName(name)
		if !ok {
			t.Fatalf("%s is no name", name)
		}
		got, ok := application{Environment: "production"}.targetOf(types.NamespacedName{}, n)
		if ok != want || ok && got.Database != database {
			t.Errorf("%s: %s, %t", name, got, ok)
		}
	}
}

func TestJobTarget(t *testing.T) {
	job := func(name string, labels map[string]string) *batchv1.Job {
		l := map[string]string{manifests.LabelManagedBy: "schemawave", manifests.LabelDatabase: "orders", manifests.LabelEnvironment: "production"}
		for k, v := range labels {
			l[k] = v
		}
		return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: l}}
	}
	for _, c := range []struct {
		name string
		job  *batchv1.Job
		want bool
	}{
		{"a migration says what it is", job("x", map[string]string{manifests.LabelComponent: "migration"}), true},
		{"anything else does not migrate", job("schema-orders-1-8aed135b", map[string]string{manifests.LabelComponent: "guard"}), false},
		{"without the label the name decides", job("schema-orders-1-8aed135b", nil), true},
		{"a guard's name", job("schema-orders-1-8aed135b-guard", nil), false},
		{"another's Job", job("schema-orders-1-8aed135b", map[string]string{manifests.LabelManagedBy: "helm"}), false},
		{"a Job of no database", job("schema-orders-1-8aed135b", map[string]string{manifests.LabelDatabase: ""}), false},
	} {
		if _, got := jobTarget(c.job); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// TestPodTarget leaves the Pods of guards alone: their reports are like those of migrations, and are none.
func TestPodTarget(t *testing.T) {
	for component, want := range map[string]target{
		"migration": {Environment: "production", Database: "orders"}, "": {Environment: "production", Database: "orders"}, "guard": {},
	} {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Labels:          map[string]string{manifests.LabelDatabase: "orders", manifests.LabelEnvironment: "production", manifests.LabelComponent: component},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Job", UID: "1", Controller: new(true)}},
		}}
		if got := podTarget(p); got != want {
			t.Errorf("%q: %+v", component, got)
		}
	}
}

// TestOrigin finds revision and Application of a Job.
func TestOrigin(t *testing.T) {
	key := func(name string) types.NamespacedName { return types.NamespacedName{Namespace: "argocd", Name: name} }
	j := madeJob("1", 11)
	lists := word("1", "Running", "created", readable)
	stranger := application{Key: key("other"), Readable: true}
	named := application{Key: key("orders"), Readable: true, Operations: []operation{{Started: minute(11), Revision: "def"}}}
	named.Compared, named.Held = "def", []marker{{Name: manifests.Name{Database: "orders", Digest8: j.Digest[len("sha256:"):][:8]}}}
	elsewhere, without := named, named
	elsewhere.Compared, without.Held = "ghi", nil
	after := word("1", "Succeeded", reached, readable, func(a *application) {
		a.Operations[0].Started, a.Operations[0].Finished = minute(12), minute(13)
		a.History = []deployment{{Revision: "old", From: minute(1), To: minute(2)}, {Revision: "then", From: minute(10), To: minute(12)}}
	})
	remote := word("1", "Running", "created", func(a *application) { a.Cluster = "https://10.0.0.2" })
	for _, c := range []struct {
		name           string
		apps           []application
		want, revision string
	}{
		{"nobody", []application{stranger}, "", ""},
		{"the operation that lists it", []application{stranger, lists}, "argocd/orders", "abc"},
		{"the running operation of the one it is named after", []application{stranger, named}, "argocd/orders", "def"},
		{"not one whose commit is not known", []application{stranger, elsewhere}, "argocd/orders", ""},
		{"not one whose commit does not hold it", []application{stranger, without}, "argocd/orders", ""},
		{"the history, if the operation came later", []application{after}, "argocd/orders", "then"},
		{"never one whose Jobs are in another cluster", []application{remote}, "", ""},
	} {
		if app, revision, sync := (observation{Applications: c.apps}).origin(j); app != c.want || revision != c.revision || sync.IsZero() == (c.revision != "") {
			t.Errorf("%s: %q at %q", c.name, app, revision)
		}
	}
	gone := observation{Applications: []application{lists}, State: published("0", func(s *events.State) {
		s.Obstacle = &events.Obstacle{Kind: events.Deleted, Digest: j.Digest, Run: run("argocd/orders", minute(10))}
	})}
	if app, revision, sync := gone.origin(j); app != "argocd/orders" || revision != "" || !sync.IsZero() {
		t.Errorf("of a sync whose Job is gone: %q at %q in that of %s", app, revision, sync)
	}
	gone.State.Obstacle.Kind, gone.State.Obstacle.Since = events.Terminated, minute(11)
	if _, _, sync := gone.origin(j); !sync.IsZero() {
		t.Errorf("made when that sync was terminated: in that of %s", sync)
	}
	gone.State.Obstacle.Since = minute(12)
	if _, _, sync := gone.origin(j); !sync.Equal(minute(10)) {
		t.Errorf("made before that sync was terminated: in that of %s", sync)
	}
	gone.State.Obstacle.Kind = events.Blocked
	if _, _, sync := gone.origin(j); !sync.Equal(minute(10)) {
		t.Errorf("of a sync that was held up: in that of %s", sync)
	}
}

func TestReadable(t *testing.T) {
	for _, c := range []struct {
		name                    string
		o                       Options
		server, cluster, within string
		want                    bool
	}{
		{"this cluster by address", Options{}, "https://kubernetes.default.svc", "", "shop", true},
		{"by name", Options{}, "", "in-cluster", "shop", true},
		{"by a name of its own", Options{LocalServers: []string{"https://10.0.0.1"}}, "https://10.0.0.1", "", "shop", true},
		{"another cluster", Options{}, "https://10.0.0.2", "", "shop", false},
		{"a namespace that is watched", Options{JobNamespaces: []string{"shop"}}, "", "in-cluster", "shop", true},
		{"one that is not", Options{JobNamespaces: []string{"bank"}}, "", "in-cluster", "shop", false},
		{"no Jobs at all", Options{ApplicationsOnly: true}, "", "in-cluster", "shop", false},
	} {
		c.o.LocalServers = append(c.o.LocalServers, localServers...)
		if got := c.o.places(place{}).of(argo.ApplicationDestination{Server: c.server, Name: c.cluster}).reads(c.within); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// TestAnEnvironmentThatIsNotItsNamespace replays recordings of Jobs whose environment is called otherwise than their namespace, which no
// annotation says, and deletes all Jobs in the end. Argo CD goes on listing them. Nothing is told of an environment that does not exist.
func TestAnEnvironmentThatIsNotItsNamespace(t *testing.T) {
	of, told := Options{LocalServers: localServers}, 0
	for _, name := range recordings(t) {
		b := newBroker(t)
		r := newReplica(t, newShelf(t, of), of, b)
		shown := map[string]bool{}
		see := func(d delivery) {
			before := len(b.log)
			r.deliver(d)
			r.work()
			for _, e := range b.log[before:] {
				if e.Environment == "production" {
					told++
				} else if shown[e.Environment+" "+e.Database] {
					t.Errorf("%s: %s of %s is told of %s/%s", name, e.Predicate, e.Attempt.Version, e.Environment, e.Database)
				}
			}
		}
		for _, d := range recording(t, name) {
			switch o := d.object.(type) {
			case *batchv1.Job:
				if _, ours := jobTarget(o); ours {
					o.Labels[manifests.LabelEnvironment] = "production"
					shown[o.Namespace+" "+o.Labels[manifests.LabelDatabase]] = true
				}
			case *corev1.Pod:
				o.Status.ContainerStatuses = nil // whose reports name the environment that there was
			}
			see(d)
		}
		for _, kind := range []string{"Job", "Application"} {
			for _, obj := range r.shelf.stores[kind].List() {
				see(delivery{object: obj.(client.Object), deleted: kind == "Job"})
			}
		}
		if len(r.watch.of) > 0 {
			t.Errorf("%s: nobody has looked at what was captured of %v", name, slices.Collect(maps.Keys(r.watch.of)))
		}
	}
	if told < 40 {
		t.Errorf("%d events are told of the environment that the Jobs name", told)
	}
}
