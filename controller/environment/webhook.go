package environment

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// Bounds of the receiver.
const (
	maxDelivery   = 25 << 20 // GitHub's limit; the other hosts send less
	maxDeliveries = 4        // bodies held in memory at once
	readTimeout   = 30 * time.Second
)

// receiver answers webhook deliveries of git hosts.
type receiver struct {
	controller *Controller
	slots      chan struct{}
	client     *http.Client
}

// Webhook receives pushes from GitHub, GitLab, Gitea, Forgejo, Gogs, Bitbucket (Cloud and Data Center) and Azure DevOps,
// told apart by their headers, at whatever path it is served under. It answers
//
//	202  the push wakes a writer
//	200  it concerns nothing that is configured; the body says why
//	401  a secret is configured and the delivery is not signed with it
//	400, 405, 413, 415  it is no delivery
//	503  this replica is not the leader and does not reach it, or is overloaded; Retry-After is set
//
// A delivery only wakes, so a repeated or forged one can cause no more than a look at the repository.
func (c *Controller) Webhook() http.Handler {
	return &receiver{
		controller: c,
		slots:      make(chan struct{}, maxDeliveries),
		client:     relayClient(),
	}
}

// answer is what a delivery comes to.
type answer struct {
	status int
	text   string
}

func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		rc.reply(w, "unknown", answer{http.StatusMethodNotAllowed, "a webhook is delivered with POST"})
		return
	}
	select {
	case rc.slots <- struct{}{}:
		defer func() { <-rc.slots }()
	case <-r.Context().Done():
		return
	case <-time.After(readTimeout):
		rc.reply(w, "unknown", answer{http.StatusServiceUnavailable, "too many deliveries at once; the next poll makes up for this one"})
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout)) // a recorder in a test has none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDelivery))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		rc.reply(w, "unknown", answer{http.StatusRequestEntityTooLarge, fmt.Sprintf("more than %d MiB", maxDelivery>>20)})
		return
	} else if err != nil {
		rc.reply(w, "unknown", answer{http.StatusBadRequest, "the body ended early"})
		return
	}
	host, a := rc.handle(r, body)
	rc.reply(w, host, a)
}

func (rc *receiver) reply(w http.ResponseWriter, host string, a answer) {
	result := map[int]string{http.StatusAccepted: "accepted", http.StatusOK: "ignored", http.StatusUnauthorized: "unsigned",
		http.StatusServiceUnavailable: "unavailable"}[a.status]
	if result == "" {
		result = "malformed"
	}
	rc.controller.metrics.delivery(host, result)
	level := slog.LevelWarn
	if a.status < 300 {
		level = slog.LevelDebug // of an organisation's webhook most concern other repositories
	}
	rc.controller.log.Log(context.Background(), level, "webhook answered", "host", host, "status", a.status, "reason", a.text)
	if a.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "10")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(a.status)
	fmt.Fprintln(w, a.text)
}

// handle decides about one delivery, and wakes.
func (rc *receiver) handle(r *http.Request, body []byte) (host string, a answer) {
	content, err := decode(r.Header.Get("Content-Type"), body)
	if err != nil {
		return "unknown", answer{http.StatusUnsupportedMediaType, err.Error()}
	}
	d, err := recognise(r, content, body)
	if err != nil {
		return "unknown", answer{http.StatusBadRequest, err.Error()}
	}
	concerned := rc.controller.match(d)
	if len(concerned) == 0 {
		return d.host, answer{http.StatusOK, "ignored: no configured repository has this url"}
	}
	concerned, err = verified(concerned, d)
	if err != nil {
		rc.controller.log.Error("webhook cannot be verified", "host", d.host, "err", err)
		return d.host, answer{http.StatusServiceUnavailable, "the webhook's secret cannot be read; see the log"}
	}
	if len(concerned) == 0 {
		return d.host, answer{http.StatusUnauthorized, "the signature is missing or wrong: set the same secret here and at the git host"}
	}
	if !d.push {
		return d.host, answer{http.StatusOK, fmt.Sprintf("ignored: %q is not a push", d.event)}
	}
	concerned = slices.DeleteFunc(concerned, func(w *writer) bool {
		return !slices.ContainsFunc(w.repo.branches(), func(b string) bool { return slices.Contains(d.branches, b) })
	})
	if len(concerned) == 0 {
		return d.host, answer{http.StatusOK, "ignored: no configured branch was pushed to"}
	}
	if !rc.controller.running.Load() {
		return d.host, rc.relay(r, body)
	}
	for _, w := range concerned {
		w.wake()
	}
	return d.host, answer{http.StatusAccepted, "accepted"}
}

// decode returns the JSON of a body, which GitHub and Gitea can also send as the field of a form.
func decode(contentType string, body []byte) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && kind == "application/json":
		return body, nil
	case err == nil && kind == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err == nil && form.Has("payload") {
			return []byte(form.Get("payload")), nil
		}
	}
	return nil, fmt.Errorf("content type %q: set the webhook to application/json", contentType)
}

// match finds the writers of the repository that a delivery names. A host behind another address announces URLs that
// only share the path with the configured one.
func (c *Controller) match(d delivery) []*writer {
	var exact, similar []*writer
	for _, w := range c.writers {
		ours := canonical(w.repo.URL)
		_, ourPath, _ := strings.Cut(ours, "/")
		for _, u := range d.urls {
			theirs := canonical(u)
			if theirs == "" {
				continue
			}
			_, theirPath, _ := strings.Cut(theirs, "/")
			if theirs == ours && !slices.Contains(exact, w) {
				exact = append(exact, w)
			}
			if theirPath == ourPath && !slices.Contains(similar, w) {
				similar = append(similar, w)
			}
		}
		if d.path != "" && (ourPath == d.path || strings.HasSuffix(ourPath, "/"+d.path)) {
			similar = append(similar, w)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return similar
}

// verified keeps the writers whose secret the delivery is signed with, or that have none.
func verified(writers []*writer, d delivery) ([]*writer, error) {
	var kept []*writer
	for _, w := range writers {
		secret, err := w.repo.Webhook.secret()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Base(w.repo.URL), err)
		}
		if len(secret) == 0 || d.signed(secret) {
			kept = append(kept, w)
		}
	}
	return kept, nil
}

// same compares in a time that depends on neither content.
func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
