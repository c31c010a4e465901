package kubernetes

import (
	"context"

	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

const (
	etcdClients = "http://127.0.0.1:2379"
	etcdPeers   = "http://127.0.0.1:2380"
)

// ControlPlane is the API server and the controllers: with Etcd enough for everything but running pods.
func (c Cluster) ControlPlane() []supervise.Component {
	return []supervise.Component{c.pki(), c.apiServer(), c.controllerManager()}
}

// Etcd keeps the objects of all clusters of a lab in dir. It gives up durability for speed: nothing of a lab survives it.
func Etcd(dir string) supervise.Component {
	return supervise.Component{
		Name: "etcd",
		Command: []string{"etcd", "--name=lab", "--data-dir=" + dir, "--unsafe-no-fsync",
			"--listen-client-urls=" + etcdClients, "--advertise-client-urls=" + etcdClients,
			"--listen-peer-urls=" + etcdPeers, "--initial-advertise-peer-urls=" + etcdPeers, "--initial-cluster=lab=" + etcdPeers,
			"--auto-compaction-retention=1h", "--logger=zap", "--log-level=warn"},
		Ready: func(ctx context.Context) error { return get(ctx, plain, etcdClients+"/health", nil) },
	}
}

func (c Cluster) apiServer() supervise.Component {
	return supervise.Component{
		Name:  c.named("kube-apiserver"),
		After: []string{c.named("pki"), "etcd"},
		Command: []string{c.Kube, "kube-apiserver", "--etcd-servers=" + etcdClients, "--etcd-prefix=/" + c.named("registry"),
			"--bind-address=" + c.address, "--secure-port=6443",
			"--tls-cert-file=" + c.path("pki/apiserver.crt"), "--tls-private-key-file=" + c.path("pki/apiserver.key"),
			"--client-ca-file=" + c.path("pki/ca.crt"), "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--service-cluster-ip-range=" + c.serviceCIDR, "--allow-privileged=true",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + c.path("pki/service-account.pub"),
			"--service-account-signing-key-file=" + c.path("pki/service-account.key"),
			"--kubelet-client-certificate=" + c.path("pki/apiserver-kubelet-client.crt"),
			"--kubelet-client-key=" + c.path("pki/apiserver-kubelet-client.key"),
			"--kubelet-certificate-authority=" + c.path("pki/ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			"--requestheader-client-ca-file=" + c.path("pki/ca.crt"), "--requestheader-allowed-names=front-proxy-client",
			"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--proxy-client-cert-file=" + c.path("pki/front-proxy-client.crt"), "--proxy-client-key-file=" + c.path("pki/front-proxy-client.key"),
			"--enable-aggregator-routing=true", "--profiling=false", "--v=1"},
		Ready: func(ctx context.Context) error { return c.Get(ctx, "/readyz", nil) },
	}
}

// controllerManager is ready when it has made the default service account, without which no pod is admitted.
func (c Cluster) controllerManager() supervise.Component {
	kubeconfig := c.userConfig("controller-manager")
	return supervise.Component{
		Name:  c.named("kube-controller-manager"),
		After: []string{c.named("kube-apiserver")},
		Command: []string{c.Kube, "kube-controller-manager", "--bind-address=" + c.loopback, "--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--service-account-private-key-file=" + c.path("pki/service-account.key"), "--root-ca-file=" + c.path("pki/ca.crt"),
			"--use-service-account-credentials=true", "--kube-api-qps=500", "--kube-api-burst=1000", // else it starts at 20 requests a second
			"--cluster-signing-cert-file=" + c.path("pki/ca.crt"), "--cluster-signing-key-file=" + c.path("pki/ca.key"),
			"--leader-elect=false", "--allocate-node-cidrs=false", "--service-cluster-ip-range=" + c.serviceCIDR,
			"--node-monitor-grace-period=3m", "--profiling=false", "--v=1"},
		Ready: func(ctx context.Context) error {
			if err := get(ctx, unverified, "https://"+c.loopback+":10257/healthz", nil); err != nil {
				return err
			}
			return c.Get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
		},
	}
}
