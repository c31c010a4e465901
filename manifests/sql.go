package manifests

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxObject bounds a ConfigMap as the JSON in which it travels. The API server takes 1 MiB of values (Kubernetes,
// "ConfigMaps"), etcd 1.5 MiB for the whole object; JSON is the longest of its forms, so this keeps to both.
const maxObject = 1 << 20

// overhead is kept free in each ConfigMap for what others add: the overlay's namespace, prefix, labels and annotations,
// Argo CD's tracking, and the list of owned fields that server-side apply keeps.
const overhead = 16 << 10

// chunk is a ConfigMap with some of the SQL, and how its keys become files again.
type chunk struct {
	object *corev1.ConfigMap
	items  []corev1.KeyToPath // nil: every key is a file name
}

// sqlConfigMaps returns the files that apply migrations in as many ConfigMaps as it takes, in the order of the migrations,
// so that a new migration changes the last one only. Files that only revert stay at home: a sync never goes back.
func (b *builder) sqlConfigMaps() ([]chunk, error) {
	var (
		chunks []chunk
		size   int
	)
	keys := map[string]string{}
	for _, m := range b.set.Migrations {
		p := m.Up.Path
		content, ok := b.Files[p]
		if !ok {
			return nil, fmt.Errorf("%s: its content was not given", p)
		}
		if !utf8.Valid(content) {
			return nil, &FieldError{"spec.source.directory", p + " is not UTF-8", "convert it, for instance with iconv"}
		}
		key := configMapKey(p)
		if other, taken := keys[key]; taken {
			return nil, &FieldError{"spec.source.directory", fmt.Sprintf("%s and %s have the same key in a ConfigMap, %s", other, p, key), "rename one of them"}
		}
		keys[key] = p
		cost := entrySize(key, string(content))
		if cost > maxObject-overhead {
			return nil, &FieldError{"spec.source.directory", fmt.Sprintf("%s takes %d bytes as JSON, more than the %d a ConfigMap can carry", p, cost, maxObject-overhead),
				"split it into several migrations, and load bulk data another way"}
		}
		if len(chunks) == 0 || size+cost > maxObject-overhead {
			chunks = append(chunks, chunk{object: &corev1.ConfigMap{Data: map[string]string{}}})
			size = 0
		}
		size += cost
		c := &chunks[len(chunks)-1]
		c.object.Data[key] = string(content)
		c.items = append(c.items, corev1.KeyToPath{Key: key, Path: p})
	}
	for i := range chunks {
		name := b.base
		if len(chunks) > 1 {
			name = fmt.Sprintf("%s-%d", b.base, i+1)
		}
		chunks[i].object.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
		chunks[i].object.ObjectMeta = b.inputMeta(name, ComponentSQL)
		if !slices.ContainsFunc(chunks[i].items, func(k corev1.KeyToPath) bool { return k.Key != k.Path }) {
			chunks[i].items = nil
		}
	}
	return chunks, nil
}

// entrySize is what a file adds to its ConfigMap as JSON, with its key once more for server-side apply's list of owned
// fields, {"f:KEY":{}}.
func entrySize(key, content string) int {
	k, _ := json.Marshal(key) // a string always encodes
	v, _ := json.Marshal(content)
	return len(k) + len(v) + len(`:,`) + len(k) + len(`f::{},`)
}

var notInKey = regexp.MustCompile(`[^-._a-zA-Z0-9]`)

// configMapKey returns the key for a file: its name, where that is a valid key (Kubernetes, "ConfigMaps"); else with
// the other characters replaced, to be undone by the volume's items.
func configMapKey(p string) string {
	return notInKey.ReplaceAllString(p, "_")
}
