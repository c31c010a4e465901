package main

import (
	"bytes"
	"os"
	"testing"

	js "github.com/nats-io/nats.go/jetstream"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// nackStream has those fields of NACK's resource that say what a stream is (jetstream.nats.io/v1beta2, StreamSpec).
type nackStream struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta `json:"metadata"`
	Spec            struct {
		Name              string          `json:"name"`
		Description       string          `json:"description"`
		Subjects          []string        `json:"subjects"`
		Retention         string          `json:"retention"`
		Storage           string          `json:"storage"`
		Discard           string          `json:"discard"`
		Replicas          int             `json:"replicas"`
		MaxMsgsPerSubject int64           `json:"maxMsgsPerSubject"`
		MaxMsgs           int64           `json:"maxMsgs"`
		MaxBytes          int64           `json:"maxBytes"`
		MaxMsgSize        int32           `json:"maxMsgSize"`
		MaxConsumers      int             `json:"maxConsumers"`
		MaxAge            metav1.Duration `json:"maxAge"`
		DuplicateWindow   metav1.Duration `json:"duplicateWindow"`
		AllowDirect       bool            `json:"allowDirect"`
		DenyDelete        bool            `json:"denyDelete"`
		DenyPurge         bool            `json:"denyPurge"`
		Republish         *struct {
			Source      string `json:"source"`
			Destination string `json:"destination"`
		} `json:"republish"`
		PreventDelete bool `json:"preventDelete"`
	} `json:"spec"`
}

// TestNACKStreamsAreOurs makes the streams of manifests/nack on a real server, and finds them as they should be.
func TestNACKStreamsAreOurs(t *testing.T) {
	server, err := natstest.Start(natstest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	nc, err := jetstream.Connect(t.Context(), jetstream.Options{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	client, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("../../manifests/nack/streams.yaml")
	if err != nil {
		t.Fatal(err)
	}
	descriptions := map[string]string{}
	for _, c := range (jetstream.StreamOptions{}).Configs() {
		descriptions[c.Name] = c.Description
	}
	for _, document := range bytes.Split(file, []byte("\n---\n")) {
		var n nackStream
		if err := yaml.UnmarshalStrict(document, &n); err != nil {
			t.Fatal(err)
		}
		s := n.Spec
		if n.APIVersion != "jetstream.nats.io/v1beta2" || n.Kind != "Stream" || s.Replicas != 3 || !s.PreventDelete || s.Description != descriptions[s.Name] {
			t.Errorf("%+v", n)
		}
		if s.MaxConsumers != -1 {
			t.Errorf("%s is limited to %d consumers", s.Name, s.MaxConsumers)
		}
		config := js.StreamConfig{
			Name: s.Name, Description: s.Description, Subjects: s.Subjects, MaxMsgsPerSubject: s.MaxMsgsPerSubject, MaxMsgs: s.MaxMsgs,
			MaxBytes: s.MaxBytes, MaxMsgSize: s.MaxMsgSize, MaxConsumers: s.MaxConsumers, MaxAge: s.MaxAge.Duration, Duplicates: s.DuplicateWindow.Duration,
			AllowDirect: s.AllowDirect, DenyDelete: s.DenyDelete, DenyPurge: s.DenyPurge,
		}
		for value, into := range map[string]interface{ UnmarshalJSON([]byte) error }{
			s.Retention: &config.Retention, s.Storage: &config.Storage, s.Discard: &config.Discard,
		} {
			if err := into.UnmarshalJSON([]byte(`"` + value + `"`)); err != nil {
				t.Error(err)
			}
		}
		if r := s.Republish; r != nil {
			config.RePublish = &js.RePublish{Source: r.Source, Destination: r.Destination}
		}
		if _, err := client.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	streams, err := jetstream.NewStreams(nc)
	if err != nil {
		t.Fatal(err)
	}
	if differences, err := streams.Verify(t.Context(), jetstream.StreamOptions{}); err != nil || len(differences) > 0 {
		t.Errorf("%v, %v", differences, err)
	}
}
