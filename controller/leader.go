package controller

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lock returns the Lease for which replicas contend, under this replica's identity.
func (l LeaderElection) lock(config *rest.Config) (resourcelock.Interface, error) {
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, l.Namespace, l.Name,
		resourcelock.ResourceLockConfig{Identity: l.Identity}, config, l.RenewDeadline)
	if err != nil {
		return nil, fmt.Errorf("start controller: leader election: %w", err)
	}
	return lock, nil
}

// Leader reads the identity of the replica that leads; empty while there is none, and without leader election. It reads the
// Lease itself and not through the lock: the lock remembers what it read last, and would then renew a Lease that by now is
// another's.
func (c *Controller) Leader(ctx context.Context) (string, error) {
	l := c.options.LeaderElection
	if l == nil {
		return "", nil
	}
	var lease coordinationv1.Lease
	err := c.manager.GetAPIReader().Get(ctx, types.NamespacedName{Namespace: l.Namespace, Name: l.Name}, &lease)
	switch {
	case apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("find the leader: %w", err)
	case lease.Spec.HolderIdentity == nil:
		return "", nil
	}
	return *lease.Spec.HolderIdentity, nil
}
