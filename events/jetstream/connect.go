package jetstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Options says where NATS is and who connects. Files are read when connecting; the zero value is a local server without
// authentication.
type Options struct {
	URL         string // one server or several, separated by commas; empty: nats://127.0.0.1:4222
	Creds       string // file with a user JWT and its seed
	NKey        string // file with an nkey seed; not with Creds
	CA          string // file with the certificates that may sign the server's; empty: the system's
	Cert, Key   string // files of the client's own certificate; both or neither
	InboxPrefix string // where answers are received; empty: _INBOX

	Name  string // shown by the server's connection list; say who waits for what
	Retry bool   // return a connection that is yet to be made, and go on connecting for as long as it is open
	// Persist goes on when a server refuses the credentials, too: they are read anew, and may be renewed or put right. Without it, the
	// second refusal by a server closes the connection.
	Persist bool
	Log     *slog.Logger
}

// OptionsFromEnv reads NATS_URL, NATS_CREDS, NATS_NKEY, NATS_CA, NATS_CERT, NATS_KEY and NATS_INBOX_PREFIX.
func OptionsFromEnv(getenv func(string) string) Options {
	return Options{
		URL: getenv("NATS_URL"), Creds: getenv("NATS_CREDS"), NKey: getenv("NATS_NKEY"),
		CA: getenv("NATS_CA"), Cert: getenv("NATS_CERT"), Key: getenv("NATS_KEY"),
		InboxPrefix: getenv("NATS_INBOX_PREFIX"),
	}
}

// Connect returns a connection that outlives any restart of the server and reconnects until it is refused, with jitter. With Retry it
// does so from the start: once each server was asked, the connection may be still unconnected. Without, it fails unless a server accepts it
// before ctx ends, with a *DeniedError or an *UnreachableError. A *ConfigError means that no server was asked.
func Connect(ctx context.Context, o Options) (*nats.Conn, error) {
	servers, err := o.servers()
	if err != nil {
		return nil, &ConfigError{err}
	}
	opts, err := o.nats()
	if err != nil {
		return nil, &ConfigError{err}
	}
	if deadline, ok := ctx.Deadline(); ok && !o.Retry {
		opts = append(opts, nats.Timeout(min(time.Until(deadline), nats.DefaultTimeout)))
	}
	if err := ctx.Err(); err != nil {
		return nil, &UnreachableError{What: "connect to nats at " + redact(servers), Err: err}
	}
	nc, err := connect(ctx, servers, opts)
	if err != nil {
		if denied := denial(err); denied != nil {
			return nil, denied
		}
		return nil, &UnreachableError{What: "connect to nats at " + redact(servers), Err: err}
	}
	return nc, nil
}

// connect is nats.Connect, which asks each server in turn and may take 2 s for one that says nothing, for as long as ctx goes on.
func connect(ctx context.Context, servers []string, opts []nats.Option) (*nats.Conn, error) {
	type outcome struct {
		nc  *nats.Conn
		err error
	}
	made := make(chan outcome, 1)
	go func() {
		nc, err := nats.Connect(strings.Join(servers, ","), opts...)
		made <- outcome{nc, err}
	}()
	select {
	case o := <-made:
		return o.nc, o.err
	case <-ctx.Done():
		go func() {
			if o := <-made; o.nc != nil {
				o.nc.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

func (o Options) nats() ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(o.Retry),
		nats.ReconnectWait(time.Second),
		nats.ReconnectJitter(time.Second, time.Second),
		nats.PingInterval(20 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(o.logError),
		// What keeps the connection from being made again goes the way of all other errors, to whoever listens.
		nats.ReconnectErrHandler(func(nc *nats.Conn, err error) { nc.ErrorHandler()(nc, nil, err) }),
	}
	if o.Persist {
		opts = append(opts, nats.IgnoreAuthErrorAbort())
	}
	if o.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(strings.TrimSuffix(o.InboxPrefix, ".")))
	}
	switch {
	case o.Creds != "" && o.NKey != "":
		return nil, errors.New("both nats credentials and an nkey are given: set NATS_CREDS or NATS_NKEY, not both")
	case o.Creds != "":
		if _, err := os.Stat(o.Creds); err != nil {
			return nil, fmt.Errorf("nats credentials: %w: NATS_CREDS is the path of a .creds file", err)
		}
		opts = append(opts, nats.UserCredentials(o.Creds))
	case o.NKey != "":
		nkey, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return nil, fmt.Errorf("nats nkey: %w: NATS_NKEY is the path of a file with a user's seed", err)
		}
		opts = append(opts, nkey)
	}
	return o.tls(opts)
}

func (o Options) tls(opts []nats.Option) ([]nats.Option, error) {
	if (o.Cert == "") != (o.Key == "") {
		return nil, errors.New("nats client certificate: set NATS_CERT and NATS_KEY, or neither")
	}
	if o.Cert != "" {
		if _, err := tls.LoadX509KeyPair(o.Cert, o.Key); err != nil {
			return nil, fmt.Errorf("nats client certificate: %w", err)
		}
		opts = append(opts, nats.ClientCert(o.Cert, o.Key))
	}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("nats authorities: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("nats authorities: %s holds no PEM certificate", o.CA)
		}
		opts = append(opts, nats.RootCAs(o.CA))
	}
	return opts, nil
}

// logError is for people who look for a cause; what an operation needs to know of it travels in its error.
func (o Options) logError(nc *nats.Conn, sub *nats.Subscription, err error) {
	if o.Log != nil {
		o.Log.Debug("nats", "error", err)
	}
}

// servers checks every address, because nats.go would quote a bad one in its error, password and all.
func (o Options) servers() ([]string, error) {
	if o.URL == "" {
		return []string{nats.DefaultURL}, nil
	}
	var servers []string
	for i, s := range strings.Split(o.URL, ",") {
		s = strings.TrimSpace(s)
		full := s
		if !strings.Contains(s, "://") {
			full = "nats://" + s
		}
		if u, err := url.Parse(full); err != nil || u.Hostname() == "" {
			return nil, fmt.Errorf("nats server %d in NATS_URL is not an address: want nats://host:4222, with user and password percent-encoded", i+1)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// redact lists the servers without anything before the host's name.
func redact(servers []string) string {
	hosts := make([]string, len(servers))
	for i, s := range servers {
		if at := strings.LastIndexByte(s, '@'); at >= 0 {
			s = s[at+1:]
		} else if _, host, ok := strings.Cut(s, "://"); ok {
			s = host
		}
		hosts[i] = s
	}
	return strings.Join(hosts, ", ")
}
