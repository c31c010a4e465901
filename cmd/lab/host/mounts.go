package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// covered are directories that components write to at paths nobody can configure (the CNI library's cache, the kubelet's
// device plugin socket, links to pod logs) or that name the machine (resolv.conf, hosts). In the lab they are overlays:
// the machine's content below, everything written kept in memory and gone with the lab.
var covered = []string{"/etc", "/var/lib", "/var/log"}

// tunables are the kernel's settings that a kubelet corrects when they differ. They belong to the whole machine, so in
// the lab a file with the value it wants lies over each (k8s.io/component-helpers/node/util/sysctl).
var tunables = map[string]string{
	"/proc/sys/vm/overcommit_memory":      "1",
	"/proc/sys/vm/panic_on_oom":           "0",
	"/proc/sys/kernel/panic":              "10",
	"/proc/sys/kernel/panic_on_oops":      "1",
	"/proc/sys/kernel/keys/root_maxkeys":  "1000000",
	"/proc/sys/kernel/keys/root_maxbytes": "25000000",
}

// mounts makes the mount namespace's view: private, with a /proc, /run and /dev/shm of its own, the covered directories
// and the tunables. keep are directories to leave the machine's own where a covered directory holds them.
func (l Lab) mounts(keep []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := mount("proc", "/proc", "proc", ""); err != nil {
		return err
	}
	if err := mount("tmpfs", "/run", "tmpfs", "mode=755"); err != nil {
		return err
	}
	if err := mount("tmpfs", "/dev/shm", "tmpfs", "mode=1777"); err != nil {
		return err
	}
	for _, dir := range covered {
		if err := cover(dir, keep); err != nil {
			return err
		}
	}
	for path, value := range tunables {
		if err := pretend(path, value); err != nil {
			return err
		}
	}
	return names()
}

// cover mounts an overlay over dir and puts the kept directories below it back.
func cover(dir string, keep []string) error {
	handles := map[string]*os.File{}
	for _, k := range keep {
		k, err := filepath.EvalSymlinks(k)
		if err != nil || !strings.HasPrefix(k+"/", dir+"/") {
			continue // not there, or not below dir
		}
		f, err := os.Open(k)
		if err != nil {
			return fmt.Errorf("keep %s: %w", k, err)
		}
		defer f.Close()
		handles[k] = f
	}
	layers := filepath.Join("/run/lab", dir)
	for _, layer := range []string{"upper", "work"} {
		if err := os.MkdirAll(filepath.Join(layers, layer), 0o755); err != nil {
			return fmt.Errorf("cover %s: %w", dir, err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", dir, layers, layers)
	if err := mount("overlay", dir, "overlay", options); err != nil {
		return err
	}
	for k, f := range handles {
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), k, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("keep %s: %w", k, err)
		}
	}
	return nil
}

// pretend lays a file with the value over a file of the kernel's. A kernel without that setting is left alone.
func pretend(path, value string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	file := filepath.Join("/run/lab", strings.ReplaceAll(path, "/", "_"))
	if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
		return fmt.Errorf("lay a value over %s: %w", path, err)
	}
	if err := unix.Mount(file, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("lay a value over %s: %w", path, err)
	}
	return nil
}

// names writes who is who in the lab. The files may be links out of the overlay, so they are replaced, not written to.
func names() error {
	for path, content := range map[string]string{
		"/etc/hostname":    Hostname + "\n",
		"/etc/hosts":       "127.0.0.1 localhost\n::1 localhost\n" + NodeAddress + " " + Hostname + "\n",
		"/etc/resolv.conf": "nameserver " + NodeAddress + "\n",
	} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("write %s: %w", path, err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

func mount(source, target, kind, options string) error {
	if err := unix.Mount(source, target, kind, unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, target, err)
	}
	return nil
}
