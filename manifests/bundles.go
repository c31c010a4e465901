package manifests

import (
	"bytes"
	"compress/gzip"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/migrations"
)

// maxMounted is how many files are mounted as files. A node writes each of them into the Pod, and looks at all of them again
// every minute; from a few hundred on that costs more than the migrations.
const maxMounted = 200

// maxText is how much SQL goes into a compressed bundle, whose size is known only afterwards; SQL shrinks to an eighth or so.
const maxText = 4 << 20

// bundles returns the files as bundles: one that can be read as it is, if they fit, else compressed ones. Whatever is added
// changes the last one only.
func (b *builder) bundles(files []string) ([]chunk, error) {
	whole := b.bundle(files)
	key := "migrations" + migrations.BundleSuffix
	if entrySize(key, whole).fits() {
		return []chunk{{
			object: &corev1.ConfigMap{Data: map[string]string{key: string(whole)}},
			items:  []corev1.KeyToPath{{Key: key, Path: key}},
		}}, nil
	}
	parts, err := b.compressed(files)
	if err != nil {
		return nil, err
	}
	key += migrations.CompressedSuffix
	chunks := make([]chunk, len(parts))
	for i, part := range parts {
		chunks[i] = chunk{
			object: &corev1.ConfigMap{BinaryData: map[string][]byte{key: part}},
			items:  []corev1.KeyToPath{{Key: key, Path: fmt.Sprintf("%d-%s", i+1, key)}},
		}
	}
	return chunks, nil
}

func (b *builder) bundle(files []string) []byte {
	var out []byte
	for _, f := range files {
		out = migrations.AppendToBundle(out, f, b.Files[f])
	}
	return out
}

// compressed divides the files into as many bundles as it takes.
func (b *builder) compressed(files []string) (parts [][]byte, err error) {
	for len(files) > 0 {
		n, text := 0, 0
		for n < len(files) && (n == 0 || text+len(b.Files[files[n]]) <= maxText) {
			text += len(b.Files[files[n]])
			n++
		}
		some, err := b.halved(files[:n])
		if err != nil {
			return nil, err
		}
		parts, files = append(parts, some...), files[n:]
	}
	return parts, nil
}

// halved compresses the files into one bundle, or, if it is too large for a ConfigMap, each half of them into its own.
func (b *builder) halved(files []string) ([][]byte, error) {
	part, err := squeeze(b.bundle(files))
	if err != nil {
		return nil, err
	}
	switch {
	case len(part) <= maxObject-overhead:
		return [][]byte{part}, nil
	case len(files) == 1:
		return nil, &FieldError{"spec.source.directory",
			fmt.Sprintf("%s has %d bytes, and compressed still more than a ConfigMap can carry (%d)", files[0], len(b.Files[files[0]]), maxObject-overhead),
			"split it into several migrations, and load bulk data another way"}
	}
	first, err := b.halved(files[:len(files)/2])
	if err != nil {
		return nil, err
	}
	second, err := b.halved(files[len(files)/2:])
	return append(first, second...), err
}

// squeeze compresses without a time or a name, so that the same text gives the same bytes.
func squeeze(text []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}
