package story

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/manifests"
)

// Cluster is Kubernetes as its users see it: kubectl for what they apply, a client for what they watch.
type Cluster struct {
	client.WithWatch
	kubeconfig string
}

// NewCluster returns the cluster that kubeconfig, a file, points to.
func NewCluster(kubeconfig string) (Cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return Cluster{}, fmt.Errorf("KUBECONFIG: %w", err)
	}
	config.QPS = -1 // a client of one user, on one machine
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, argo.AddToScheme} {
		if err := add(scheme); err != nil {
			return Cluster{}, fmt.Errorf("register types: %w", err)
		}
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return Cluster{}, fmt.Errorf("connect to Kubernetes: %w", err)
	}
	return Cluster{WithWatch: c, kubeconfig: kubeconfig}, nil
}

// Apply runs kubectl apply on a kustomization directory.
func (c Cluster) Apply(ctx context.Context, dir string) error {
	_, err := c.kubectl(ctx, "apply", "-k", dir)
	return err
}

// RolledOut waits until a Deployment's pods are the wanted ones and available.
func (c Cluster) RolledOut(ctx context.Context, namespace, deployment string) error {
	_, err := c.kubectl(ctx, "rollout", "status", "-n", namespace, "deployment/"+deployment, "--timeout", "180s")
	return err
}

// ControllerLog is what the replicas of the controller have logged.
func (c Cluster) ControllerLog(ctx context.Context) (string, error) {
	return c.kubectl(ctx, "logs", "-n", "schemawave", "-l", "app.kubernetes.io/name=schemawave", "--tail", "-1")
}

func (c Cluster) kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "kubectl", append([]string{"--kubeconfig", c.kubeconfig}, args...)...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out.String(), nil
}

// PutSecret creates or replaces a Secret.
func (c Cluster) PutSecret(ctx context.Context, namespace, name string, values map[string]string) error {
	secret := &corev1.Secret{StringData: values}
	secret.Namespace, secret.Name = namespace, name
	err := c.Create(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		err = c.Update(ctx, secret)
	}
	if err != nil {
		return fmt.Errorf("write secret %s/%s: %w", namespace, name, err)
	}
	return nil
}

// Application reads an Argo CD Application.
func (c Cluster) Application(ctx context.Context, name string) (*argo.Application, error) {
	a := new(argo.Application)
	if err := c.Get(ctx, client.ObjectKey{Namespace: "argocd", Name: name}, a); err != nil {
		return nil, fmt.Errorf("read application %s: %w", name, err)
	}
	return a, nil
}

// MigrationJobs lists the migration Jobs of a namespace.
func (c Cluster) MigrationJobs(ctx context.Context, namespace string) ([]batchv1.Job, error) {
	var list batchv1.JobList
	err := c.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{manifests.LabelComponent: string(manifests.ComponentMigration)})
	if err != nil {
		return nil, fmt.Errorf("list jobs of %s: %w", namespace, err)
	}
	return list.Items, nil
}

// Pods lists the pods of an app of the example.
func (c Cluster) Pods(ctx context.Context, namespace, app string) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := c.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{"app": app}); err != nil {
		return nil, fmt.Errorf("list pods of %s: %w", namespace, err)
	}
	return list.Items, nil
}

// ApplicationEvents lists the Kubernetes Events about an Application.
func (c Cluster) ApplicationEvents(ctx context.Context, name string) ([]corev1.Event, error) {
	var list corev1.EventList
	err := c.List(ctx, &list, client.InNamespace("argocd"),
		client.MatchingFields{"involvedObject.kind": "Application", "involvedObject.name": name})
	if err != nil {
		return nil, fmt.Errorf("list events of application %s: %w", name, err)
	}
	return list.Items, nil
}

// until polls ready five times a second until it reports true, or ctx ends; the last error then says why it did not.
func until(ctx context.Context, what string, ready func(context.Context) (bool, error)) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := ready(ctx)
		if err == nil && ok {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = ctx.Err()
			}
			return fmt.Errorf("waiting for %s: %w", what, err)
		case <-tick.C:
		}
	}
}
