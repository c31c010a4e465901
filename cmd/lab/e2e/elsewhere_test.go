package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/cmd/lab/story"
	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/events"
)

// What deploys to the second cluster: another environment, with the namespace, the database's name and so the Jobs of staging.
const (
	abroad  = "abroad"
	fleet   = "fleet"
	cluster = "second" // as Argo CD calls it
)

// registered is what Argo CD keeps of a cluster in a Secret: its address, and what it logs in with, in each form that this has.
type registered struct {
	secret      string
	server      string
	credentials []string
}

// elsewhere has Argo CD deploy to a second cluster, whose Jobs and Pods the controller reads with Argo CD's credentials. Migrations succeed
// and fail there, beside others of the same name here; one runs while the API server there hangs, and one while the controller alone
// cannot reach it. What is told is true, and told once.
func elsewhere(t *testing.T, s *story.Story) {
	if s.Second == nil {
		t.Fatal("the lab has no second cluster: give lab run --second-cluster, as make e2e does")
	}
	readClusters(t, s)
	known := addCluster(t, s)
	wantReachable(t, s, "1")

	makeDatabase(t, s, fleet)
	database := makeFarDatabase(t, s)
	declare(t, s, "fleet-near")
	declare(t, s, "fleet-far")
	sail(t, s, "1", "CREATE TABLE fleet (id bigint);\n", "fleet-far", "fleet-near")
	far := newApplication("fleet-far", "fleet-far")
	far.Annotations = map[string]string{"schemawave.dev/environment": abroad}
	far.Spec.Destination.Server, far.Spec.Destination.Name = "", cluster
	create(t, s, far)
	create(t, s, newApplication("fleet-near", "fleet-near"))
	wantVersion(t, s, fleet, "1")
	is := wantFar(t, s, "1", events.EvidenceReport)
	if at := is.LastAttempt; !slices.Equal(at.Applied, []string{"1"}) || at.Application != "argocd/fleet-far" || at.Finished.Before(at.Started) {
		t.Errorf("the attempt is %+v", at)
	}
	wantToldOnce(t, s, "1")
	here, there := fleetJobs(t, s.Cluster), fleetJobs(t, *s.Second)
	if len(there) != 1 || !slices.Equal(here, there) {
		t.Errorf("the Jobs here are %v, and there %v: want one of the same name", here, there)
	}
	wantExplained(t, known, "1")

	failsThere(t, s, far, database)
	hangsThere(t, s, database)
	hiddenThere(t, s, known, database)
	sail(t, s, "5", "ALTER TABLE fleet ADD COLUMN doors int;\n", "fleet-far")
	wantFar(t, s, "5", events.EvidenceReport)
	for _, version := range []string{"3", "4", "5"} {
		wantToldOnce(t, s, version)
	}
	wantExplained(t, known, "5")
	wantEventually(t, "Jobs are collected where they are: the newest of each cluster is left", func(context.Context) bool {
		here, there := fleetJobs(t, s.Cluster), fleetJobs(t, *s.Second)
		return len(here) == 1 && strings.HasPrefix(here[0], "schema-fleet-2-") && len(there) == 1 && strings.HasPrefix(there[0], "schema-fleet-5-")
	})
	for _, reason := range []string{"MigrationClusterUnreachable", "MigrationClusterReachable"} {
		wantEventually(t, "an event on the cluster's Secret has the reason "+reason, func(ctx context.Context) bool {
			var list corev1.EventList
			err := s.Cluster.List(ctx, &list, client.InNamespace("argocd"), client.MatchingFields{"involvedObject.kind": "Secret", "involvedObject.name": known.secret})
			return err == nil && slices.ContainsFunc(list.Items, func(e corev1.Event) bool { return e.Reason == reason })
		})
	}
	log, err := s.Cluster.ControllerLog(t.Context())
	if err != nil || slices.ContainsFunc(known.credentials, func(c string) bool { return strings.Contains(log, c) }) {
		t.Errorf("the controller's log holds a credential of the second cluster, or cannot be read: %v", err)
	}
}

// sail pushes a migration of the fleet, in overlays.
func sail(t *testing.T, s *story.Story, version, sql string, overlays ...string) {
	t.Helper()
	for _, overlay := range overlays {
		migrate(t, s, overlay, fleet, fleet, version, sql)
	}
	write(t, s, "fleet-far/fleet.yaml", declaration(fleet, fleet)+"  environment: "+abroad+"\n")
	push(t, s, "fleet: "+version)
}

// failsThere has one Job fail there and succeed here. It then succeeds there, too.
func failsThere(t *testing.T, s *story.Story, far *argo.Application, database string) {
	t.Helper()
	query(t, database, "ALTER TABLE fleet ADD COLUMN wheels int")
	sail(t, s, "2", "CREATE INDEX ON fleet (id);\n\nALTER TABLE fleet ADD COLUMN wheels int;\n", "fleet-far", "fleet-near")
	wantVersion(t, s, fleet, "2")
	var is events.State
	wantEventually(t, "version 2 has failed there", func(ctx context.Context) bool {
		var err error
		is, err = s.State(ctx, abroad, fleet)
		return err == nil && is.LastAttempt.Version == "2" && is.LastAttempt.Outcome == events.OutcomeFailed
	})
	if f := is.LastAttempt.Failure; is.Ready.Version != "1" || f == nil || f.File != "2_fleet.sql" || f.Line != 3 || f.SQLState != "42701" || f.Hint == "" {
		t.Errorf("ready is %+v, and the failure %+v, want 42701 at 2_fleet.sql:3 with a hint", is.Ready, f)
	}
	wantTold(t, s, "fleet-far", "MigrationFailed", "2_fleet.sql:3")

	query(t, database, "ALTER TABLE fleet DROP COLUMN wheels")
	syncWhole(t, s, far)
	wantFar(t, s, "2", events.EvidenceReport)
	wantEventually(t, "the stream tells the end of version 2", func(context.Context) bool {
		return countEvents(t, s, abroad, fleet, "2")[events.Succeeded] > 0 // the state is told first
	})
	if n := countEvents(t, s, abroad, fleet, "2"); n[events.Started] != 2 || n[events.Failed] != 1 || n[events.Succeeded] != 1 || len(n) != 3 {
		t.Errorf("of version 2 was told: %v, want two attempts with an end each", n)
	}
}

// hangsThere stops the API server there while a migration runs: neither Argo CD nor the controller sees its end before it is back.
func hangsThere(t *testing.T, s *story.Story, database string) {
	t.Helper()
	finish := sailSlowly(t, s, "3", database)
	hung := component(t, "second-kube-apiserver")
	signal(t, hung, syscall.SIGSTOP)
	resume := func() { syscall.Kill(hung, syscall.SIGCONT) } //nolint:errcheck // it runs again already, or has ended
	t.Cleanup(resume)
	wantReachable(t, s, "0")
	finish()
	if n := countEvents(t, s, abroad, fleet, "3"); n[events.Succeeded] != 0 {
		t.Errorf("of version 3 was told, while nobody could know: %v", n)
	}
	resume()
	wantReachable(t, s, "1")
	wantFar(t, s, "3", "")
	wantToldOnce(t, s, "3")
}

// hiddenThere keeps the controller alone from the API server there while a migration runs: Argo CD's word is taken until it is back.
func hiddenThere(t *testing.T, s *story.Story, known registered, database string) {
	t.Helper()
	finish := sailSlowly(t, s, "4", database)
	show := hide(t, s, known.server)
	wantReachable(t, s, "0")
	finish()
	wantFar(t, s, "4", events.EvidenceApplication)
	wantToldOnce(t, s, "4")
	show()
	wantReachable(t, s, "1")
}

// sailSlowly pushes a migration that runs there until finish is called, and returns once it is told to run.
func sailSlowly(t *testing.T, s *story.Story, version, database string) (finish func()) {
	t.Helper()
	query(t, database, "CREATE TABLE awaited (arrival text)")
	sail(t, s, version, "DO $$ BEGIN\n  FOR i IN 1 .. 900 LOOP\n    EXIT WHEN EXISTS (SELECT FROM awaited);\n    PERFORM pg_sleep(0.1);\n  END LOOP;\nEND $$;\n", "fleet-far")
	wantEventually(t, "migration "+version+" runs there, and that is told", func(ctx context.Context) bool {
		busy := query(t, database, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid() AND query LIKE '%FROM awaited%'")
		return len(busy) == 1 && countEvents(t, s, abroad, fleet, version)[events.Started] == 1
	})
	return func() {
		query(t, database, "INSERT INTO awaited VALUES ('"+version+"')")
		wantEventually(t, "migration "+version+" is over", func(ctx context.Context) bool {
			rows, err := story.Ledger(ctx, database)
			return err == nil && rows[len(rows)-1].Version == version
		})
		query(t, database, "DROP TABLE awaited")
	}
}

// readClusters lets the controller read other clusters, as docs/install.md says.
func readClusters(t *testing.T, s *story.Story) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile("../../../examples/shop/install/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"config.yaml": string(config) + "argocd: {clusterSecrets: argocd}\n"}
	_, section, _ := strings.Cut(string(page), "\n## Other clusters\n")
	section, _, _ = strings.Cut(section, "\n## ")
	ours := regexp.MustCompile(`https://github\.com/schemawave/schemawave//(manifests/install[a-z/]*)\?ref=\S+`)
	for _, block := range regexp.MustCompile("(?s)```yaml\n# ([a-z-]+\\.yaml)\n(.*?)```").FindAllStringSubmatch(section, -1) {
		files[block[1]] = ours.ReplaceAllStringFunc(block[2], func(url string) string {
			if path := ours.FindStringSubmatch(url)[1]; path != "manifests/install" {
				return "../../../" + path
			}
			return "../install" // the example's, which refers to it
		})
	}
	if len(files) != 3 {
		t.Fatalf("the documentation has the files %v, want kustomization.yaml and cluster-secrets.yaml: are they still where they were?", files)
	}
	if err := s.Reinstall(t.Context(), files); err != nil {
		t.Fatal(err)
	}
}

// addCluster gives Argo CD the second cluster by its own command. That puts into a Secret what the kubeconfig logs in with: its key, or
// the token of an account that it has made where there is none.
func addCluster(t *testing.T, s *story.Story) registered {
	t.Helper()
	server, err := url.Parse(os.Getenv("ARGOCD_URL"))
	if err != nil {
		t.Fatal(err)
	}
	add := exec.CommandContext(t.Context(), "argocd", "cluster", "add", "lab", "--name", cluster, "--kubeconfig", os.Getenv("SECOND_KUBECONFIG"), "--yes",
		"--server", server.Hostname()+":80", "--plaintext", "--config", filepath.Join(t.TempDir(), "argocd"))
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("argocd cluster add: %v\n%s", err, out)
	}
	var secrets corev1.SecretList
	if err := s.Cluster.List(t.Context(), &secrets, client.InNamespace("argocd"), client.MatchingLabels{"argocd.argoproj.io/secret-type": "cluster"}); err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets.Items {
		var config argo.ClusterConfig
		if err := json.Unmarshal(secret.Data["config"], &config); err != nil || string(secret.Data["name"]) != cluster {
			continue
		}
		known := registered{secret: secret.Name, server: string(secret.Data["server"])}
		line := append(strings.Split(string(config.KeyData), "\n"), "")[1]
		for _, c := range []string{config.BearerToken, base64.StdEncoding.EncodeToString(config.KeyData), line} {
			if c != "" {
				known.credentials = append(known.credentials, c)
			}
		}
		if len(known.credentials) > 0 {
			return known
		}
	}
	t.Fatalf("of %d Secrets none holds what the second cluster takes", len(secrets.Items))
	return registered{}
}

// makeFarDatabase makes an empty database, and in the second cluster the namespace of staging with a Secret for it. It returns its URL.
func makeFarDatabase(t *testing.T, s *story.Story) string {
	t.Helper()
	u, err := url.Parse(s.Databases["production"])
	if err != nil {
		t.Fatal("the database's URL is none")
	}
	query(t, u.String(), "CREATE DATABASE fleet_abroad")
	u.Path = "/fleet_abroad"
	namespace := &corev1.Namespace{}
	namespace.Name = story.Staging
	if err := s.Second.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	if err := s.Second.PutSecret(t.Context(), story.Staging, fleet+"-db", map[string]string{"url": u.String()}); err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// wantReachable waits until the metric of the second cluster has a value.
func wantReachable(t *testing.T, s *story.Story, value string) {
	t.Helper()
	wantEventually(t, "schemawave_cluster_reachable is "+value, func(ctx context.Context) bool {
		var pods corev1.PodList
		if err := s.Cluster.List(ctx, &pods, client.InNamespace("schemawave"), client.MatchingLabels{"app.kubernetes.io/name": "schemawave"}); err != nil {
			return false
		}
		return slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { // the one that leads
			return strings.Contains(scrape(ctx, p.Status.PodIP), fmt.Sprintf("\nschemawave_cluster_reachable{cluster=%q} %s\n", cluster, value))
		})
	})
}

// scrape returns the metrics of a controller; none if it does not answer.
func scrape(ctx context.Context, address string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+":8081/metrics", nil)
	if err != nil {
		return ""
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return ""
	}
	return string(text)
}

// hide keeps the controller, and nobody else, from a server until show is called.
func hide(t *testing.T, s *story.Story, server string) (show func()) {
	t.Helper()
	from, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	var pods corev1.PodList
	if err := s.Cluster.List(t.Context(), &pods, client.InNamespace("schemawave"), client.MatchingLabels{"app.kubernetes.io/name": "schemawave"}); err != nil {
		t.Fatal(err)
	}
	firewall := func(ctx context.Context, action string, pod corev1.Pod) error {
		rule := []string{action, "INPUT", "-s", pod.Status.PodIP, "-d", from.Hostname(), "-p", "tcp", "--dport", from.Port(), "-j", "REJECT", "--reject-with", "tcp-reset"}
		if out, err := exec.CommandContext(ctx, "iptables", append([]string{"--wait"}, rule...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("iptables %s: %w: %s", strings.Join(rule, " "), err, out)
		}
		return nil
	}
	for _, pod := range pods.Items {
		if err := firewall(t.Context(), "-I", pod); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for _, pod := range pods.Items {
			if err := firewall(t.Context(), "-D", pod); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// fleetJobs lists the migration Jobs of the fleet in a cluster that nobody has deleted. Argo CD 3 holds those whose sync it has given up.
func fleetJobs(t *testing.T, c story.Cluster) []string {
	t.Helper()
	jobs, err := c.MigrationJobs(t.Context(), story.Staging)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, j := range jobs {
		if j.Labels["schemawave.dev/database"] == fleet && j.DeletionTimestamp == nil {
			names = append(names, j.Name)
		}
	}
	return names
}

// wantFar waits until the fleet abroad is ready at a version, and wants that by an evidence, if one is given.
func wantFar(t *testing.T, s *story.Story, version string, by events.Evidence) events.State {
	t.Helper()
	var state events.State
	wantEventually(t, "the fleet abroad is ready at version "+version, func(ctx context.Context) bool {
		var err error
		state, err = s.State(ctx, abroad, fleet)
		return err == nil && state.Ready != nil && state.Ready.Version == version
	})
	if by != "" && state.LastAttempt.Evidence != by {
		t.Errorf("version %s is ready by %s, want %s", version, state.LastAttempt.Evidence, by)
	}
	return state
}

// wantToldOnce wants it told once that a version abroad has begun, once that it has succeeded, and nothing else.
func wantToldOnce(t *testing.T, s *story.Story, version string) {
	t.Helper()
	var n map[events.Predicate]int
	wantEventually(t, "the stream tells the end of version "+version, func(context.Context) bool {
		n = countEvents(t, s, abroad, fleet, version)
		return n[events.Succeeded] > 0
	})
	list, err := s.Events(t.Context(), abroad)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Predicate == events.Unattempted && e.Attempt.Version == version && strings.HasPrefix(e.Reason, "whether the migration of abroad/fleet to "+version+" was begun is not known") {
			delete(n, e.Predicate) // Argo CD has given its sync up, for it got no answer
		}
	}
	if n[events.Started] != 1 || n[events.Succeeded] != 1 || len(n) != 2 {
		t.Errorf("of version %s was told: %v, want that it started and succeeded, once each", version, n)
	}
}

// wantExplained wants explain to read the Jobs of the fleet abroad with Argo CD's credentials, and only with them.
func wantExplained(t *testing.T, known registered, version string) {
	t.Helper()
	e := explain(t, "fleet-far", "--cluster-secrets", "argocd")
	reported := func(j controller.JobFact) bool { return j.Version == version && j.Report != nil }
	if e.Cluster != known.server || e.Unread != "" || len(e.Databases) != 1 || e.Databases[0].Verdict != "abroad/fleet is at "+version ||
		!slices.ContainsFunc(e.Databases[0].Jobs, reported) {
		t.Errorf("explain says %+v, want a Job with a report of version %s", e, version)
	}
	if e := explain(t, "fleet-far"); e.Cluster != cluster || e.Unread == "" || len(e.Databases) != 1 || len(e.Databases[0].Jobs) != 0 {
		t.Errorf("without credentials explain says %+v", e)
	}
}
