package kustomize

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"sync"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// What a file of a repository may be, so that nobody who pushes to one can take down what renders it. An object of Kubernetes is
// below 1.5 MiB (etcd, "System limits"); files of many hold some MiB.
const (
	maxFile  = 16 << 20 // bytes
	maxNodes = 1 << 20  // of its YAML, each alias standing for all it means
)

// overLimit is what is wrong with a file that is too much, and its remedy.
type overLimit struct{ what, remedy string }

func (e *overLimit) Error() string { return e.what }

// readFile reads a file of at most maxFile bytes that means at most maxNodes nodes. What is no regular file is not read: a pipe
// would be waited for.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	if _, limits := fsys.(*tree); !limits {
		info, err := fs.Stat(fsys, name)
		if err == nil {
			err = limit(info)
		}
		if err != nil {
			return nil, err
		}
	}
	content, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	return content, meansLittle(content)
}

// bounded is a directory of SQL, of which no file is read that holds more than maxFile bytes, or is none, and none twice.
type bounded struct {
	root    *tree
	dir     string
	content *sync.Map // of what was read, by name; files are read by several at once
	refused *sync.Map // errors, by what was not read
}

// Open implements fs.FS.
func (b bounded) Open(name string) (fs.File, error) { return b.root.Open(path.Join(b.dir, name)) }

// ReadDir implements fs.ReadDirFS.
func (b bounded) ReadDir(name string) ([]fs.DirEntry, error) {
	return fs.ReadDir(b.root, path.Join(b.dir, name))
}

// ReadFile implements fs.ReadFileFS.
func (b bounded) ReadFile(name string) ([]byte, error) {
	if known, is := b.content.Load(name); is {
		return known.([]byte), nil
	}
	content, err := b.root.ReadFile(path.Join(b.dir, name))
	if err != nil && !errors.As(err, new(*fs.PathError)) {
		b.refused.Store(name, err)
	}
	if err != nil {
		return nil, err
	}
	b.content.Store(name, content)
	return content, nil
}

// limit refuses a file by what can be said of it without reading it.
func limit(info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return errors.New("is a directory")
	case !info.Mode().IsRegular():
		return &overLimit{"is no regular file", "remove it"}
	case info.Size() > maxFile:
		return &overLimit{fmt.Sprintf("holds %d bytes, more than the %d that are read of a file", info.Size(), maxFile), "divide it, or keep it outside of the directories that kustomize reads"}
	}
	return nil
}

// alias matches one, or what may be one.
var alias = regexp.MustCompile(`[\s,\[{:-]\*[^\s,\[\]{}*]`)

// meansLittle refuses YAML whose aliases stand for more than anybody means: some hundred bytes may stand for billions.
func meansLittle(content []byte) error {
	if bytes.IndexByte(content, '*') < 0 || !alias.Match(content) {
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	total := 0
	for {
		var doc yaml.Node
		if decoder.Decode(&doc) != nil {
			return nil // at its end, or no YAML: then it is not taken for any
		}
		if total += nodes(&doc, map[*yaml.Node]int{}); total > maxNodes {
			return &overLimit{fmt.Sprintf("stands for more than %d values, by aliases of aliases", maxNodes), "write out what is meant, or use fewer aliases"}
		}
	}
}

// nodes counts what a node stands for, up to more than maxNodes. An alias within itself stands for no end.
func nodes(n *yaml.Node, known map[*yaml.Node]int) int {
	if n.Kind == yaml.AliasNode {
		if count, is := known[n.Alias]; is {
			return count
		}
		known[n.Alias] = maxNodes + 1
		count := nodes(n.Alias, known)
		known[n.Alias] = count
		return count
	}
	count := 1
	for _, c := range n.Content {
		if count += nodes(c, known); count > maxNodes {
			return maxNodes + 1
		}
	}
	return count
}

// refusal is the problem with a file that could not be read.
func refusal(file string, err error) *Problem {
	if over := (*overLimit)(nil); errors.As(err, &over) {
		return &Problem{file, 0, over.what, over.remedy}
	}
	return &Problem{file, 0, "cannot be read: " + cause(err), "make it readable, or remove it"}
}
