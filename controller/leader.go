package controller

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

// Leader reads the identity of the replica that leads; empty while there is none, and without leader election.
func (c *Controller) Leader(ctx context.Context) (string, error) {
	if c.lease == nil {
		return "", nil
	}
	record, _, err := c.lease.Get(ctx)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the leader: %w", err)
	}
	return record.HolderIdentity, nil
}
