package environment

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// relayedHeader marks a delivery that another replica passed on, so that it goes no further.
const relayedHeader = "Schemawave-Relayed"

// relayClient speaks with the leader: directly, briefly, and nowhere else.
func relayClient() *http.Client {
	return &http.Client{
		Timeout:       5 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// relay passes a delivery on to the leader and returns its answer. The leader verifies it again.
func (rc *receiver) relay(r *http.Request, body []byte) answer {
	const meanwhile = "; the leader's poll will find the push"
	if r.Header.Get(relayedHeader) != "" {
		return answer{http.StatusServiceUnavailable, "not the leader any more" + meanwhile}
	}
	status, text, err := rc.post(r, body)
	if err != nil {
		rc.controller.log.Warn("webhook not passed on to the leader", "err", err)
		return answer{http.StatusServiceUnavailable, "not the leader, which cannot be reached" + meanwhile}
	}
	return answer{status, text}
}

func (rc *receiver) post(r *http.Request, body []byte) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), rc.client.Timeout)
	defer cancel()
	if rc.controller.leader == nil {
		return 0, "", errors.New("this replica was not told where the leader is")
	}
	url, err := rc.controller.leader(ctx)
	if err != nil {
		return 0, "", err
	}
	if url == "" {
		return 0, "", errors.New("there is no leader")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-") || name == "Content-Type" || name == "Authorization" {
			req.Header[name] = values
		}
	}
	req.Header.Set(relayedHeader, "1")
	res, err := rc.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	return res.StatusCode, strings.TrimSpace(string(said)), err
}
