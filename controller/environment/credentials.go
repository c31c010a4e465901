package environment

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// dialer opens sessions with a repository's host. It keeps HTTP connections for the next pass, and is for one goroutine.
type dialer struct {
	creds    Credentials
	host     Host
	app      *installation
	endpoint *transport.Endpoint

	ca     []byte // what client trusts besides the system's certificates
	client *http.Client
}

// newDialer makes a dialer without an endpoint, which only git needs. The repository's configuration is valid.
func newDialer(r Repository) *dialer {
	d := &dialer{creds: r.Credentials, host: r.Host}
	if r.Credentials.GitHubApp != (GitHubApp{}) {
		r.Host.Kind = GitHub
		at, _ := locate(r)
		d.app = &installation{app: r.Credentials.GitHubApp, apiURL: at.api}
	}
	return d
}

// token returns the token for the host's API.
func (d *dialer) token(ctx context.Context) (string, error) {
	field, file := "host.tokenFile", d.host.TokenFile
	if file == "" {
		if d.app != nil {
			return d.app.token(ctx, d.client)
		}
		field, file = "credentials.passwordFile", d.creds.PasswordFile
	}
	token, err := readSecret(field, file)
	return string(token), err
}

// login reads the credentials as they are now.
func (d *dialer) login(ctx context.Context) (transport.Transport, transport.AuthMethod, error) {
	if d.endpoint.Protocol == "ssh" {
		return d.loginSSH()
	}
	if err := d.trust(); err != nil {
		return nil, nil, err
	}
	t := githttp.NewClient(d.client)
	if d.app != nil {
		token, err := d.app.token(ctx, d.client)
		return t, &githttp.BasicAuth{Username: "x-access-token", Password: token}, err
	}
	if d.creds.PasswordFile == "" {
		return t, nil, nil
	}
	password, err := readSecret("credentials.passwordFile", d.creds.PasswordFile)
	if err != nil {
		return nil, nil, err
	}
	user := d.creds.Username
	if user == "" {
		user = "git"
	}
	return t, &githttp.BasicAuth{Username: user, Password: string(password)}, nil
}

// trust makes the HTTP client, again if the file of certificates changed.
func (d *dialer) trust() error {
	var ca []byte
	if d.creds.CAFile != "" {
		var err error
		if ca, err = readSecret("credentials.caFile", d.creds.CAFile); err != nil {
			return err
		}
	}
	if d.client != nil && bytes.Equal(ca, d.ca) {
		return nil
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = time.Minute
	t.MaxIdleConnsPerHost = 2
	if len(ca) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(ca) {
			return configFault("credentials.caFile: %s holds no certificate in PEM form", d.creds.CAFile)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	d.close()
	d.client, d.ca = &http.Client{Transport: t, CheckRedirect: stayOnHost}, ca
	return nil
}

// stayOnHost follows a host within itself only, and from http to https: go-git logs in wherever it is led, and credentials
// are for one host.
func stayOnHost(to *http.Request, via []*http.Request) error {
	from := via[0].URL
	same := to.URL.Scheme == from.Scheme && to.URL.Host == from.Host
	safer := from.Scheme == "http" && to.URL.Scheme == "https" && to.URL.Hostname() == from.Hostname()
	if !same && !safer {
		return fmt.Errorf("the host redirects to %s://%s, which is not given its credentials: correct url or host.apiURL", to.URL.Scheme, to.URL.Host)
	}
	if len(via) >= 10 {
		return errors.New("the host redirects in circles: check url and host.apiURL")
	}
	return nil
}

// do sends a request of an API. Only one that reads is led elsewhere: of others, HTTP makes reads.
func (d *dialer) do(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet {
		return d.client.Do(req)
	}
	c := *d.client
	c.CheckRedirect = func(to *http.Request, via []*http.Request) error {
		if to.Method != req.Method {
			return http.ErrUseLastResponse
		}
		return stayOnHost(to, via)
	}
	return c.Do(req)
}

func (d *dialer) loginSSH() (transport.Transport, transport.AuthMethod, error) {
	key, err := readSecret("credentials.sshKeyFile", d.creds.SSHKeyFile)
	if err != nil {
		return nil, nil, err
	}
	user := d.creds.Username
	if user == "" {
		user = d.endpoint.User
	}
	if user == "" {
		user = gitssh.DefaultUsername
	}
	auth, err := gitssh.NewPublicKeys(user, append(key, '\n'), "")
	if err != nil {
		return nil, nil, configFault("credentials.sshKeyFile: %s is not an unencrypted private key: %w", d.creds.SSHKeyFile, err)
	}
	hosts, err := gitssh.NewKnownHostsDb(d.creds.KnownHostsFile)
	if err != nil {
		return nil, nil, configFault("credentials.knownHostsFile: %s: %w", d.creds.KnownHostsFile, err)
	}
	port := d.endpoint.Port
	if port <= 0 {
		port = gitssh.DefaultPort
	}
	auth.HostKeyCallback = hosts.HostKeyCallback()
	auth.HostKeyAlgorithms = hosts.HostKeyAlgorithms(net.JoinHostPort(d.endpoint.Host, strconv.Itoa(port)))
	return gitssh.NewClient(nil), publicKey{auth}, nil
}

// publicKey bounds connecting, which go-git does without a context.
type publicKey struct{ *gitssh.PublicKeys }

// ClientConfig implements go-git's ssh.AuthMethod.
func (k publicKey) ClientConfig() (*ssh.ClientConfig, error) {
	c, err := k.PublicKeys.ClientConfig()
	if err == nil {
		c.Timeout = 30 * time.Second
	}
	return c, err
}

// close drops idle connections.
func (d *dialer) close() {
	if d.client != nil {
		d.client.CloseIdleConnections()
	}
}

// readSecret reads a mounted file without the line break that editors add. The error names the field, never the content.
func readSecret(field, file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, configFault("%s: %w: is the Secret mounted?", field, err)
	}
	if b = []byte(strings.TrimRight(string(b), "\r\n")); len(b) == 0 {
		return nil, configFault("%s: %s is empty", field, file)
	}
	return b, nil
}

// secret reads the webhook's secret; none is configured where it is empty.
func (w Webhook) secret() ([]byte, error) {
	switch {
	case w.SecretFile != "":
		return readSecret("webhook.secretFile", w.SecretFile)
	case w.SecretEnv != "":
		if v := os.Getenv(w.SecretEnv); v != "" {
			return []byte(v), nil
		}
		return nil, configFault("webhook.secretEnv: the environment variable %s is empty", w.SecretEnv)
	}
	return nil, nil
}
