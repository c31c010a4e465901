package manifests

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
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

// size is what an entry, or all entries of a ConfigMap, take of the two bounds.
type size struct{ object, request int }

func (s size) plus(t size) size { return size{s.object + t.object, s.request + t.request} }

func (s size) fits() bool { return s.object <= maxObject-overhead && s.request <= maxRequest-overhead }

// chunk is a ConfigMap with some of the SQL, and how its keys become files.
type chunk struct {
	object *corev1.ConfigMap
	items  []corev1.KeyToPath // nil: every key is a file name
}

// sqlConfigMaps returns the migrations' files in as many ConfigMaps as it takes, in the order of the migrations: each file with a
// key of its own if they are few, else in bundles. Files that only revert travel with the others: a sync never goes back,
// but the ledger keeps what they say for the day somebody does.
func (b *builder) sqlConfigMaps() ([]chunk, error) {
	files := b.set.Files()
	if len(files) == 0 {
		return nil, nil // they are in an image
	}
	for _, p := range files {
		content, ok := b.Files[p]
		if !ok {
			return nil, fmt.Errorf("%s: its content was not given", p)
		}
		if !utf8.Valid(content) {
			return nil, &FieldError{"spec.source.directory", p + " is not UTF-8", "convert it, for instance with iconv"}
		}
		if strings.Contains(p, "\n") {
			return nil, &FieldError{"spec.source.directory", fmt.Sprintf("the name %q holds a line break", p), "rename it"}
		}
	}
	chunks := []chunk{b.asFiles(files)}
	if b.bundled = chunks[0].object == nil; b.bundled {
		var err error
		if chunks, err = b.bundles(files); err != nil {
			return nil, err
		}
	}
	for i := range chunks {
		name := b.base
		if len(chunks) > 1 {
			name = fmt.Sprintf("%s-%d", b.base, i+1)
		}
		chunks[i].object.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
		chunks[i].object.ObjectMeta = b.inputMeta(name, ComponentSQL)
	}
	return chunks, nil
}

// asFiles returns a ConfigMap with a key for each file, or none if they are too many or do not fit.
func (b *builder) asFiles(files []string) chunk {
	c := chunk{object: &corev1.ConfigMap{Data: map[string]string{}}}
	var used size
	plain := true
	for _, p := range files {
		key := configMapKey(p)
		_, taken := c.object.Data[key]
		used = used.plus(entrySize(key, b.Files[p]))
		if taken || !used.fits() || len(files) > maxMounted {
			return chunk{}
		}
		c.object.Data[key] = string(b.Files[p])
		c.items = append(c.items, corev1.KeyToPath{Key: key, Path: p})
		plain = plain && key == p
	}
	if plain {
		c.items = nil
	}
	return c
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
