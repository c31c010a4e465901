package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// FromPackages returns what the named Debian packages consist of, as installed on this machine, together with all that they
// depend on: enough to run their programs in an image of nothing else. Documentation, translations, and packages that are
// needed only to install others are left out.
func FromPackages(ctx context.Context, names ...string) ([]File, error) {
	installed, err := installedPackages(ctx)
	if err != nil {
		return nil, err
	}
	needed, err := installed.closure(names)
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "dpkg-query", append([]string{"--listfiles"}, needed...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("list the files of packages: %w", err)
	}
	c := collection{seen: map[string]bool{}}
	for line := range strings.Lines(string(out)) {
		if name := strings.TrimSpace(line); path.IsAbs(name) && !superfluous(name) {
			if err := c.add(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // a file that the machine's owner has deleted is not needed here either
				return nil, err
			}
		}
	}
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib64"} { // where programs and the loader are looked for (Debian, "UsrMerge")
		if err := c.add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return c.files, nil
}

// FromTree returns the files and directories below a directory of this machine, to be put below target.
func FromTree(target, dir string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil || rel == "." && d.IsDir() {
			return err
		}
		f, err := fromPath(path.Join(target, filepath.ToSlash(rel)), name)
		files = append(files, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("image tree %s: %w", target, err)
	}
	return files, nil
}

func fromPath(target, name string) (File, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return File{}, err
	}
	f := File{Path: target, Mode: info.Mode()}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		var to string
		to, err = os.Readlink(name)
		f.Content = []byte(to)
	case info.Mode().IsRegular():
		f.Content, err = os.ReadFile(name)
	}
	return f, err
}

// collection is of files of this machine under their own names, each once.
type collection struct {
	files []File
	seen  map[string]bool
}

// add puts a file in where it really is: packages still name /lib/x what is /usr/lib/x.
func (c *collection) add(name string) error {
	dir, err := filepath.EvalSymlinks(path.Dir(name))
	if err != nil {
		return err
	}
	name = path.Join(dir, path.Base(name))
	if c.seen[name] {
		return nil
	}
	f, err := fromPath(name, name)
	if err != nil {
		return err
	}
	c.seen[name] = true
	if !f.Mode.IsDir() { // parents are made as needed
		c.files = append(c.files, f)
	}
	return nil
}

func superfluous(name string) bool {
	for _, dir := range []string{"/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/lintian/", "/usr/share/bash-completion/", "/usr/share/info/"} {
		if strings.HasPrefix(name, dir) {
			return true
		}
	}
	return false
}

// packages are the installed ones by name, and by the names that they provide.
type packages map[string]pkg

type pkg struct {
	name    string
	depends [][]string // one of each list
}

func installedPackages(ctx context.Context) (packages, error) {
	out, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat", "${db:Status-Status}\t${Package}\t${Provides}\t${Pre-Depends}, ${Depends}\n").Output()
	if err != nil {
		return nil, fmt.Errorf("list the installed packages: %w", err)
	}
	all := packages{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 || f[0] != "installed" {
			continue
		}
		p := pkg{name: f[1], depends: alternatives(f[3])}
		all[p.name] = p
		for _, provided := range alternatives(f[2]) {
			if _, real := all[provided[0]]; !real {
				all[provided[0]] = p
			}
		}
	}
	return all, nil
}

// alternatives reads a field of dependencies, without versions (Debian Policy, "Syntax of relationship fields").
func alternatives(field string) [][]string {
	var out [][]string
	for group := range strings.SplitSeq(field, ",") {
		var names []string
		for one := range strings.SplitSeq(group, "|") {
			name, _, _ := strings.Cut(strings.TrimSpace(one), " ")
			if name, _, _ = strings.Cut(name, ":"); name != "" {
				names = append(names, name)
			}
		}
		if names != nil {
			out = append(out, names)
		}
	}
	return out
}

// installers are needed while packages are installed, and pull in much.
var installers = []string{"dpkg", "debconf", "debconf-2.0", "ucf", "perl", "perl-base", "init-system-helpers", "sensible-utils", "adduser", "mount", "passwd"}

// closure returns the packages with all that they depend on.
func (all packages) closure(names []string) ([]string, error) {
	needed := map[string]bool{}
	for len(names) > 0 {
		name := names[len(names)-1]
		names = names[:len(names)-1]
		p, ok := all[name]
		if !ok {
			return nil, fmt.Errorf("package %s is not installed: apt-get install %s", name, name)
		}
		if needed[p.name] || slices.Contains(installers, p.name) {
			continue
		}
		needed[p.name] = true
		for _, group := range p.depends {
			if i := slices.IndexFunc(group, func(n string) bool { _, ok := all[n]; return ok }); i >= 0 {
				names = append(names, group[i])
			}
		}
	}
	out := make([]string, 0, len(needed))
	for name := range needed {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}
