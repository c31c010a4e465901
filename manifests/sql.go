package manifests

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Bounds of a ConfigMap: 1 MiB of values (Kubernetes, "ConfigMaps"), within which its keys and metadata are counted here,
// so that etcd's 1.5 MiB for an object hold too; and 3 MiB for the JSON in which a request to the API server travels.
const (
	maxObject  = 1 << 20
	maxRequest = 3 << 20
)

// overhead is kept free in each ConfigMap for its metadata, ours and what others add to it: the overlay's namespace, prefix,
// labels and annotations, and Argo CD's tracking.
const overhead = 16 << 10

// size is what a file, or all files of a ConfigMap, take of the two bounds.
type size struct{ object, request int }

func (s size) plus(t size) size { return size{s.object + t.object, s.request + t.request} }

func (s size) fits() bool { return s.object <= maxObject-overhead && s.request <= maxRequest-overhead }

// chunk is a ConfigMap with some of the SQL, and how its keys become files again.
type chunk struct {
	object *corev1.ConfigMap
	items  []corev1.KeyToPath // nil: every key is a file name
}

// sqlConfigMaps returns the migrations' files in as many ConfigMaps as it takes, in the order of the migrations, so that a new
// one changes the last ConfigMap only. Files that only revert travel with the others: a sync never goes back, but the ledger
// keeps what they say for the day somebody does.
func (b *builder) sqlConfigMaps() ([]chunk, error) {
	var (
		chunks []chunk
		used   size // of the last chunk
	)
	keys := map[string]string{}
	for _, p := range b.set.Files() {
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
		cost := entrySize(key, content)
		if !cost.fits() {
			return nil, &FieldError{"spec.source.directory",
				fmt.Sprintf("%s has %d bytes, more than a ConfigMap can carry (%d, fewer with many characters that JSON escapes)", p, len(content), maxObject-overhead),
				"split it into several migrations, and load bulk data another way"}
		}
		if len(chunks) == 0 || !used.plus(cost).fits() {
			chunks = append(chunks, chunk{object: &corev1.ConfigMap{Data: map[string]string{}}})
			used = size{}
		}
		used = used.plus(cost)
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

// entrySize is what a file adds to its ConfigMap: key and value, and the key again in the list of owned fields that
// server-side apply keeps, {"f:KEY":{}}, each with the few bytes that frame it.
func entrySize(key string, content []byte) size {
	owned := len(`"f:":{},`) + len(key)
	return size{
		object:  len(key) + len(content) + owned + 16,
		request: jsonSize([]byte(key)) + jsonSize(content) + len(`:,`),
	}
}

// jsonSize is the length of a string as JSON, as Go writes it: markup and control characters escaped.
func jsonSize(s []byte) int {
	n := len(`""`) + len(s)
	for _, c := range s {
		switch {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			n++
		case c < 0x20 || c == '<' || c == '>' || c == '&':
			n += len(`\u0000`) - 1
		}
	}
	return n + 3*bytes.Count(s, []byte("\u2028")) + 3*bytes.Count(s, []byte("\u2029"))
}

var notInKey = regexp.MustCompile(`[^-._a-zA-Z0-9]`)

// configMapKey returns the key for a file: its name, where that is a valid key (Kubernetes, "ConfigMaps"); else with
// the other characters replaced, to be undone by the volume's items.
func configMapKey(p string) string {
	return notInKey.ReplaceAllString(p, "_")
}
