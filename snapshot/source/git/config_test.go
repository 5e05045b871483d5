package git

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/etch/etchtag/snapshot/disk"
)

func TestConfigWithAPasswordIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for url, want := range map[string]os.FileMode{
		"https://u:secret@example.com/r": 0o600, "https://example.com/r": 0o644, "git@example.com:r": 0o644,
	} {
		gitDir := filepath.Join(dir, want.String()+filepath.Base(url))
		if err := disk.MakeDirs(gitDir); err != nil {
			t.Fatal(err)
		}
		if err := initRepository(gitDir, newConfig(url)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(gitDir, "config"))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v", url, info.Mode(), err)
		}
	}
}
