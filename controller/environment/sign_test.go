package environment

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// signedBy makes a repository rendered with a signing key and returns it.
func signedBy(t *testing.T, s Signing) *person {
	t.Helper()
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	pass(t, start(t, func(o *Options) { o.Config.Signing = s }, h.url("env")).only(), Pushed)
	git(t, p.bare, "fsck", "--strict")
	return p
}

// put writes a file that only its owner may read and returns its path.
func put(t testing.TB, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The judges are git itself and ssh-keygen.
func TestCommitsSignedWithSSH(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind       string
		key        any
		passphrase string
	}{{"ed25519", ed, ""}, {"ecdsa", ec, ""}, {"rsa", rs, ""}, {"encrypted", ed, "hunter2"}} {
		t.Run(c.kind, func(t *testing.T) {
			block, err := ssh.MarshalPrivateKey(c.key, "")
			s := Signing{}
			if c.passphrase != "" {
				block, err = ssh.MarshalPrivateKeyWithPassphrase(c.key, "", []byte(c.passphrase))
				s.PassphraseFile = put(t, "passphrase", []byte(c.passphrase+"\n"))
			}
			if err != nil {
				t.Fatal(err)
			}
			s.KeyFile = put(t, "key", pem.EncodeToMemory(block))
			p := signedBy(t, s)

			signer, err := ssh.NewSignerFromKey(c.key)
			if err != nil {
				t.Fatal(err)
			}
			allowed := put(t, "allowed", append([]byte(`schemawave@localhost namespaces="git" `), ssh.MarshalAuthorizedKey(signer.PublicKey())...))
			said, err := verifyCommit(p, "gpg.ssh.allowedSignersFile="+allowed)
			if err != nil || !strings.Contains(said, `Good "git" signature for schemawave@localhost`) {
				t.Errorf("git verify-commit: %v\n%s", err, said)
			}
		})
	}
}

func verifyCommit(p *person, config string, env ...string) (string, error) {
	cmd := exec.Command("git", "-c", config, "verify-commit", "main")
	cmd.Dir, cmd.Env = p.bare, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestCommitsSignedWithOpenPGP(t *testing.T) {
	for _, passphrase := range []string{"", "hunter2"} {
		home, err := os.MkdirTemp("", "gpg") // short: it holds a socket
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(home) })
		gpg := func(args ...string) []byte {
			cmd := exec.Command("gpg", append([]string{"--batch", "--pinentry-mode", "loopback", "--passphrase", passphrase, "--homedir", home}, args...)...)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("gpg %s: %v", args, err)
			}
			return out
		}
		t.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
		gpg("--quick-generate-key", "schemawave <schemawave@localhost>", "rsa2048", "sign", "never")
		s := Signing{KeyFile: put(t, "key", gpg("--armor", "--export-secret-keys"))}
		if passphrase != "" {
			s.PassphraseFile = put(t, "passphrase", []byte(passphrase))
		}
		p := signedBy(t, s)
		said, err := verifyCommit(p, "gpg.format=openpgp", "GNUPGHOME="+home, "LC_ALL=C")
		if err != nil || !strings.Contains(said, `Good signature from "schemawave <schemawave@localhost>"`) {
			t.Errorf("git verify-commit: %v\n%s", err, said)
		}
	}
}

// A key that does not open is a fault that heals when the Secret is right, and nothing is pushed unsigned meanwhile.
func TestNothingIsPushedUnsigned(t *testing.T) {
	h := newHost(t)
	p := h.repository("env", shop("orders"))
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	s := Signing{KeyFile: filepath.Join(t.TempDir(), "key"), PassphraseFile: put(t, "passphrase", []byte("hunter3"))}
	w := start(t, func(o *Options) { o.Config.Signing = s }, h.url("env")).only()
	fails(t, w, FaultConfiguration, "signing.keyFile", "is the Secret mounted?")
	for _, c := range []struct{ content, passphraseFile, want string }{
		{"nonsense", "", "neither an OpenPGP key nor an SSH key"},
		{"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nnonsense", s.PassphraseFile, "is no OpenPGP key"},
		{string(pem.EncodeToMemory(block)), "", "without signing.passphraseFile"},
		{string(pem.EncodeToMemory(block)), s.PassphraseFile, "check signing.passphraseFile"},
	} {
		w.signing.PassphraseFile = c.passphraseFile
		if err := os.WriteFile(s.KeyFile, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		fails(t, w, FaultConfiguration, c.want)
	}
	if n := len(p.ours()); n != 0 {
		t.Fatalf("%d commits of ours were pushed", n)
	}
	if err := os.WriteFile(s.PassphraseFile, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	pass(t, w, Pushed)
}
