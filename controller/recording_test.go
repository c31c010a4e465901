package controller

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// delivery is one watch event as a real API server sent it, after the transform of the cache.
type delivery struct {
	at      time.Time
	object  client.Object
	deleted bool
}

// recordings names what is in testdata/recordings: Applications, Jobs and Pods of a real Argo CD 2.14 and Kubernetes 1.33.
func recordings(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/recordings/*.apps.jsonl.gz")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".apps.jsonl.gz")
	}
	return files
}

// recording reads all watch events of one recording in the order of their arrival.
func recording(t *testing.T, name string) []delivery {
	t.Helper()
	var all []delivery
	for kind, read := range map[string]func(json.RawMessage) (client.Object, error){
		"apps": decode[argo.Application](stripApplication),
		"jobs": decode[batchv1.Job](stripJob),
		"pods": decode[corev1.Pod](stripPod),
	} {
		all = append(all, readRecording(t, "testdata/recordings/"+name+"."+kind+".jsonl.gz", read)...)
	}
	slices.SortStableFunc(all, func(a, b delivery) int { return a.at.Compare(b.at) })
	return all
}

func decode[T any, P interface {
	*T
	client.Object
}](strip func(any) (any, error)) func(json.RawMessage) (client.Object, error) {
	return func(raw json.RawMessage) (client.Object, error) {
		obj := P(new(T))
		if err := json.Unmarshal(raw, obj); err != nil {
			return nil, err
		}
		stripped, err := strip(obj)
		if err != nil {
			return nil, err
		}
		return stripped.(client.Object), nil
	}
}

func readRecording(t *testing.T, file string, read func(json.RawMessage) (client.Object, error)) []delivery {
	t.Helper()
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil // nothing of that kind happened
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var all []delivery
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var line struct {
			At    time.Time `json:"ts"`
			Event struct {
				Type   string          `json:"type"`
				Object json.RawMessage `json:"object"`
			} `json:"event"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		obj, err := read(line.Event.Object)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, delivery{at: line.At, object: obj, deleted: line.Event.Type == "DELETED"})
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return all
}
