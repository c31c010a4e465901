package kustomize

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// built is what an overlay yields.
type built []*resource.Resource

// build runs kustomize on the overlay as it would be with files in its directory of generated ones.
func (w *work) build(files map[string][]byte) (built, error) {
	opts := w.pass.Build
	if opts == nil {
		opts = krusty.MakeDefaultOptions()
		opts.Reorder = krusty.ReorderOptionUnspecified // as the command does: the overlay may say
	}
	kustomization := filepath.Join(w.dir, filepath.FromSlash(w.kustomization.file))
	fsys := &preview{
		FileSystem: filesys.MakeFsOnDisk(), repository: w.repository, kustomization: kustomization, generated: w.abs(entry),
		files: map[string][]byte{kustomization: w.edited}, remote: w.pass.Remote, kustomizations: map[string][]byte{},
	}
	for name, content := range files {
		fsys.files[filepath.Join(fsys.generated, name)] = content
	}
	m, err := run(opts, fsys, w.abs(""))
	if err != nil && fsys.problem != nil {
		fsys.problem.File = strings.TrimPrefix(filepath.ToSlash(fsys.problem.File), filepath.ToSlash(w.dir)+"/")
		return nil, Problems{fsys.problem}
	}
	if err != nil {
		what := withoutContent(strings.ReplaceAll(err.Error(), w.dir+string(filepath.Separator), ""))
		return nil, Problems{{w.kustomization.file, 0, "kustomize cannot build the overlay: " + what, "make kustomize build " + w.overlay + " work"}}
	}
	return m.Resources(), nil
}

// Parts of kustomize's errors that repeat what it was working on, any of which may be a Secret's: the literals of a
// generator, the text of a patch, a transformer's configuration, objects as JSON.
var contentInError = regexp.MustCompile("(?s)literal sources?.*|\\[patch: .*|`.*`|\\[?\\{.*[}\\]]")

// withoutContent takes them out of an error, which people and logs will see.
func withoutContent(s string) string { return contentInError.ReplaceAllString(s, "(not shown)") }

// find returns the resource of a kind and name; nil if there is none.
func (b built) find(kind, name string) *resource.Resource {
	i := slices.IndexFunc(b, func(r *resource.Resource) bool { return r.GetKind() == kind && r.GetName() == name })
	if i < 0 {
		return nil
	}
	return b[i]
}

// decode reads a resource into a type of the Kubernetes API.
func decode(r *resource.Resource, into any) error {
	if err := decodeNode(r.YNode(), into); err != nil {
		return fmt.Errorf("read %s %s: %w", r.GetKind(), r.GetName(), err)
	}
	return nil
}

// decodeNode reads a part of a resource.
func decodeNode(n *yaml.Node, into any) error {
	var fields any
	err := n.Decode(&fields) // RNode.MarshalJSON would write the whole object as YAML and parse it again
	if err == nil {
		var b []byte
		if b, err = json.Marshal(fields); err == nil {
			err = json.Unmarshal(b, into)
		}
	}
	return err
}
