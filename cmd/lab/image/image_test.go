package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func example() Image {
	return Image{
		Name: "lab.local/app:1",
		Files: []File{
			{Path: "/app/bin/run", Mode: 0o755, Content: []byte("binary")},
			{Path: "/link", Mode: fs.ModeSymlink | 0o777, Content: []byte("/app/bin/run")},
			{Path: "/tmp/x", Mode: 0o644, Content: []byte("x")},
			{Path: "/tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		},
		Entrypoint: []string{"/app/bin/run"}, Env: []string{"A=b"}, User: "65532", WorkingDir: "/tmp",
	}
}

func TestArchiveIsAValidOCILayout(t *testing.T) {
	var archive bytes.Buffer
	n, err := example().WriteTo(&archive)
	if err != nil || n != int64(archive.Len()) {
		t.Fatalf("%d of %d bytes, %v", n, archive.Len(), err)
	}
	dir := t.TempDir()
	for name, file := range untar(t, &archive) {
		if hash, ok := strings.CutPrefix(name, "blobs/sha256/"); ok && hash != fmt.Sprintf("%x", sha256.Sum256(file.content)) {
			t.Errorf("%s is not what its name says", name)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file.content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("manifests %+v, %v", manifest, err)
	}
	if name := manifest.Manifests[0].Annotations["io.containerd.image.name"]; name != "lab.local/app:1" {
		t.Errorf("named %q", name)
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img, validate.Fast); err != nil {
		t.Error(err)
	}
	checkImage(t, img)
}

func checkImage(t *testing.T, img v1.Image) {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{Entrypoint: []string{"/app/bin/run"}, Env: []string{"A=b"}, User: "65532", WorkingDir: "/tmp"}
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("layers %v, %v", layers, err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, f := range untar(t, content) {
		got[name] = f.mode.String() + " " + f.link + string(f.content)
	}
	if diff := cmp.Diff(map[string]string{
		"app/":        "drwxr-xr-x ",
		"app/bin/":    "drwxr-xr-x ",
		"app/bin/run": "-rwxr-xr-x binary",
		"link":        "Lrwxrwxrwx /app/bin/run",
		"tmp/":        "dtrwxrwxrwx ",
		"tmp/x":       "-rw-r--r-- x",
	}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestSameContentSameBytes(t *testing.T) {
	var a, b bytes.Buffer
	if _, err := example().WriteTo(&a); err != nil {
		t.Fatal(err)
	}
	if _, err := example().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two builds differ")
	}
}

func TestRefusals(t *testing.T) {
	for reason, change := range map[string]func(*Image){
		"no tag":      func(i *Image) { i.Name = "registry:5000/app" },
		"latest":      func(i *Image) { i.Name = "app:latest" },
		"absolute":    func(i *Image) { i.Files[0].Path = "run" },
		"there twice": func(i *Image) { i.Files = append(i.Files, i.Files[0]) },
		"mode":        func(i *Image) { i.Files[0].Mode = fs.ModeSocket },
	} {
		i := example()
		change(&i)
		if _, err := i.WriteTo(io.Discard); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: got %v", reason, err)
		}
	}
}

type entry struct {
	mode    fs.FileMode
	link    string
	content []byte
}

func untar(t *testing.T, r io.Reader) map[string]entry {
	t.Helper()
	files := map[string]entry{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.IsZero() && h.ModTime.Unix() != 0 {
			t.Errorf("%s carries the time %v", h.Name, h.ModTime)
		}
		files[h.Name] = entry{h.FileInfo().Mode(), h.Linkname, content}
	}
}
