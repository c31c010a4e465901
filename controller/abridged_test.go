package controller

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestApplicationsAreAbridged: lists and watches of Applications arrive without what the cache leaves out, and everything else whole.
func TestApplicationsAreAbridged(t *testing.T) {
	const (
		all = "/apis/argoproj.io/v1alpha1/applications"
		few = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"

		app = `{"metadata":{"name":"a","managedFields":[{"manager":"x"}]},"spec":{"destination":{"namespace":"shop"}},` +
			`"status":{"resources":[{"kind":"Deployment","name":"web"},{"name":"schema-orders-1-0123abcd-marker"}],"summary":{"images":["x"]}}}`
		kept = `{"metadata":{"name":"a"},"spec":{"destination":{"namespace":"shop"}},"status":{"resources":[{"name":"schema-orders-1-0123abcd-marker"}]}}`

		failure = `{"type":"ERROR","object":{"kind":"Status","status":"Failure","reason":"Expired","message":"too old resource version","code":410}}`
	)
	for _, c := range []struct{ reason, ask, sent, arrives string }{
		{"of all namespaces", all + "?limit=500&resourceVersion=0",
			`{"apiVersion":"argoproj.io/v1alpha1","items":[` + app + ", \n" + app + `],"kind":"ApplicationList","metadata":{"continue":"more","resourceVersion":"9"}}`,
			`{"apiVersion":"argoproj.io/v1alpha1","items":[` + kept + `,` + kept + `],"kind":"ApplicationList","metadata":{"continue":"more","resourceVersion":"9"}}`},
		{"of one", few, `{"items":[` + app + `]}`, `{"items":[` + kept + `]}`},
		{"an empty list", all, `{"items":[],"metadata":{"resourceVersion":"9"}}`, `{"items":[],"metadata":{"resourceVersion":"9"}}`},
		{"which may be null", all, `{"items":null,"metadata":{"resourceVersion":"9"}}`, `{"items":null,"metadata":{"resourceVersion":"9"}}`},
		{"a watch", all + "?watch=true", `{"type":"ADDED","object":` + app + `}` + "\n" + failure, `{"type":"ADDED","object":` + kept + `}` + failure},
		{"one Application", all + "/a", app, app},
		{"other kinds", "/api/v1/pods", `{"items":[` + app + `]}`, `{"items":[` + app + `]}`},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, c.sent) //nolint:errcheck // the client would miss it
		}))
		client, err := rest.HTTPClientFor(abridging(&rest.Config{Host: server.URL}))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Get(server.URL + c.ask)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
		if err != nil || string(text) != c.arrives {
			t.Errorf("%s: %s (%v), want %s", c.reason, text, err, c.arrives)
		}
	}
}

// TestAbridgedRecordings: of everything that Argo CD wrote in the recordings the cache keeps the same, abridged or not.
func TestAbridgedRecordings(t *testing.T) {
	whole, short := 0, 0
	for _, name := range recordings(t) {
		decoded := decode[argo.Application](stripApplication)
		readRecording(t, "testdata/recordings/"+name+".apps.jsonl.gz", func(raw json.RawMessage) (client.Object, error) {
			text, err := io.ReadAll(abridge(io.NopCloser(bytes.NewReader(raw)), omitted))
			if err != nil {
				return nil, err
			}
			whole, short = whole+len(raw), short+len(text)
			want, err := decoded(raw)
			if err != nil {
				return nil, err
			}
			got, err := decoded(text)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(argo.ApplicationDestination{})); diff != "" {
				t.Errorf("%s: -want +got\n%s", name, diff)
			}
			return got, err
		})
	}
	if short > whole/2 {
		t.Errorf("%d of %d bytes are left", short, whole)
	}
}

// TestAbridged compares what is left of objects made up by chance, cut into reads by chance, with what is left of them once they are decoded.
func TestAbridged(t *testing.T) {
	for seed := range uint64(20000) {
		by := chance{rand.New(rand.NewPCG(seed, 0))}
		o := by.omission(3)
		var text strings.Builder
		var want, got []any
		for range by.IntN(3) + 1 {
			v := map[string]any{by.name(): by.value(4), by.name(): by.value(4)}
			by.write(&text, v)
			text.WriteString("\n")
			if left, is := o.of(v); is {
				want = append(want, left)
			}
		}
		read := json.NewDecoder(by.pieces(abridge(io.NopCloser(by.pieces(strings.NewReader(text.String()))), o)))
		for {
			var v any
			err := read.Decode(&v)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("seed %d: %s without %+v: %v", seed, text.String(), o, err)
			}
			got = append(got, v)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: %s without %+v: -want +got\n%s", seed, text.String(), o, diff)
		}
	}
}

// of returns what is left of a decoded value, and false if it is left out.
func (o omission) of(v any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		if name, is := v["name"].(string); o.unrelated && (!is || o.members["name"].whole || !concerns(mustMarshal(name))) {
			return nil, false
		}
		left := map[string]any{}
		for k, member := range v {
			if l, is := o.members[k].of(member); is {
				left[k] = l
			}
		}
		return left, !o.whole
	case []any:
		left := []any{}
		for _, element := range v {
			if l, is := o.of(element); is {
				left = append(left, l)
			}
		}
		return left, !o.whole
	}
	return v, !o.whole
}

func mustMarshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// chance makes up values.
type chance struct{ *rand.Rand }

var someNames = []string{"name", "a", "resources", "schema-orders-1-0123abcd", "p-schema-orders-2-0123abcd-marker", `"`, `\`, `\\"`, "x\ny", "", "{", "]", "€"}

func (c chance) name() string { return someNames[c.IntN(len(someNames))] }

func (c chance) omission(depth int) omission {
	o := omission{unrelated: c.IntN(4) == 0, members: map[string]omission{}}
	for range c.IntN(4) {
		if depth > 0 {
			o.members[someNames[c.IntN(3)]] = c.omission(depth - 1)
		}
		o.members[someNames[c.IntN(3)]] = omission{whole: true}
	}
	return o
}

func (c chance) value(depth int) any {
	switch c.IntN(7) {
	case 0:
		return []any{nil, true, false, 0.0, -1.5e300, 12.0}[c.IntN(6)]
	case 1, 2:
		return c.name()
	case 3, 4:
		m := map[string]any{}
		for range c.IntN(5) * min(depth, 1) {
			m[c.name()] = c.value(depth - 1)
		}
		return m
	}
	a := []any{}
	for range c.IntN(5) * min(depth, 1) {
		a = append(a, c.value(depth-1))
	}
	return a
}

// write writes v in JSON, with blanks.
func (c chance) write(to *strings.Builder, v any) {
	blank := func(s string) { to.WriteString([]string{"", " ", "\n\t", "\r"}[c.IntN(4)] + s) }
	comma := ""
	switch v := v.(type) {
	case map[string]any:
		blank("{")
		for _, k := range slices.Sorted(maps.Keys(v)) {
			blank(comma)
			c.write(to, k)
			blank(":")
			c.write(to, v[k])
			comma = ","
		}
		blank("}")
	case []any:
		blank("[")
		for _, e := range v {
			blank(comma)
			c.write(to, e)
			comma = ","
		}
		blank("]")
	default:
		blank(string(mustMarshal(v)))
	}
}

// pieces cuts what is read into pieces.
func (c chance) pieces(r io.Reader) io.Reader {
	if c.IntN(2) == 0 {
		return iotest.OneByteReader(r)
	}
	return iotest.HalfReader(r)
}

// TestLongTexts: a text that is longer than what is read at once ends where it ends.
func TestLongTexts(t *testing.T) {
	for _, n := range []int{1, 2, 3, 100} {
		for _, fill := range []string{"x", `\\`, `\"`} {
			for shift := range 4 {
				text := `{"a":"` + strings.Repeat("y", shift) + strings.Repeat(fill, n<<14/len(fill)) + `","b":"` + fill + `","c":1}`
				got, err := io.ReadAll(abridge(io.NopCloser(strings.NewReader(text)), members("b")))
				if want := strings.Replace(text, `,"b":"`+fill+`"`, "", 1); err != nil || string(got) != want {
					t.Errorf("%d of %s: %d bytes instead of %d, %v", n, fill, len(got), len(want), err)
				}
			}
		}
	}
}

// TestWatchesDoNotLag: an event can be read before the next one, or anything else, has come.
func TestWatchesDoNotLag(t *testing.T) {
	in, out := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(out, `{"type":"ADDED","object":{"status":{"summary":{}}}}`)
		sent <- err
	}()
	var event map[string]any
	if err := json.NewDecoder(abridge(in, omission{members: map[string]omission{"object": omitted}})).Decode(&event); err != nil || event["type"] != "ADDED" {
		t.Errorf("%v, %v", event, err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// TestBroken: what ends too early, or is no JSON, is an error and nothing that could be taken for another value.
func TestBroken(t *testing.T) {
	const whole = `{"items":[{"metadata":{"name":"a","managedFields":[{}]},"status":{"resources":[{"name":"web","n":1}]}}]}`
	broken := []string{`{"items":"a",}`, `{"items":[1,]}`, `{"items":[1 2]}`, `{"items" [1]}`, `{items:[1]}`, `{"items":[1}`, `{"items":}`, `}`, `{"items":[1]]`, `{,"items":[1]}`, `1`, `[]`}
	for n := 1; n < len(whole); n++ {
		broken = append(broken, whole[:n])
	}
	for _, text := range broken {
		got, err := io.ReadAll(abridge(io.NopCloser(strings.NewReader(text)), omission{members: map[string]omission{"items": omitted}}))
		if json.Valid(got) {
			t.Errorf("%q is read as %s (%v)", text, got, err)
		}
	}
}

// TestLostConnections: client-go knows the end of a body, and what ended it, by the error that it equals.
func TestLostConnections(t *testing.T) {
	lost := errors.New("lost")
	for _, c := range []struct {
		text       string
		from, want error
	}{
		{"", io.EOF, io.EOF},
		{"{}\n", io.EOF, io.EOF},
		{"{}", io.ErrUnexpectedEOF, io.ErrUnexpectedEOF},
		{"{}", lost, lost},
		{`{"a`, io.EOF, io.ErrUnexpectedEOF},
		{`{"a`, lost, lost},
		{`{"a":`, lost, lost},
		{`{"a":1`, io.EOF, io.ErrUnexpectedEOF},
		{`{"a":1`, lost, lost},
		{`{"a":[`, io.EOF, io.ErrUnexpectedEOF},
		{`{"a":[{}`, lost, lost},
	} {
		body := io.NopCloser(io.MultiReader(strings.NewReader(c.text), iotest.ErrReader(c.from)))
		read, p := abridge(body, omitted), make([]byte, 1<<10)
		var err error
		for range 10 {
			if _, err = read.Read(p); err != nil {
				break
			}
		}
		if err != c.want { //nolint:errorlint // as client-go does
			t.Errorf("%s, then %v: %v", c.text, c.from, err)
		}
	}
}
