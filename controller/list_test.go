package controller

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

// TestListsAreStripped: of a list of Applications only what the cache keeps arrives, and of everything else all.
func TestListsAreStripped(t *testing.T) {
	const (
		all = "/apis/argoproj.io/v1alpha1/applications"
		few = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
		app = `{"metadata":{"name":"%s","managedFields":[{"manager":"x"}]},"spec":{"destination":{"namespace":"shop"}},` +
			`"status":{"resources":[{"name":"web"},{"name":"schema-orders-1-0123abcd-marker"}],"summary":{"images":["x"]}}}`
	)
	list := `{"apiVersion":"argoproj.io/v1alpha1","items":[` + fmt.Sprintf(app, "a") + ", \n" + fmt.Sprintf(app, "b") + `],"kind":"ApplicationList","metadata":{"continue":"more","resourceVersion":"9"}}`
	for _, c := range []struct {
		reason, ask, sent string
		stripped          bool
	}{
		{"of all namespaces", all + "?limit=500&resourceVersion=0", list, true},
		{"of one", few, list, true},
		{"an empty one", all, `{"items":[],"metadata":{"resourceVersion":"9"}}`, true},
		{"which may be null", all, `{"items":null,"metadata":{"resourceVersion":"9"}}`, true},
		{"a watch", all + "?watch=true", `{"type":"ADDED","object":` + fmt.Sprintf(app, "a") + `}` + "\n" + `{"type":"BOOKMARK"}`, false},
		{"one Application", all + "/a", fmt.Sprintf(app, "a"), false},
		{"other kinds", "/api/v1/pods", list, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, c.sent) //nolint:errcheck // the client would miss it
		}))
		client, err := rest.HTTPClientFor(strippingLists(&rest.Config{Host: server.URL}))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Get(server.URL + c.ask)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(iotest.OneByteReader(answer.Body))
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
		got := string(text)
		if err != nil || !c.stripped && got != c.sent {
			t.Errorf("%s: %s (%v)", c.reason, got, err)
			continue
		}
		if !c.stripped {
			continue
		}
		var sent, arrived argo.ApplicationList
		if err := json.Unmarshal([]byte(c.sent), &sent); err != nil {
			t.Fatal(err)
		}
		for i := range sent.Items {
			strip(&sent.Items[i])
		}
		if err := json.Unmarshal(text, &arrived); err != nil {
			t.Errorf("%s: %v: %s", c.reason, err, got)
		}
		if diff := cmp.Diff(textOf(t, sent), textOf(t, arrived)); diff != "" || strings.Contains(got, "managedFields") || strings.Contains(got, "web") {
			t.Errorf("%s: %s\n-want +got\n%s", c.reason, got, diff)
		}
	}
}

func textOf(t *testing.T, list argo.ApplicationList) string {
	t.Helper()
	text, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestBrokenList: a list that ends too early, or is none, is an error and no shorter list.
func TestBrokenList(t *testing.T) {
	for _, text := range []string{"", `{`, `{"items":[`, `{"items":[{"metadata":{"name":"a"}}`, `{"items":[{"metadata":{"name":"a"}},`, `{"items":[]`, `{"items":"a"}`, `{"items":[1]}`} {
		l := &strippedList{in: json.NewDecoder(strings.NewReader(text))}
		got, err := io.ReadAll(l)
		if json.Valid(got) {
			t.Errorf("%q is read as %s (%v)", text, got, err)
		}
	}
}
