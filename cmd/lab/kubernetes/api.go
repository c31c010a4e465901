package kubernetes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// plain asks without TLS; unverified asks a component on loopback that serves a certificate it made up itself.
var (
	plain      = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	unverified = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
)

// Get reads a resource by its path as the administrator; into may be nil.
func (c Cluster) Get(ctx context.Context, path string, into any) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return get(ctx, client, c.Address()+path, into)
}

// Apply creates or updates a resource by server-side apply
// (https://kubernetes.io/docs/reference/using-api/server-side-apply/). object is YAML or JSON.
func (c Cluster) Apply(ctx context.Context, path string, object []byte) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, c.Address()+path+"?fieldManager=lab&force=true", bytes.NewReader(object))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/apply-patch+yaml")
	return do(client, req, nil)
}

// client speaks as the administrator. It holds no connection between calls: a probe must not depend on an earlier one.
func (c Cluster) client() (*http.Client, error) {
	pair, err := tls.LoadX509KeyPair(c.path("pki/admin.crt"), c.path("pki/admin.key"))
	if err != nil {
		return nil, fmt.Errorf("speak to the Kubernetes API: %w", err)
	}
	ca, err := os.ReadFile(c.path("pki/ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("speak to the Kubernetes API: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("speak to the Kubernetes API: no certificate in ca.crt")
	}
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
	}}, nil
}

func get(ctx context.Context, client *http.Client, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return do(client, req, into)
}

// do sends a request; any answer but a 2xx is an error with the answer's beginning.
func do(client *http.Client, req *http.Request, into any) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		return fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, resp.Status, bytes.TrimSpace(text))
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
	}
	return nil
}
