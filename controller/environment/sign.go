package environment

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"encoding/pem"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"golang.org/x/crypto/ssh"
)

// Signing says with which key commits are signed, so that a branch or an AppProject can demand signatures. The zero value
// signs none.
type Signing struct {
	// KeyFile holds a private key: of OpenPGP in ASCII armour, as gpg exports it, or of SSH, as ssh-keygen makes it. Argo
	// CD verifies OpenPGP only.
	KeyFile string `json:"keyFile,omitempty" yaml:"keyFile,omitempty"`
	// PassphraseFile holds what the key is encrypted with, if it is.
	PassphraseFile string `json:"passphraseFile,omitempty" yaml:"passphraseFile,omitempty"`
}

// sign sets the commit's signature, with the key as the file holds it now.
func (s Signing) sign(c *object.Commit) error {
	if s.KeyFile == "" {
		return nil
	}
	key, err := readSecret("signing.keyFile", s.KeyFile)
	if err != nil {
		return err
	}
	var passphrase []byte
	if s.PassphraseFile != "" {
		if passphrase, err = readSecret("signing.passphraseFile", s.PassphraseFile); err != nil {
			return err
		}
	}
	content, err := unsigned(c)
	if err != nil {
		return err
	}
	how := signSSH
	if bytes.Contains(key, []byte("BEGIN "+openpgp.PrivateKeyType)) {
		how = signOpenPGP
	}
	if c.PGPSignature, err = how(append(key, '\n'), passphrase, content); err != nil {
		return configFault("signing.keyFile: %s: %w", s.KeyFile, err)
	}
	return nil
}

// unsigned returns what of a commit is signed: all of it but the signature.
func unsigned(c *object.Commit) ([]byte, error) {
	var o plumbing.MemoryObject
	if err := c.EncodeWithoutSignature(&o); err != nil {
		return nil, err
	}
	r, err := o.Reader()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// signOpenPGP makes a detached, armoured signature.
func signOpenPGP(key, passphrase, content []byte) (string, error) {
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(key))
	if err != nil {
		return "", fmt.Errorf("is no OpenPGP key: export it with gpg --armor --export-secret-keys: %w", err)
	}
	if len(ring) != 1 {
		return "", fmt.Errorf("holds %d OpenPGP keys: leave the one to sign with", len(ring))
	}
	if ring[0].PrivateKey == nil || ring[0].PrivateKey.Encrypted {
		if err := ring[0].DecryptPrivateKeys(passphrase); err != nil {
			return "", fmt.Errorf("the OpenPGP key does not open: check signing.passphraseFile: %w", err)
		}
	}
	var out bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&out, ring[0], bytes.NewReader(content), nil); err != nil {
		return "", fmt.Errorf("the OpenPGP key does not sign: %w", err)
	}
	return out.String() + "\n", nil
}

// sshsig is the magic preamble of both structures of OpenSSH's PROTOCOL.sshsig; namespace is the one git verifies.
const (
	sshsig       = "SSHSIG"
	sshNamespace = "git"
	sshHash      = "sha512"
)

// signSSH makes a signature in the format of OpenSSH's PROTOCOL.sshsig.
func signSSH(key, passphrase, content []byte) (string, error) {
	signer, err := parseSSHKey(key, passphrase)
	if err != nil {
		return "", err
	}
	sum := sha512.Sum512(content)
	signed := append([]byte(sshsig), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Sum                       []byte
	}{sshNamespace, "", sshHash, sum[:]})...)
	sig, err := signAs(signer, signed)
	if err != nil {
		return "", fmt.Errorf("the SSH key does not sign: %w", err)
	}
	blob := append([]byte(sshsig), ssh.Marshal(struct {
		Version                   uint32
		PublicKey                 []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{1, signer.PublicKey().Marshal(), sshNamespace, "", sshHash, ssh.Marshal(sig)})...)
	return string(pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: blob})), nil
}

func parseSSHKey(key, passphrase []byte) (ssh.Signer, error) {
	if len(passphrase) == 0 {
		signer, err := ssh.ParsePrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("is neither an OpenPGP key nor an SSH key that opens without signing.passphraseFile: %w", err)
		}
		return signer, nil
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase(key, passphrase)
	if err != nil {
		return nil, fmt.Errorf("the SSH key does not open: check signing.passphraseFile: %w", err)
	}
	return signer, nil
}

// signAs takes SHA-512 for RSA, whose default in the library is the SHA-1 that PROTOCOL.sshsig forbids.
func signAs(signer ssh.Signer, data []byte) (*ssh.Signature, error) {
	if rsa, ok := signer.(ssh.AlgorithmSigner); ok && signer.PublicKey().Type() == ssh.KeyAlgoRSA {
		return rsa.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA512)
	}
	return signer.Sign(rand.Reader, data)
}
