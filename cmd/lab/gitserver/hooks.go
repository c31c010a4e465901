package gitserver

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Hook is where a repository's pushes are told.
type Hook struct {
	// URL gets a POST for each ref that a push changes.
	URL string `json:"url"`
	// Secret signs the body (X-Hub-Signature-256); empty: no signature.
	Secret string `json:"secret,omitempty"`
}

// retries are the pauses between attempts to deliver an event.
var retries = []time.Duration{200 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second}

// deliveryTimeout is how long a receiver may take to answer.
const deliveryTimeout = 10 * time.Second

func (r *repository) hooksFile() string { return filepath.Join(r.dir, "webhooks.json") }

// hooks are the registered hooks; they live in the repository's directory and so outlive the server.
func (r *repository) hooks() ([]Hook, error) {
	content, err := os.ReadFile(r.hooksFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("repository %s: read hooks: %w", r.name, err)
	}
	var all []Hook
	if err := json.Unmarshal(content, &all); err != nil {
		return nil, fmt.Errorf("repository %s: read hooks: %w", r.name, err)
	}
	return all, nil
}

// addHook registers a hook, in place of one with the same URL.
func (r *repository) addHook(h Hook) error {
	if u, err := url.Parse(h.URL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("hook: the url is not an http or https URL")
	}
	r.push.Lock()
	defer r.push.Unlock()
	all, err := r.hooks()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(old Hook) bool { return old.URL == h.URL })
	content, err := json.Marshal(append(all, h))
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.hooksFile(), content, 0o600); err != nil {
		return fmt.Errorf("repository %s: write hooks: %w", r.name, err)
	}
	return nil
}

// deliver posts an event to a hook until a receiver accepts it or the attempts are used up. All attempts carry the same
// delivery id, by which a receiver can tell a repetition.
func deliver(ctx context.Context, client *http.Client, h Hook, body []byte) error {
	id := uuid()
	for attempt := 0; ; attempt++ {
		err := post(ctx, client, h, id, body)
		if err == nil {
			return nil
		}
		if attempt == len(retries) {
			return fmt.Errorf("deliver to %s: %w; given up after %d attempts", h.URL, err, attempt+1)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("deliver to %s: %w (%w)", h.URL, err, ctx.Err())
		case <-time.After(retries[attempt]):
		}
	}
}

func post(ctx context.Context, client *http.Client, h Hook, id string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "GitHub-Hookshot/lab") // some receivers look for the beginning
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", id)
	if h.Secret != "" {
		mac := hmac.New(sha256.New, []byte(h.Secret))
		mac.Write(body)
		req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return nil
}

// uuid is a random UUID (RFC 9562, version 4).
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
