package controller

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"k8s.io/client-go/rest"
)

// strippingLists returns a configuration under which lists of Applications arrive stripped. An informer holds the whole answer, and then
// every object that it decodes to, before it strips the first: with thousands of Applications many times what it keeps.
// Asking for pages would have the API server read them all from etcd, which takes it far longer than to send what it has in its memory.
func strippingLists(config *rest.Config) *rest.Config {
	stripping := rest.CopyConfig(config)
	stripping.Wrap(func(to http.RoundTripper) http.RoundTripper { return listStripper{to} })
	return stripping
}

type listStripper struct{ http.RoundTripper }

func (s listStripper) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.RoundTripper.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusOK || r.Method != http.MethodGet || r.URL.Query().Has("watch") ||
		!strings.HasPrefix(r.URL.Path, "/apis/argoproj.io/v1alpha1/") || !strings.HasSuffix(r.URL.Path, "/applications") ||
		!strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") {
		return answer, err
	}
	answer.ContentLength = -1
	answer.Header.Del("Content-Length")
	answer.Body = &strippedList{Closer: answer.Body, in: json.NewDecoder(answer.Body)}
	return answer, nil
}

// strippedList reads a list of Applications in JSON and gives it out without what strip leaves out, one Application at a time.
type strippedList struct {
	io.Closer
	in    *json.Decoder
	out   bytes.Buffer
	inner bool // within the list, not in what stands around it
	next  bool // something stands before, so that a comma is due
	err   error
}

// Read implements io.Reader.
func (l *strippedList) Read(p []byte) (int, error) {
	for l.out.Len() == 0 && l.err == nil {
		if l.err = l.step(); l.err != nil && l.err != io.EOF {
			l.err = fmt.Errorf("read applications: %w", l.err)
		}
	}
	if l.out.Len() == 0 {
		return 0, l.err
	}
	return l.out.Read(p)
}

// step takes in one Application, one other field, or one bracket.
func (l *strippedList) step() error {
	if !l.in.More() || l.in.InputOffset() == 0 {
		return l.bracket()
	}
	if l.next {
		l.out.WriteByte(',')
	}
	l.next = true
	if l.inner {
		var a argo.Application
		if err := l.in.Decode(&a); err != nil {
			return err
		}
		strip(&a)
		return json.NewEncoder(&l.out).Encode(&a)
	}
	name, err := l.in.Token()
	if err != nil {
		return err
	}
	fmt.Fprintf(&l.out, "%q:", name)
	if name == "items" {
		return l.bracket()
	}
	var value json.RawMessage
	err = l.in.Decode(&value)
	l.out.Write(value)
	return err
}

// bracket takes in what opens or closes the whole or its list; and the null that an empty list may be.
func (l *strippedList) bracket() error {
	token, err := l.in.Token()
	if err != nil {
		return err
	}
	if token == nil {
		l.out.WriteString("null")
		return nil
	}
	d, ok := token.(json.Delim)
	if !ok {
		return fmt.Errorf("%v stands where a list was expected", token)
	}
	l.inner, l.next = d == '[', d == ']'
	l.out.WriteString(d.String())
	return nil
}
