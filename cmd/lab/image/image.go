// Package image builds container images from files, without a registry or a daemon, and imports them into a lab. An image
// is one layer on nothing. The same content gives the same bytes, so an image's digest changes only with its content.
package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is a file or directory of an image. Parents are made as needed, with mode 0755.
type File struct {
	// Path in the image, absolute.
	Path string
	// Mode holds the permissions, and fs.ModeDir for a directory or fs.ModeSymlink for a symbolic link; fs.ModeSticky counts too.
	Mode fs.FileMode
	// Content of a file; the target of a symbolic link.
	Content []byte
}

// Image is what to build.
type Image struct {
	// Name with a tag, such as lab.local/app:1. The tag latest is refused: a kubelet would try to pull it.
	Name  string
	Files []File
	// Entrypoint, Env (KEY=value), User (uid or uid:gid) and WorkingDir are the image's defaults for a container.
	Entrypoint []string
	Env        []string
	User       string
	WorkingDir string
}

// FromFile reads a file of this machine to be put at a path of an image.
func FromFile(target, source string, mode fs.FileMode) (File, error) {
	content, err := os.ReadFile(source)
	if err != nil {
		return File{}, fmt.Errorf("image file %s: %w", target, err)
	}
	return File{Path: target, Mode: mode, Content: content}, nil
}

// build assembles the image; its layer stays uncompressed, because it travels only within the machine.
func (i Image) build() (v1.Image, error) {
	if err := checkName(i.Name); err != nil {
		return nil, err
	}
	layer, err := i.layer()
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		RootFS:       v1.RootFS{Type: "layers"},
		Config:       v1.Config{Entrypoint: i.Entrypoint, Env: i.Env, User: i.User, WorkingDir: i.WorkingDir},
	})
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(img, static.NewLayer(layer, types.OCIUncompressedLayer))
}

func checkName(name string) error {
	repository, tag, found := strings.Cut(path.Base(name), ":")
	if !found || repository == "" || tag == "" {
		return fmt.Errorf("image name %q: no tag; write it as repository:tag", name)
	}
	if tag == "latest" {
		return fmt.Errorf("image name %q: Kubernetes pulls the tag latest even when it is there; use another", name)
	}
	return nil
}

// layer is the tar of the files, owned by root; directories come first, so that their modes count.
func (i Image) layer() ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	made := map[string]bool{"/": true}
	files := slices.Clone(i.Files)
	slices.SortStableFunc(files, func(a, b File) int {
		return cmp.Or(-cmp.Compare(rank(a), rank(b)), strings.Compare(a.Path, b.Path))
	})
	for _, f := range files {
		clean := path.Clean(f.Path)
		if !path.IsAbs(f.Path) || made[clean] {
			return nil, fmt.Errorf("image file %q: not an absolute path, or there twice", f.Path)
		}
		if err := parents(w, made, path.Dir(clean)); err != nil {
			return nil, err
		}
		made[clean] = true
		if err := add(w, clean, f.Mode, f.Content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// rank is higher for what comes first.
func rank(f File) int {
	if f.Mode.IsDir() {
		return 1
	}
	return 0
}

func parents(w *tar.Writer, made map[string]bool, dir string) error {
	if made[dir] {
		return nil
	}
	if err := parents(w, made, path.Dir(dir)); err != nil {
		return err
	}
	made[dir] = true
	return add(w, dir, fs.ModeDir|0o755, nil)
}

func add(w *tar.Writer, name string, mode fs.FileMode, content []byte) error {
	header := &tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: int64(mode.Perm()), Format: tar.FormatPAX}
	if mode&fs.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	switch {
	case mode.IsDir():
		header.Typeflag, header.Name, content = tar.TypeDir, header.Name+"/", nil
	case mode&fs.ModeSymlink != 0:
		header.Typeflag, header.Linkname, content = tar.TypeSymlink, string(content), nil
	case mode.IsRegular() || mode.Type() == 0:
		header.Typeflag, header.Size = tar.TypeReg, int64(len(content))
	default:
		return fmt.Errorf("image file %s: mode %v is not of a file, directory or link", name, mode)
	}
	err := w.WriteHeader(header)
	if err == nil {
		_, err = w.Write(content)
	}
	if err != nil {
		return fmt.Errorf("image file %s: %w", name, err)
	}
	return nil
}
