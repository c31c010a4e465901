package kustomize

import (
	"bytes"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/schemawave/schemawave/manifests"
)

// surroundings are what an overlay consists of besides what is generated, as far as it matters to that: what it makes itself,
// and what it does to everything. They are read off the files without a build, which is possible where those say plainly what
// they mean, and never guessed: what is not known here is left to kustomize.
type surroundings struct {
	objects []manifests.Reference // as they are declared, before any prefix: of all kinds
	sets    []string              // keys of labels and annotations that all objects get
	patches []string              // kinds that patches may meet
	bases   []*surroundings       // whose objects are yielded as well
}

// surroundings reads those of the overlay; nil if not all can be said of it.
func (w *work) surroundings() *surroundings {
	s := surveyor{w.pass, w.dir, w.tree, w.in(entry), []string{w.overlay}, &surroundings{}}
	if !literal(w.kustomization.content) || !s.does(w.overlay, w.kustomization.root) || s.found.repeat(map[*surroundings]bool{}) {
		return nil
	}
	return s.found
}

// repeat reports whether a base comes again. Then it is for a build to say what comes of it, and for bearable whether there may be one.
func (s *surroundings) repeat(seen map[*surroundings]bool) bool {
	if seen[s] {
		return true
	}
	seen[s] = true
	return slices.ContainsFunc(s.bases, func(base *surroundings) bool { return base.repeat(seen) })
}

// surveyor reads one kustomization with its components, and those that it is built from.
type surveyor struct {
	*Pass
	repository string
	fsys       fs.FS
	generated  string   // the directory that is not looked at
	within     []string // the directories it has come through
	found      *surroundings
}

// base returns the surroundings of a directory that is among the resources of another; nil if not all can be said of it. It
// cannot meet what the other one adds.
func (s *surveyor) base(dir string) *surroundings {
	key := filepath.Join(s.repository, filepath.FromSlash(dir))
	s.mu.Lock()
	found, known := s.bases[key]
	s.mu.Unlock()
	if known {
		return found
	}
	if len(s.within) < maxKustomizations && !slices.Contains(s.within, dir) && s.isPlace(dir) {
		b := surveyor{s.Pass, s.repository, s.fsys, "", append(slices.Clone(s.within), dir), &surroundings{}}
		if b.kustomization(dir) {
			found = b.found
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bases == nil {
		s.bases = map[string]*surroundings{}
	}
	s.bases[key] = found
	return found
}

// isPlace reports whether a directory is where its path says. Behind a symbolic link the paths in it would be others.
func (s *surveyor) isPlace(dir string) bool {
	abs := filepath.Join(s.repository, filepath.FromSlash(dir))
	real, err := filepath.EvalSymlinks(abs)
	return err == nil && real == abs
}

// escaped matches a character of a quoted text that may be any other.
var escaped = regexp.MustCompile(`\\[/uUx\r\n]`)

// hides reports whether a text may mean a name or a path which it does not show, or change what a patch otherwise cannot, or tell
// kustomize what an object was called before.
func hides(content []byte) bool {
	for _, words := range []string{"allowNameChange", "allowKindChange", "internal.config.kubernetes.io"} {
		if bytes.Contains(content, []byte(words)) {
			return true
		}
	}
	return escaped.Match(content)
}

// literal reports whether a text can be taken by its words, which UTF-16 does not show, and annotates no workload.
func literal(content []byte) bool {
	return bytes.IndexByte(content, 0) < 0 && !hides(content) && !annotates(content)
}

// read returns the content of a file that is literal.
func (s *surveyor) read(file string) ([]byte, bool) {
	content, err := readFile(s.fsys, file)
	return content, err == nil && literal(content)
}

// kustomization adds what the one of a directory does, and reports whether that is all.
func (s *surveyor) kustomization(dir string) bool {
	entries, err := fs.ReadDir(s.fsys, dir)
	name := kustomizationFile(entries)
	if err != nil || name == "" {
		return false
	}
	content, ok := s.read(path.Join(dir, name))
	if !ok {
		return false
	}
	root, err := parseMapping(content)
	return err == nil && s.does(dir, root)
}

// does adds what a kustomization in dir does, and reports whether that is all.
func (s *surveyor) does(dir string, root *yaml.Node) bool {
	if root == nil || indirect(root) {
		return false
	}
	for key, value := range pairs(root) {
		if !s.field(dir, key, value) {
			return false
		}
	}
	return true
}

// field adds what one field of a kustomization does. Those that reach beyond their own directory (vars, crds, configurations,
// openapi) are not among the ones known here, nor those by which anything can be changed (replacements, transformers, plugins).
func (s *surveyor) field(dir, key string, value *yaml.Node) bool {
	switch key {
	case "apiVersion", "kind", "metadata", "namespace", "namePrefix", "nameSuffix", "images", "replicas", "generatorOptions":
		return true
	case "commonLabels", "commonAnnotations":
		return s.setsAll(value)
	case "labels":
		return each(value, func(n *yaml.Node) bool {
			return only(n, "pairs", "includeSelectors", "includeTemplates") && s.setsAll(member(n, "pairs"))
		})
	case "configMapGenerator", "secretGenerator":
		kind := map[string]string{"configMapGenerator": "ConfigMap", "secretGenerator": "Secret"}[key]
		return each(value, func(n *yaml.Node) bool { return s.adds(kind, member(n, "name")) })
	case "resources", "bases":
		return each(value, func(n *yaml.Node) bool { return isLocal(n) && s.resource(path.Join(dir, n.Value)) })
	case "components":
		return each(value, func(n *yaml.Node) bool { return isLocal(n) && s.component(path.Join(dir, n.Value)) })
	case "patches":
		return each(value, func(n *yaml.Node) bool { return s.patch(dir, n) })
	}
	return false
}

// isLocal reports whether a path leads on from where it stands.
func isLocal(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && !path.IsAbs(n.Value) && !remote.MatchString(n.Value)
}

// setsAll adds the keys of labels or annotations.
func (s *surveyor) setsAll(keys *yaml.Node) bool {
	if keys == nil || keys.Kind != yaml.MappingNode {
		return false
	}
	for key := range pairs(keys) {
		s.found.sets = append(s.found.sets, key)
	}
	return true
}

// adds an object.
func (s *surveyor) adds(kind string, name *yaml.Node) bool {
	if name == nil || name.Kind != yaml.ScalarNode {
		return false
	}
	s.found.objects = append(s.found.objects, manifests.Reference{Kind: kind, Name: name.Value})
	return true
}

// resource adds a file of objects, or a base.
func (s *surveyor) resource(name string) bool {
	if name == s.generated {
		return true
	}
	info, err := stat(s.fsys, name)
	if err != nil {
		return false // somewhere else, or nowhere
	}
	if info.IsDir() {
		base := s.base(name)
		s.found.bases = append(s.found.bases, base)
		return base != nil
	}
	content, ok := s.read(name)
	return ok && documents(content, func(n *yaml.Node) bool {
		kind, metadata := member(n, "kind"), member(n, "metadata")
		return kind != nil && metadata != nil && !strings.HasSuffix(kind.Value, "List") && s.adds(kind.Value, member(metadata, "name"))
	})
}

// component adds one, which does to its kustomization's objects what that could do itself.
func (s *surveyor) component(dir string) bool {
	if slices.Contains(s.within, dir) || !fs.ValidPath(dir) || !s.isPlace(dir) {
		return false
	}
	s.within = append(s.within, dir)
	return s.kustomization(dir)
}

// patch adds the kinds that a patch may meet. It is one that leaves their kinds and names as they are.
func (s *surveyor) patch(dir string, n *yaml.Node) bool {
	if !only(n, "target", "patch", "path") {
		return false
	}
	var content []byte
	switch text, file := member(n, "patch"), member(n, "path"); {
	case text != nil && file == nil:
		content = []byte(text.Value) // it has been read as part of the kustomization
	case text == nil && file != nil && isLocal(file):
		var ok bool
		if content, ok = s.read(path.Join(dir, file.Value)); !ok {
			return false
		}
	default:
		return false
	}
	target := member(n, "target")
	if target != nil && !s.patchesTarget(target) {
		return false
	}
	return documents(content, func(n *yaml.Node) bool {
		if n.Kind == yaml.SequenceNode {
			return each(n, changesContent)
		}
		if target != nil {
			return true
		}
		kind := member(n, "kind")
		return kind != nil && s.meets(kind.Value)
	})
}

// patchesTarget adds the kind of a patch's target, which is a regular expression.
func (s *surveyor) patchesTarget(target *yaml.Node) bool {
	kind := member(target, "kind")
	return kind != nil && only(target, "group", "version", "kind", "name", "namespace", "labelSelector", "annotationSelector") && s.meets(kind.Value)
}

var word = regexp.MustCompile(`^[A-Za-z]+$`)

// meets adds a kind that a patch may meet, if it is a plain one.
func (s *surveyor) meets(kind string) bool {
	s.found.patches = append(s.found.patches, kind)
	return word.MatchString(kind) && !strings.HasSuffix(kind, "List")
}

// changesContent reports whether an operation of a JSON patch changes something else than what an object is and is called.
func changesContent(operation *yaml.Node) bool {
	at := member(operation, "path")
	return at != nil && member(operation, "from") == nil && slices.ContainsFunc([]string{"/spec", "/data/", "/metadata/labels", "/metadata/annotations"}, func(prefix string) bool {
		return strings.HasPrefix(at.Value, prefix)
	})
}

// stat is fs.Stat for a path that may lead out of the file system, where nothing is.
func stat(fsys fs.FS, name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrNotExist
	}
	return fs.Stat(fsys, name)
}
