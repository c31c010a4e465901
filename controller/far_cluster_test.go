package controller_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// farToken is what the account of the controller logs in with in a far cluster.
const farToken = "a-token-that-nobody-may-see"

// far is a second real cluster, with an API server and a Job controller of its own, and the same namespaces as the first one.
type far struct {
	*cluster
	near    *cluster
	address string
	args    []string
	server  *exec.Cmd
}

// newFar starts it beside the first one, in the same etcd under a prefix of its own.
func newFar(c *cluster) *far {
	c.t.Helper()
	kube, err := filepath.EvalSymlinks(filepath.Join(os.Getenv("LAB_DIR"), "bin/kubectl"))
	if err != nil {
		c.t.Fatal(err)
	}
	dir, pki := c.t.TempDir(), filepath.Join(os.Getenv("LAB_DIR"), "pki")
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
		return path
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		c.t.Fatal(err)
	}
	f := &far{near: c, address: fmt.Sprintf("https://127.0.0.1:%d", port)}
	f.args = []string{kube, "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--etcd-prefix=/" + c.home,
		"--bind-address=127.0.0.1", fmt.Sprint("--secure-port=", port), "--advertise-address=10.99.0.1",
		"--tls-cert-file=" + pki + "/apiserver.crt", "--tls-private-key-file=" + pki + "/apiserver.key", "--client-ca-file=" + pki + "/ca.crt",
		"--token-auth-file=" + write("tokens", farToken+",schemawave,1\n"), "--authorization-mode=RBAC",
		"--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.98.0.0/16",
		"--service-account-issuer=https://far.example", "--service-account-key-file=" + pki + "/service-account.pub",
		"--service-account-signing-key-file=" + pki + "/service-account.key", "--endpoint-reconciler-type=none"}
	config := rest.CopyConfig(c.config)
	config.Host = f.address
	admin, err := client.New(config, client.Options{Scheme: c.Scheme(), Mapper: c.RESTMapper()})
	if err != nil {
		c.t.Fatal(err)
	}
	f.cluster = &cluster{t: c.t, config: config, Client: admin, apps: c.apps, home: c.home}
	f.up()
	if err := f.Create(c.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.home}}); err != nil {
		c.t.Fatal(err)
	}
	named := api.NewConfig()
	named.Clusters["far"] = &api.Cluster{Server: f.address, CertificateAuthorityData: config.CAData}
	named.AuthInfos["admin"] = &api.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	named.Contexts["far"], named.CurrentContext = &api.Context{Cluster: "far", AuthInfo: "admin"}, "far"
	text, err := clientcmd.Write(*named)
	if err != nil {
		c.t.Fatal(err)
	}
	f.run([]string{kube, "kube-controller-manager", "--kubeconfig=" + write("kubeconfig", string(text)), "--controllers=job-controller",
		"--leader-elect=false", "--secure-port=0"})
	return f
}

// run starts a process that ends with the test.
func (f *far) run(args []string) *exec.Cmd {
	f.t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { end(cmd) })
	return cmd
}

func end(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
}

// up starts the API server, and waits until it answers.
func (f *far) up() {
	f.t.Helper()
	f.server = f.run(f.args)
	within(f.t, "the far API server", func() error {
		return f.Get(f.t.Context(), client.ObjectKey{Name: "default"}, &corev1.Namespace{})
	})
}

func (f *far) down() { end(f.server) }

// grant gives the controller's account rights on Jobs and Pods.
func (f *far) grant(verbs ...string) {
	f.t.Helper()
	for _, o := range []client.Object{
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "schemawave"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: verbs},
			{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "watch"}},
		}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "schemawave"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "schemawave"},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "schemawave"}}},
	} {
		if err := f.Create(f.t.Context(), o); err != nil {
			f.t.Fatal(err)
		}
	}
}

// secret is what Argo CD keeps of a cluster, under whose name Applications know it.
func (c *cluster) secret(name, address string, config argo.ClusterConfig) *corev1.Secret {
	c.t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		c.t.Fatal(err)
	}
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.apps, Name: "cluster-" + name, Labels: map[string]string{"argocd.argoproj.io/secret-type": "cluster"}},
		Data:       map[string][]byte{"name": []byte(name), "server": []byte(address), "config": text},
	}
	if err := c.Create(c.t.Context(), s); err != nil {
		c.t.Fatal(err)
	}
	return s
}

// token logs in as the controller's account.
func (f *far) token() argo.ClusterConfig {
	return argo.ClusterConfig{BearerToken: farToken, TLSClientConfig: argo.TLSClientConfig{CAData: f.config.CAData}}
}

// deploy makes an Application deploy to another cluster, by its address or its name.
func (c *cluster) deploy(a *argo.Application, server, name string) {
	c.t.Helper()
	within(c.t, "destination of "+a.Name, func() error {
		if err := c.Get(c.t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
			return err
		}
		a.Annotations = map[string]string{"schemawave.dev/environment": env}
		a.Spec.Destination.Server, a.Spec.Destination.Name = server, name
		return c.Update(c.t.Context(), a)
	})
}

// keepsSecret fails the test if what was logged holds a credential.
func keepsSecret(t *testing.T, log string) {
	t.Helper()
	if strings.Contains(log, farToken) {
		t.Errorf("a token was logged:\n%s", log)
	}
}
