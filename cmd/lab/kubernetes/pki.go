package kubernetes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime of the certificates: longer than any lab's.
const lifetime = 365 * 24 * time.Hour

// identity is one certificate: whom it names, what it is for, and where it may be served.
type identity struct {
	file          string // file name without extension
	name          string
	organizations []string
	server        bool // may serve names and addresses, else it is for clients
	client        bool
	names         []string
	addresses     []string
}

// identities of a single-node cluster (https://kubernetes.io/docs/setup/best-practices/certificates/).
func (s site) identities() []identity {
	service := "kubernetes.default.svc"
	return []identity{
		{file: "apiserver", name: "kube-apiserver", server: true,
			names:     []string{"localhost", s.node, "kubernetes", "kubernetes.default", service, service + ".cluster.local"},
			addresses: []string{"127.0.0.1", s.address, s.firstService}},
		{file: "kubelet", name: "system:node:" + s.node, organizations: []string{"system:nodes"}, server: true, client: true,
			names: []string{s.node}, addresses: []string{s.address}},
		{file: "apiserver-kubelet-client", name: "kube-apiserver-kubelet-client", organizations: []string{"system:masters"}, client: true},
		{file: "front-proxy-client", name: "front-proxy-client", client: true},
		{file: "admin", name: "admin", organizations: []string{"system:masters"}, client: true},
		{file: "controller-manager", name: "system:kube-controller-manager", client: true},
		{file: "scheduler", name: "system:kube-scheduler", client: true},
		{file: "proxy", name: "system:kube-proxy", client: true},
	}
}

// authority signs certificates with a key that it made itself.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// writePKI makes an authority, a certificate for every identity and the service accounts' key pair in dir.
func (s site) writePKI(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write certificates: %w", err)
	}
	ca, err := newAuthority(dir)
	if err != nil {
		return fmt.Errorf("make the authority: %w", err)
	}
	for _, id := range s.identities() {
		if err := ca.issue(dir, id); err != nil {
			return fmt.Errorf("issue %s: %w", id.file, err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the service accounts' key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("make the service accounts' key: %w", err)
	}
	if err := writePEM(filepath.Join(dir, "service-account.pub"), "PUBLIC KEY", public); err != nil {
		return err
	}
	return writeKey(filepath.Join(dir, "service-account.key"), key)
}

func newAuthority(dir string) (authority, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "lab"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	cert, key, err := sign(template, nil, nil)
	if err != nil {
		return authority{}, err
	}
	return authority{cert, key}, writePair(dir, "ca", cert, key)
}

func (ca authority) issue(dir string, id identity) error {
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: id.name, Organization: id.organizations},
		KeyUsage: x509.KeyUsageDigitalSignature,
		DNSNames: id.names,
	}
	if id.server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if id.client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	for _, a := range id.addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(a))
	}
	cert, key, err := sign(template, ca.cert, ca.key)
	if err != nil {
		return err
	}
	return writePair(dir, id.file, cert, key)
}

// sign makes a key and a certificate for it, signed by the parent or, without one, by itself.
func sign(template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, nil, err
	}
	template.NotBefore = time.Now().Add(-time.Hour) // clocks differ
	template.NotAfter = template.NotBefore.Add(lifetime)
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

func writePair(dir, name string, cert *x509.Certificate, key *ecdsa.PrivateKey) error {
	if err := writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", cert.Raw); err != nil {
		return err
	}
	return writeKey(filepath.Join(dir, name+".key"), key)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
