package controller

import (
	"context"
	"strings"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/schemawave/schemawave/events"
)

// clusterSecret is one as Argo CD writes it.
func clusterSecret(name string, data ...string) corev1.Secret {
	s := corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cluster-" + name}, Data: map[string][]byte{"name": []byte(name)}}
	for i := 0; i < len(data); i += 2 {
		s.Data[data[i]] = []byte(data[i+1])
	}
	return s
}

func TestRemotes(t *testing.T) {
	o := Options{LocalServers: localServers, JobNamespaces: []string{"shop", "bank"}}
	for _, c := range []struct {
		name, why  string
		secret     corev1.Secret
		namespaces string
	}{
		{"a token", "", clusterSecret("a", "server", "https://a/", "config", `{"bearerToken": "hidden"}`), "shop bank"},
		{"no config", "", clusterSecret("a", "server", "https://a"), "shop bank"},
		{"namespaces of its own", "", clusterSecret("a", "server", "https://a", "namespaces", "shop, till"), "shop"},
		{"none of ours", "jobNamespaces", clusterSecret("a", "server", "https://a", "namespaces", "till"), ""},
		{"no server", "names no server", clusterSecret("a"), ""},
		{"no JSON", "not the JSON", clusterSecret("a", "server", "https://a", "config", `{"bearerToken": hidden}`), ""},
		{"a program", "execProviderConfig", clusterSecret("a", "server", "https://a", "config", `{"execProviderConfig": {"command": "hidden"}}`), ""},
		{"AWS", "awsAuthConfig", clusterSecret("a", "server", "https://a", "config", `{"awsAuthConfig": {"roleARN": "hidden"}}`), ""},
		{"a proxy with a password", "proxyUrl", clusterSecret("a", "server", "https://a", "config", `{"proxyUrl": "ftp://me:hidden@proxy"}`), ""},
	} {
		all, _ := o.remotes([]corev1.Secret{c.secret})
		for _, r := range all {
			switch {
			case c.why == "" && (r.unusable != nil || r.config == nil || r.address != "https://a" || strings.Join(r.namespaces, " ") != c.namespaces):
				t.Errorf("%s: %+v in %q", c.name, r.unusable, r.namespaces)
			case c.why != "" && (r.unusable == nil || !strings.Contains(r.unusable.Error(), c.why) || strings.Contains(r.unusable.Error(), "hidden")):
				t.Errorf("%s: %v, want %q", c.name, r.unusable, c.why)
			}
		}
		if len(all) != 1 {
			t.Errorf("%s: %d clusters", c.name, len(all))
		}
	}
}

// TestDestinations finds clusters by address and by name, the own one by any of its names, too.
func TestDestinations(t *testing.T) {
	o := Options{LocalServers: localServers}
	p := o.places(place{})
	all, addresses := o.remotes([]corev1.Secret{
		clusterSecret("far", "server", "https://far/"), clusterSecret("other", "server", "https://far"), clusterSecret("home", "server", localServers[0]),
	})
	if len(all) != 1 || all["https://far"].name != "far" {
		t.Fatalf("of two Secrets of one cluster the first counts: %+v", all)
	}
	p.change(func() { p.addresses, p.remote["https://far"] = addresses, &place{} })
	for _, c := range []struct {
		server, name, cluster string
		read                  bool
	}{
		{"https://far", "", "https://far", true},
		{"https://far/", "", "https://far", true},
		{"", "far", "https://far", true},
		{"", "other", "https://far", true},
		{"", "home", "", true},
		{"", "in-cluster", "", true},
		{"https://unknown", "", "https://unknown", false},
		{"", "unknown", "unknown", false},
	} {
		if d := p.of(argo.ApplicationDestination{Server: c.server, Name: c.name}); d.Cluster != c.cluster || d.reads("shop") != c.read || d.Awaited {
			t.Errorf("%s%s: %+v", c.server, c.name, d)
		}
	}
}

// TestStandby: a replica that begins to lead after it has stood by for long waits for the other clusters like one that has just been started.
func TestStandby(t *testing.T) {
	p := Options{LocalServers: localServers}.places(place{})
	now := minute(0)
	p.now = func() time.Time { return now }
	awaited := func() bool { return p.of(argo.ApplicationDestination{Server: farServer}).Awaited }
	now = now.Add(time.Hour)
	c := clusters{watcher: &watcher{places: p}, queues: make(chan queue, 1)}
	if err := c.follow(context.Background(), nil); err != nil || !awaited() {
		t.Errorf("what happens in another cluster does not wait for it: %v", err)
	}
	if now = now.Add(settling); awaited() {
		t.Error("it waits for ever")
	}
}

// TestSeenLater: what was told by Argo CD's word is not told again by the Job itself, once its cluster can be read.
func TestSeenLater(t *testing.T) {
	told := events.Attempt{Evidence: events.EvidenceApplication, Application: "argocd/orders", Digest: "sha256:" + short(digest("1")), Started: minute(10), Finished: minute(14)}
	v := verdict{Kind: failed, Attempt: events.Attempt{Evidence: events.EvidenceReport, Application: "argocd/orders", Digest: digest("1"), Run: "uid", Finished: minute(12)}}
	for name, c := range map[string]struct {
		change func(*events.Attempt, *verdict)
		want   bool
	}{
		"it ended within the operation": {func(*events.Attempt, *verdict) {}, true},
		"it ended after it":             {func(_ *events.Attempt, v *verdict) { v.Attempt.Finished = minute(15) }, false},
		"it ended before it":            {func(_ *events.Attempt, v *verdict) { v.Attempt.Finished = minute(9) }, false},
		"another Application's":         {func(_ *events.Attempt, v *verdict) { v.Attempt.Application = "argocd/other" }, false},
		"another digest":                {func(_ *events.Attempt, v *verdict) { v.Attempt.Digest = digest("2") }, false},
		"a failure while it ran":        {func(a *events.Attempt, v *verdict) { fails(a, v); *a = withoutEnd(*a) }, true},
		"a success while it ran":        {func(a *events.Attempt, v *verdict) { succeeds(a, v); *a = withoutEnd(*a) }, true},
		"another end while it ran":      {func(a *events.Attempt, v *verdict) { succeeds(a, v); fails(&v.Attempt, v); *a = withoutEnd(*a) }, false},
		"an earlier end while it ran": {func(a *events.Attempt, v *verdict) {
			succeeds(a, v)
			fails(&v.Attempt, v)
			v.Gone, v.Attempt.Sync = true, a.Started
			*a = withoutEnd(*a)
		}, true},
		"it runs": {func(a *events.Attempt, v *verdict) { v.Kind = running; *a = withoutEnd(*a) }, false},
	} {
		a, v := told, v
		c.change(&a, &v)
		if got := sameAttempt(a, v); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func succeeds(a *events.Attempt, v *verdict) {
	v.Kind, v.Attempt.Outcome, a.Outcome = succeeded, events.OutcomeSucceeded, events.OutcomeSucceeded
}

func fails(a *events.Attempt, v *verdict) {
	v.Kind, v.Attempt.Outcome, a.Outcome = failed, events.OutcomeFailed, events.OutcomeFailed
}

func withoutEnd(a events.Attempt) events.Attempt {
	a.Finished = time.Time{}
	return a
}
