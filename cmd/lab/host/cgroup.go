package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// cgroupRoot is where the cgroup filesystem is mounted on every Linux in use.
const cgroupRoot = "/sys/fs/cgroup"

// hierarchies are the directories in which a cgroup of the lab is made: the one tree of cgroup v2, or each controller's
// tree of cgroup v1 (links such as cpu,cpuacct are left out).
func hierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return []string{cgroupRoot}, nil
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, fmt.Errorf("look for cgroups: %w", err)
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(cgroupRoot, e.Name()))
		}
	}
	return dirs, nil
}

// MakeCgroups makes the cgroup of a lab's ID in every hierarchy; the kubelet wants to find it complete.
func MakeCgroups(id string) error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		own := filepath.Join(dir, id)
		if err := os.Mkdir(own, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make a cgroup: %w", err)
		}
		// v1: a new cpuset is empty and takes no process until it is filled
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := copyValue(filepath.Join(dir, file), filepath.Join(own, file)); err != nil {
				return err
			}
		}
		// v2: children have the controllers that the parent hands down
		if err := delegate(dir, own); err != nil {
			return err
		}
	}
	return nil
}

func copyValue(from, to string) error {
	value, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("fill a cgroup: %w", err)
	}
	if err := os.WriteFile(to, value, 0o644); err != nil {
		return fmt.Errorf("fill a cgroup: %w", err)
	}
	return nil
}

func delegate(parent, own string) error {
	controllers, err := os.ReadFile(filepath.Join(parent, "cgroup.subtree_control"))
	if err != nil || len(strings.TrimSpace(string(controllers))) == 0 {
		return nil // v1, or a v2 tree that carries no controllers beside v1
	}
	enable := "+" + strings.Join(strings.Fields(string(controllers)), " +")
	if err := os.WriteFile(filepath.Join(own, "cgroup.subtree_control"), []byte(enable), 0o644); err != nil {
		return fmt.Errorf("hand cgroup controllers down: %w", err)
	}
	return nil
}

// removeCgroups removes the lab's cgroups with all below. The kernel takes a moment to forget dead processes, so it is
// tried for two seconds.
func removeCgroups(id string) error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		var left error
		for _, dir := range dirs {
			left = errors.Join(left, removeTree(filepath.Join(dir, id)))
		}
		if left == nil || attempt == 40 {
			return left
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// removeTree removes directories only, children first: the files in them are the kernel's.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return os.Remove(dir)
}
