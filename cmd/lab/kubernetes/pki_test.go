package kubernetes

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

func TestEveryCertificateIsValidForWhatItIsFor(t *testing.T) {
	for _, cluster := range []Cluster{First("", ""), Second("", "")} {
		t.Run(cluster.node, func(t *testing.T) { certificates(t, cluster) })
	}
}

func certificates(t *testing.T, cluster Cluster) {
	dir := filepath.Join(t.TempDir(), "pki")
	if err := cluster.writePKI(dir); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("authority: %v", err)
	}
	for _, id := range cluster.identities() {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, id.file+".crt"), filepath.Join(dir, id.file+".key"))
		if err != nil {
			t.Fatalf("%s: %v", id.file, err)
		}
		if pair.Leaf.Subject.CommonName != id.name {
			t.Errorf("%s names %s", id.file, pair.Leaf.Subject.CommonName)
		}
		accepts := func(usage x509.ExtKeyUsage, name string) bool {
			_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, KeyUsages: []x509.ExtKeyUsage{usage}})
			return err == nil
		}
		if got := accepts(x509.ExtKeyUsageClientAuth, ""); got != id.client {
			t.Errorf("%s as a client: %v", id.file, got)
		}
		if got := accepts(x509.ExtKeyUsageServerAuth, ""); got != id.server {
			t.Errorf("%s as a server: %v", id.file, got)
		}
		for _, name := range append(id.names, id.addresses...) {
			if !accepts(x509.ExtKeyUsageServerAuth, name) {
				t.Errorf("%s cannot serve %s", id.file, name)
			}
		}
	}
}

func TestKeysAreForTheirOwnerOnly(t *testing.T) {
	cluster := First("", "")
	dir := filepath.Join(t.TempDir(), "pki")
	if err := cluster.writePKI(dir); err != nil {
		t.Fatal(err)
	}
	keys, err := filepath.Glob(filepath.Join(dir, "*.key"))
	if err != nil || len(keys) != len(cluster.identities())+2 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	for _, key := range keys {
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", key, info.Mode(), err)
		}
	}
}
