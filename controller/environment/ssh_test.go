package environment

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// newKey writes a private key to a file and returns its signer.
func newKey(t *testing.T, file string) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.TrimSpace(string(pem.EncodeToMemory(block)))), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// serveSSH runs git's own server commands for whoever logs in as git with the key, and returns its address.
func serveSSH(t *testing.T, dir string, hostKey ssh.Signer, allowed ssh.PublicKey) string {
	t.Helper()
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "git" || string(key.Marshal()) != string(allowed.Marshal()) {
			return nil, os.ErrPermission
		}
		return nil, nil
	}}
	config.AddHostKey(hostKey)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveConn(conn, config, dir)
		}
	}()
	return l.Addr().String()
}

func serveConn(conn net.Conn, config *ssh.ServerConfig, dir string) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for incoming := range channels {
		channel, requests, err := incoming.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			var command struct{ Line string }
			if r.Type != "exec" || ssh.Unmarshal(r.Payload, &command) != nil {
				_ = r.Reply(false, nil)
				continue
			}
			_ = r.Reply(true, nil)
			name, arg, _ := strings.Cut(command.Line, " ")
			cmd := exec.Command("git", strings.TrimPrefix(name, "git-"), filepath.Join(dir, strings.Trim(arg, "'")))
			cmd.Stdin, cmd.Stdout, cmd.Stderr = channel, channel, channel.Stderr()
			status := struct{ Code uint32 }{}
			if cmd.Run() != nil {
				status.Code = 128
			}
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(&status))
			channel.Close()
			break
		}
	}
}

func TestSSH(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	hostKey, key := newKey(t, file("host")), newKey(t, file("key"))
	newKey(t, file("other"))
	addr := serveSSH(t, h.dir, hostKey, key.PublicKey())
	known := func(name string, k ssh.PublicKey) {
		line := knownhosts.Line([]string{addr}, k) + "\n"
		if err := os.WriteFile(file(name), []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	known("known_hosts", hostKey.PublicKey())
	known("impostor", key.PublicKey())
	with := func(key, hosts string) *writer {
		return start(t, func(o *Options) {
			o.Config.Repositories[0].Credentials = Credentials{SSHKeyFile: file(key), KnownHostsFile: file(hosts)}
		}, "ssh://git@"+addr+"/env.git").only()
	}

	fails(t, with("key", "impostor"), FaultAuth, "the host's key is not the one in credentials.knownHostsFile")
	fails(t, with("other", "known_hosts"), FaultAuth, "refuses the credentials")
	fails(t, with("known_hosts", "known_hosts"), FaultConfiguration, "is not an unencrypted private key")
	fails(t, with("key", "nowhere"), FaultConfiguration, "credentials.knownHostsFile")
	w := with("key", "known_hosts")
	pass(t, w, Pushed)
	pass(t, w, Unchanged)
	p.pull()
	p.commit("source", map[string]string{"migrations/orders/0002.sql": "x\n"})
	p.push()
	pass(t, w, Pushed)
	p.pull()
	p.git("revert", "--no-edit", "HEAD")
	p.push()
	pass(t, w, Current)
	equal(t, "held by a new leader", pass(t, with("key", "known_hosts"), Current).Held, []string{"apps/orders"})
}

func TestSilentHostDoesNotKeepRunFromStopping(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dir := t.TempDir()
	key := newKey(t, filepath.Join(dir, "key"))
	line := knownhosts.Line([]string{l.Addr().String()}, key.PublicKey()) + "\n"
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	c := start(t, func(o *Options) {
		o.Config.Repositories[0].Credentials = Credentials{SSHKeyFile: filepath.Join(dir, "key"), KnownHostsFile: filepath.Join(dir, "hosts")}
	}, "ssh://git@"+l.Addr().String()+"/env.git")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	conn := <-accepted
	defer conn.Close()
	cancel()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Run waits for a host that says nothing")
	}
}
