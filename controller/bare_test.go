package controller_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/go-logr/logr"
	natsgo "github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
)

// asBarePublisher is set in the environment of a test's program when it is to be one: to the URL of NATS, the
// namespace of the Applications, and the address of its metrics.
const asBarePublisher = "BARE_PUBLISHER"

// publishBarely makes this process the least that publishes what Applications say, and does not return, if it was started to be that.
func publishBarely() {
	given := strings.Fields(os.Getenv(asBarePublisher))
	if len(given) != 3 {
		return
	}
	if err := barePublisher(given[0], given[1], given[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// barePublisher watches the Applications of a namespace with an informer and publishes the version of each as a ready one, until it is asked to end.
func barePublisher(to, namespace, metrics string) error {
	ctrl.SetLogger(logr.Discard())
	nc, err := natsgo.Connect(to)
	if err != nil {
		return err
	}
	stream, err := js.New(nc, js.WithPublishAsyncMaxPending(100_000))
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := argo.AddToScheme(scheme); err != nil {
		return err
	}
	apps, err := cache.New(config, cache.Options{Scheme: scheme, DefaultNamespaces: map[string]cache.Config{namespace: {}}})
	if err != nil {
		return err
	}
	informer, err := apps.GetInformer(context.Background(), &argo.Application{}, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	publish := func(obj any) {
		a, n := obj.(*argo.Application), manifests.Name{}
		for _, r := range a.Status.OperationState.SyncResult.Resources {
			if is, ok := manifests.ParseName(r.Name); ok {
				n = is
			}
		}
		s := events.State{Environment: a.Spec.Destination.Namespace, Database: n.Database, Ready: &events.Ready{Version: string(n.Version)}}
		text, err := json.Marshal(s)
		if err == nil {
			_, err = stream.PublishAsync(events.StateSubject(s.Environment, s.Database, ""), text)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: publish, UpdateFunc: func(_, obj any) { publish(obj) }}); err != nil {
		return err
	}
	go http.ListenAndServe(metrics, promhttp.Handler()) //nolint:errcheck // whoever asks would miss it
	return apps.Start(ctrl.SetupSignalHandler())
}

// launchBare starts the bare publisher on the Applications of a namespace.
func launchBare(t testing.TB, n *nats, namespace string) *program {
	t.Helper()
	metrics := free(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asBarePublisher+"="+strings.Join([]string{n.server.URL(), namespace, metrics}, " "))
	return spawn(t, cmd, metrics)
}
