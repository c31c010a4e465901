package image

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nameAnnotation is where containerd looks for an image's full name in an archive's index.
const nameAnnotation = "io.containerd.image.name"

// WriteTo writes the image as a tar of an OCI layout
// (https://github.com/opencontainers/image-spec/blob/main/image-layout.md), the form that containerd, docker and skopeo read.
func (i Image) WriteTo(w io.Writer) (int64, error) {
	counter := &countingWriter{w: w}
	err := i.write(counter)
	if err != nil {
		err = fmt.Errorf("build image %s: %w", i.Name, err)
	}
	return counter.n, err
}

func (i Image) write(w io.Writer) error {
	img, err := i.build()
	if err != nil {
		return err
	}
	blobs, manifest, err := content(img)
	if err != nil {
		return err
	}
	manifest.Annotations = map[string]string{nameAnnotation: i.Name}
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{manifest}})
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	if err := add(out, "oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	for _, b := range blobs {
		if err := add(out, "blobs/sha256/"+b.hash.Hex, 0o644, b.content); err != nil {
			return err
		}
	}
	if err := add(out, "index.json", 0o644, index); err != nil {
		return err
	}
	return out.Close()
}

type blob struct {
	hash    v1.Hash
	content []byte
}

// content is everything an image consists of, and the descriptor of its manifest.
func content(img v1.Image) ([]blob, v1.Descriptor, error) {
	var none v1.Descriptor
	layers, err := img.Layers()
	if err != nil {
		return nil, none, err
	}
	var blobs []blob
	for _, l := range layers {
		hash, err := l.Digest()
		if err != nil {
			return nil, none, err
		}
		r, err := l.Compressed() // as stored, which here is uncompressed
		if err != nil {
			return nil, none, err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, none, err
		}
		blobs = append(blobs, blob{hash, data})
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, none, err
	}
	configHash, err := img.ConfigName()
	if err != nil {
		return nil, none, err
	}
	manifest, err := img.RawManifest()
	if err != nil {
		return nil, none, err
	}
	manifestHash, err := img.Digest()
	if err != nil {
		return nil, none, err
	}
	blobs = append(blobs, blob{configHash, config}, blob{manifestHash, manifest})
	return blobs, v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: int64(len(manifest)), Digest: manifestHash}, nil
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
