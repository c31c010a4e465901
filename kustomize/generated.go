package kustomize

import (
	"bytes"
	"errors"
	"io/fs"
)

// generated returns the files of an earlier render by name. A directory that holds anything else is somebody's own and is
// refused: it would be overwritten.
func (r *repository) generated() (map[string][]byte, error) {
	dir := r.in(entry)
	switch info, err := r.Lstat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, Problems{{dir, 0, "is not a directory, and not generated", "move it away: the generated files go there"}}
	}
	entries, err := r.list(dir)
	if err != nil {
		return nil, err
	}
	var problems Problems
	found := map[string][]byte{}
	for _, e := range entries {
		file := dir + "/" + e.Name()
		if !e.Type().IsRegular() {
			problems.add(file, 0, "was not generated", "move it away: the directory "+entry+" belongs to the renderer")
			continue
		}
		content, err := readFile(r.tree, file)
		if err != nil {
			problems = append(problems, refusal(file, err))
			continue
		}
		if !bytes.HasPrefix(content, []byte(header)) {
			problems.add(file, 1, "was not generated", "move it away: the directory "+entry+" belongs to the renderer")
			continue
		}
		found[e.Name()] = content
	}
	return found, problems.err()
}
