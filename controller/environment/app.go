package environment

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/bradleyfalzon/ghinstallation/v2"
)

// GitHubApp is an installation of a GitHub App, which is granted repositories and rights without an account of its own.
type GitHubApp struct {
	// ID is the App's, and InstallationID that of its installation in the organisation.
	ID             int64 `json:"id,omitempty" yaml:"id,omitempty"`
	InstallationID int64 `json:"installationID,omitempty" yaml:"installationID,omitempty"`
	// PrivateKeyFile holds the App's private key in PEM.
	PrivateKeyFile string `json:"privateKeyFile,omitempty" yaml:"privateKeyFile,omitempty"`
}

func (a GitHubApp) validate() (errs []error) {
	if a == (GitHubApp{}) {
		return nil
	}
	if a.ID <= 0 || a.InstallationID <= 0 {
		errs = append(errs, errors.New("credentials.githubApp: id and installationID: both are required; the App's settings and the address of its installation show them"))
	}
	if a.PrivateKeyFile == "" {
		errs = append(errs, errors.New("credentials.githubApp.privateKeyFile: missing: mount the App's private key from a Secret"))
	}
	return errs
}

// installation exchanges an App's key for tokens, each of which is good for an hour and kept until a minute before.
type installation struct {
	app    GitHubApp
	apiURL string

	key    string // and client: what tokens was made of
	client *http.Client
	tokens *ghinstallation.Transport
}

// token returns a token that is good now.
func (i *installation) token(ctx context.Context, client *http.Client) (string, error) {
	key, err := readSecret("credentials.githubApp.privateKeyFile", i.app.PrivateKeyFile)
	if err != nil {
		return "", err
	}
	if i.tokens == nil || i.key != string(key) || i.client != client {
		t, err := ghinstallation.New(client.Transport, i.app.ID, i.app.InstallationID, key)
		if err != nil {
			return "", configFault("credentials.githubApp.privateKeyFile: %s is no RSA key in PEM: download one from the App's settings", i.app.PrivateKeyFile)
		}
		t.BaseURL = i.apiURL
		i.key, i.client, i.tokens = string(key), client, t
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	token, err := i.tokens.Token(ctx)
	if err == nil {
		return token, nil
	}
	var refused *ghinstallation.HTTPError
	if errors.As(err, &refused) && refused.Response != nil {
		code := refused.Response.StatusCode
		if code >= 500 || code == http.StatusTooManyRequests {
			err = fmt.Errorf("github app %d: no token: %s", i.app.ID, refused.Response.Status)
			return "", &Fault{FaultUnreachable, &busyError{err, retryAfter(refused.Response.Header)}}
		}
		return "", &Fault{FaultAuth, fmt.Errorf("github app %d: no token: %s: check credentials.githubApp: the key, id and installationID, and this machine's clock", i.app.ID, refused.Response.Status)}
	}
	return "", &Fault{FaultUnreachable, fmt.Errorf("github app %d: no token: %w", i.app.ID, err)}
}

// drop forgets a token that the host refused, as it does once the installation was changed.
func (i *installation) drop() { i.tokens = nil }
