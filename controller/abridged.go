package controller

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/schemawave/schemawave/manifests"
)

// abridging returns a configuration under which Applications arrive without most of what strip leaves out. To decode a whole one, each time
// that Argo CD writes it, is most of what a controller does. And an informer holds a whole list, and then every object that it decodes to,
// before it strips the first: with thousands of Applications many times what it keeps. Asking for pages would have the API server
// read them all from etcd, which takes it far longer than to send what it has in its memory.
func abridging(config *rest.Config) *rest.Config {
	c := rest.CopyConfig(config)
	c.Wrap(func(to http.RoundTripper) http.RoundTripper { return abridger{to} })
	return c
}

type abridger struct{ http.RoundTripper }

func (a abridger) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := a.RoundTripper.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusOK || r.Method != http.MethodGet ||
		!strings.HasPrefix(r.URL.Path, "/apis/argoproj.io/v1alpha1/") || !strings.HasSuffix(r.URL.Path, "/applications") ||
		!strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") {
		return answer, err
	}
	within := "items"
	if r.URL.Query().Has("watch") {
		within = "object"
	}
	answer.ContentLength = -1
	answer.Header.Del("Content-Length")
	answer.Body = abridge(answer.Body, omission{members: map[string]omission{within: omitted}})
	return answer, nil
}

// omission says what of a JSON value is left out. The zero value leaves out nothing. That of an array is that of each of its elements.
type omission struct {
	whole     bool // the value itself
	unrelated bool // an object whose name is not that of a migration's object
	members   map[string]omission
}

// omitted is what of an Application is left out: all that strip leaves out, too, and that grows with what is deployed or how often.
var omitted = omission{members: map[string]omission{
	"metadata": {members: map[string]omission{
		"managedFields": {whole: true}, "annotations": members(corev1.LastAppliedConfigAnnotation),
	}},
	"status": {members: map[string]omission{
		"resources": {unrelated: true},
		"summary":   {whole: true},
		"history":   members("source", "sources", "initiatedBy"),
		"sync":      members("comparedTo"),
		"operationState": {members: map[string]omission{
			"operation": {members: map[string]omission{"sync": members("source", "sources", "manifests")}},
			"syncResult": {members: map[string]omission{
				"resources": {unrelated: true}, "source": {whole: true}, "sources": {whole: true}, "managedNamespaceMetadata": {whole: true},
			}},
		}},
	}},
}}

// members leaves these members out.
func members(names ...string) omission {
	o := omission{members: map[string]omission{}}
	for _, n := range names {
		o.members[n] = omission{whole: true}
	}
	return o
}

// abridged reads JSON objects, one after the other, and gives them out without what is omitted, and without blanks. What is wrong within a
// scalar is left to whoever decodes it.
type abridged struct {
	io.Closer
	in   *bufio.Reader
	each omission // of each object
	out  bytes.Buffer
	open []nested // the objects and arrays that are being read, the outermost first
	held int      // how many of them are held
	err  error
}

// nested is an object or array that is being read.
type nested struct {
	omission
	end   byte // its closing bracket
	start int  // of its place in the output, with the comma and the name before it
	held  bool // it is left out, unless it is unrelated and a name comes that keeps it
	read  bool // something of it has been read
	kept  bool // something of it is in the output
}

func abridge(body io.ReadCloser, each omission) *abridged {
	return &abridged{Closer: body, in: bufio.NewReaderSize(body, 16<<10), each: each}
}

// Read implements io.Reader. It does not wait for what comes after an object. An error of the body is given as it is: by what it equals, client-go
// tells a connection that was lost, after which it goes on with the watch, from an answer that cannot be read, after which it lists anew.
func (a *abridged) Read(p []byte) (int, error) {
	for a.err == nil && (a.out.Len() == 0 || a.held > 0 || len(a.open) > 0 && a.out.Len() < len(p)) {
		a.err = a.step()
	}
	if a.held > 0 || a.out.Len() == 0 {
		return 0, a.err
	}
	return a.out.Read(p)
}

// step takes in one bracket, or one scalar, or a member that is left out.
func (a *abridged) step() error {
	c, err := a.peek()
	switch {
	case len(a.open) == 0 && err != nil:
		return err
	case err != nil:
		return unexpected(err)
	case len(a.open) == 0 && c != '{':
		return fmt.Errorf("read applications: %q stands where an object was expected", c)
	case len(a.open) == 0:
		return a.value(a.each, 0)
	}
	in, start := &a.open[len(a.open)-1], a.out.Len()
	if c == in.end {
		return a.close(in)
	}
	if in.read {
		if err := a.expect(','); err != nil {
			return err
		}
	}
	in.read = true
	if in.kept {
		a.out.WriteByte(',')
	}
	if in.end == ']' {
		return a.value(in.omission, start)
	}
	return a.member(start)
}

// close takes in the bracket that closes the innermost object or array, which is left out if it is still held.
func (a *abridged) close(in *nested) error {
	a.out.WriteByte(in.end)
	outer := len(a.open) - 2
	switch {
	case in.held:
		a.out.Truncate(in.start)
		a.held--
	case outer >= 0:
		a.open[outer].kept = true
	}
	a.open = a.open[:outer+1]
	return a.expect(in.end)
}

// member takes in a name, and of its value what step does.
func (a *abridged) member(start int) error {
	in := len(a.open) - 1
	name, err := a.text()
	if err == nil {
		err = a.expect(':')
	}
	if err != nil {
		return err
	}
	of := a.open[in].members[string(name)]
	names := a.open[in].unrelated && a.open[in].held && string(name) == "name" && !of.whole
	a.out.WriteByte(':')
	at := a.out.Len()
	if err := a.value(of, start); err != nil {
		return err
	}
	if names && concerns(a.out.Bytes()[at:]) {
		a.open[in].held = false
		a.held--
	}
	return nil
}

// concerns reports whether a name in JSON may be that of a migration's object.
func concerns(name []byte) bool {
	_, ours := manifests.ParseName(string(name))
	return ours || bytes.IndexByte(name, '\\') >= 0
}

// value takes in a scalar, or the bracket that opens an object or an array. Its place in the output begins at start.
func (a *abridged) value(of omission, start int) error {
	c, err := a.peek()
	if err != nil {
		return unexpected(err)
	}
	if c != '{' && c != '[' {
		err := a.scalar(c)
		if of.whole {
			a.out.Truncate(start)
		} else {
			a.open[len(a.open)-1].kept = true
		}
		return err
	}
	v := nested{omission: of, end: c + 2, start: start, held: of.whole || of.unrelated && c == '{'} // ASCII: {|} and [\]
	if v.held {
		a.held++
	}
	a.open = append(a.open, v)
	a.out.WriteByte(c)
	return a.expect(c)
}

// scalar takes in a text that c begins, or a number or a word.
func (a *abridged) scalar(c byte) error {
	if c == '"' {
		_, err := a.text()
		return err
	}
	for n := 0; ; n++ {
		c, err := a.in.ReadByte()
		switch {
		case err != nil:
			return unexpected(err)
		case bytes.IndexByte([]byte(" \t\r\n,:]}"), c) < 0:
			a.out.WriteByte(c)
		case n == 0:
			return fmt.Errorf("read applications: %q stands where a value was expected", c)
		default:
			return a.in.UnreadByte()
		}
	}
}

// text takes in a text and returns what is between its quotes, which is valid until more is taken in.
func (a *abridged) text() ([]byte, error) {
	if err := a.expect('"'); err != nil {
		return nil, err
	}
	a.out.WriteByte('"')
	at := a.out.Len()
	for escaped := true; escaped; {
		part, err := a.in.ReadSlice('"')
		a.out.Write(part)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return nil, unexpected(err)
		}
		text := a.out.Bytes()[at : a.out.Len()-1]
		escaped = (len(text)-len(bytes.TrimRight(text, `\`)))%2 == 1
	}
	return a.out.Bytes()[at : a.out.Len()-1], nil
}

// peek passes blanks and returns what comes after them, which it leaves there.
func (a *abridged) peek() (byte, error) {
	for {
		c, err := a.in.ReadByte()
		if err != nil {
			return 0, err
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c, a.in.UnreadByte()
		}
	}
}

// expect takes in a byte, which must be c.
func (a *abridged) expect(c byte) error {
	is, err := a.peek()
	switch {
	case err != nil:
		return unexpected(err)
	case is != c:
		return fmt.Errorf("read applications: %q stands where %q was expected", is, c)
	}
	_, err = a.in.ReadByte()
	return err
}

// unexpected is an error that comes within a value.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
