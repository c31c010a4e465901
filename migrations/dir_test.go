package migrations

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A directory on disk is to Load what os.DirFS would make of it: files of any size, behind links too, as a ConfigMap is
// mounted.
func TestDirIsDirFS(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "..data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{20, 4095, 4096, 4097, 8192, 1 << 20, 21} {
		name := fmt.Sprintf("%d_a.sql", i)
		sql := fmt.Sprintf("SELECT %d -- ", i)
		sql += strings.Repeat("x", size-len(sql))
		if err := os.WriteFile(filepath.Join(root, "..data", name), []byte(sql), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(Dir(root), LayoutAuto)
	want, wantErr := Load(os.DirFS(root), LayoutAuto)
	if err != nil || wantErr != nil {
		t.Fatalf("%v, %v", err, wantErr)
	}
	if len(got.Migrations) != 7 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d migrations, not those of os.DirFS", len(got.Migrations))
	}
}

func TestDirReportsWhatCannotBeRead(t *testing.T) {
	root := t.TempDir()
	for name, target := range map[string]string{"1_gone.sql": "nowhere", "2_directory.sql": "."} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(Dir(root), LayoutAuto)
	var all *LoadError
	if !errors.As(err, &all) || len(all.Problems) != 2 || all.Problems[0].Kind != Unreadable || all.Problems[1].Kind != Unreadable {
		t.Fatalf("%v", err)
	}
	if _, same := Load(os.DirFS(root), LayoutAuto); same == nil || same.Error() != err.Error() {
		t.Errorf("%v\nos.DirFS: %v", err, same)
	}
	if _, err := Load(Dir(filepath.Join(root, "absent")), LayoutAuto); CodeOf(err) != ExitConfig {
		t.Errorf("an absent directory: %v", err)
	}
}

func TestDirRefusesANameThatIsNotText(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "2_\xff.sql"), []byte("SELECT 1"), 0o600); err != nil {
		t.Skipf("the file system has no such names: %v", err)
	}
	_, err := Load(Dir(root), LayoutAuto)
	var p *Problem
	if !errors.As(err, &p) || p.Kind != BadName || p.File != "2_\uFFFD.sql" {
		t.Errorf("%v", err)
	}
}
