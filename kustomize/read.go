package kustomize

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/schemawave/schemawave/manifests"
)

// declaration is a SchemaMigration and where it stands.
type declaration struct {
	document
	manifests.SchemaMigration
	localConfig bool // kustomize leaves it out of what it emits
}

// mentions reports whether a file may hold a SchemaMigration, without parsing it.
func mentions(content []byte) bool {
	return bytes.Contains(content, []byte(manifests.Kind)) && bytes.Contains(content, []byte("schemawave.dev")) // JSON may write \/
}

// read returns the SchemaMigrations of a file, which may hold other documents too. Everything wrong with them is in
// problems; what is returned is complete only if there are none.
func read(file string, content []byte, problems *Problems) []*declaration {
	if bytes.IndexByte(content, 0) >= 0 && mentions(bytes.ReplaceAll(content, []byte{0}, nil)) {
		problems.add(file, 0, "is UTF-16, or holds zero bytes", "save it as UTF-8")
		return nil
	}
	if !mentions(content) {
		return nil
	}
	var out []*declaration
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			line, what := syntaxError(err)
			problems.add(file, line, what, "correct the YAML")
			return out
		}
		if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || !declares(doc.Content[0]) {
			continue
		}
		if deep := below(doc.Content[0], maxDepth); deep != nil {
			problems.add(file, deep.Line, fmt.Sprintf("has values in more than %d others", maxDepth), "write it flatter: no Job is that deep")
			continue
		}
		d := &declaration{document: document{file: file, lines: map[string]int{"": doc.Content[0].Line}, problems: problems}}
		d.root(field{doc.Content[0], "", doc.Content[0].Line})
		out = append(out, d)
	}
}

// maxDepth bounds how deep a SchemaMigration may be: every value is known by the path that leads to it, so that what is deep costs
// its square.
const maxDepth = 100

// below returns a node that is within more than depth others, nil if there is none.
func below(n *yaml.Node, depth int) *yaml.Node {
	if depth < 0 {
		return n
	}
	for _, c := range n.Content {
		if deep := below(c, depth-1); deep != nil {
			return deep
		}
	}
	return nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntaxError takes the line out of an error of the YAML parser.
func syntaxError(err error) (int, string) {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, err.Error()
	}
	line, _ := strconv.Atoi(m[1]) // empty: 0, the whole file
	return line, strings.TrimPrefix(err.Error(), m[0])
}

// declares reports whether a document is meant as a SchemaMigration of ours, of whatever version.
func declares(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	kind, group := false, false
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch value := n.Content[i+1].Value; n.Content[i].Value {
		case "kind":
			kind = value == manifests.Kind
		case "apiVersion":
			group = strings.HasPrefix(value, "schemawave.dev/")
		}
	}
	return kind && group
}

func (d *declaration) root(f field) {
	var apiVersion, kind string
	d.members(f, map[string]func(field){
		"apiVersion": d.text(&apiVersion),
		"kind":       d.text(&kind),
		"metadata":   d.metadata,
		"spec":       d.spec,
	})
	if apiVersion != manifests.APIVersion {
		d.problems.add(d.file, d.line("apiVersion"), fmt.Sprintf("apiVersion: %q is not known", apiVersion), "use "+manifests.APIVersion)
	}
}

func (d *declaration) metadata(f field) {
	free := func(m field) { d.json(m) } // only its form matters
	d.members(f, map[string]func(field){
		"name":        d.text(&d.Name),
		"labels":      free,
		"annotations": d.annotations,
	})
}

func (d *declaration) annotations(f field) {
	d.each(f, func(key string, m field) {
		if key != localConfigAnnotation {
			return
		}
		if d.localConfig = m.node.Value == "true" && m.node.ShortTag() == "!!str"; !d.localConfig {
			d.add(m, `want the string "true"`, "put it in quotes, as in "+localConfigAnnotation+`: "true"`)
		}
	})
}

func (d *declaration) spec(f field) {
	d.members(f, map[string]func(field){
		"environment":   d.text(&d.Environment),
		"source":        d.source,
		"database":      d.database,
		"tenants":       d.tenants,
		"hook":          d.hook,
		"wave":          d.integer(&d.Wave),
		"dependsOn":     d.dependsOn,
		"guard":         d.guard,
		"target":        d.target,
		"minCompatible": d.version(&d.MinCompatible),
		"policy":        d.policy,
		"job":           d.job,
	})
}

func (d *declaration) guard(f field) {
	var guard string
	d.text(&guard)(f)
	if d.Guard = guard == "job"; !d.Guard {
		d.add(f, fmt.Sprintf("%q is not known", guard), "use job, or leave it out")
	}
}

func (d *declaration) hook(f field) {
	var hook string
	d.text(&hook)(f)
	switch hook {
	case "", string(manifests.HookPreSync), string(manifests.HookSync):
		d.Hook = manifests.Hook(hook)
	default:
		d.add(f, fmt.Sprintf("%q is not known", hook), "use PreSync or Sync, or leave it out for PreSync")
	}
}
