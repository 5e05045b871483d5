package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// livelyUpstream is a repository in which commits arrive. What each of them holds is known, from git archive, before
// anybody can fetch it.
type livelyUpstream struct {
	dir  string // the repository
	work string // where commits are made

	mu       sync.Mutex
	expected map[string]map[string]string // what a tag must hold, as tagFiles says it, by revision
	age      map[string]int               // how many commits came before, by revision
	head     string
}

func newLivelyUpstream(dir string) (*livelyUpstream, error) {
	u := &livelyUpstream{dir: filepath.Join(dir, "up"), work: filepath.Join(dir, "work"),
		expected: map[string]map[string]string{}, age: map[string]int{}}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main", "--bare", u.dir},
		{"-C", u.dir, "config", "gc.auto", "0"},
		{"-C", u.dir, "config", "receive.unpackLimit", "20"},
		{"init", "-q", "-b", "main", u.work},
		{"-C", u.work, "config", "gc.auto", "0"},
		{"-C", u.work, "remote", "add", "origin", u.dir},
	} {
		if _, err := u.git(args...); err != nil {
			return nil, err
		}
	}
	for name, text := range map[string]string{"defaults.yml": "a: 1\n", "nodegrouper": "#!/bin/sh\n",
		"nodes.yml": "dev1: [dev]\nqa1: [qa]\nprod1: [web]\n", "nodegroups.yml": "web: [dev, qa]\n"} {
		if err := os.WriteFile(filepath.Join(u.work, name), []byte(text), 0o755); err != nil {
			return nil, err
		}
	}
	return u, u.commit(rand.New(rand.NewPCG(1, 1)))
}

func (u *livelyUpstream) git(args ...string) ([]byte, error) {
	cmd := exec.Command("git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=A",
		"GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("git %q: %w: %s", args, err, &stderr)
	}
	return out, err
}

// commit changes something, finds out what the commit holds, and only then publishes it. Now and then it rewrites
// the last commit instead.
func (u *livelyUpstream) commit(random *rand.Rand) error {
	for range 1 + random.IntN(4) {
		if err := u.change(random); err != nil {
			return err
		}
	}
	if _, err := u.git("-C", u.work, "add", "-A"); err != nil {
		return err
	}
	line := []string{"-C", u.work, "commit", "-q", "--allow-empty", "-m", fmt.Sprint(random.Uint64())}
	if u.head != "" && random.IntN(10) == 0 {
		line = append(line, "--amend")
	}
	if _, err := u.git(line...); err != nil {
		return err
	}
	id, err := u.git("-C", u.work, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	head := strings.TrimSpace(string(id))
	archive, err := u.git("-C", u.work, "archive", "--format=tar", "HEAD")
	if err != nil {
		return err
	}
	files, err := archivedFiles(archive)
	if err != nil {
		return err
	}
	u.mu.Lock()
	u.expected[head], u.age[head] = files, len(u.age)
	u.mu.Unlock()
	if _, err := u.git("-C", u.work, "push", "-q", "--force", "origin", "main"); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.head = head
	return nil
}

// newest is how many commits came before the one that can be fetched now.
func (u *livelyUpstream) newest() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.age[u.head]
}

// ageOf is how many commits came before a revision, or -1 if there never was such a one.
func (u *livelyUpstream) ageOf(revision string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n, ok := u.age[revision]; ok {
		return n
	}
	return -1
}

// filesOf is what a tag of a revision must hold, or nil if there never was such a one.
func (u *livelyUpstream) filesOf(revision string) map[string]string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.expected[revision]
}

// change makes one of few paths a file, an executable, a link, a directory with something in it, or nothing.
func (u *livelyUpstream) change(random *rand.Rand) error {
	path := filepath.Join(u.work, "source", fmt.Sprintf("d%d", random.IntN(3)), fmt.Sprintf("f%d", random.IntN(6)))
	if err := errors.Join(os.RemoveAll(path), os.MkdirAll(filepath.Dir(path), 0o755)); err != nil {
		return err
	}
	text := bytes.Repeat(fmt.Appendf(nil, "%d\n", random.Uint64()), 1+random.IntN(2000))
	switch random.IntN(6) {
	case 0:
		return nil
	case 1:
		return os.Symlink(fmt.Sprint("target-", random.Uint64()), path)
	case 2:
		return errors.Join(os.Mkdir(path, 0o755), os.WriteFile(filepath.Join(path, "inner"), text, 0o644))
	case 3:
		return os.WriteFile(path, text, 0o755)
	}
	return os.WriteFile(path, text, 0o644)
}

// archivedFiles says what a tag must hold that is made of an archive.
func archivedFiles(archive []byte) (map[string]string, error) {
	files := map[string]string{}
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		switch h.Typeflag {
		case tar.TypeReg:
			sum := sha256.New()
			if _, err := io.Copy(sum, r); err != nil {
				return nil, err
			}
			files[h.Name] = describeFile(h.Mode&0o111 != 0, sum.Sum(nil))
		case tar.TypeSymlink:
			files[h.Name] = "link to " + h.Linkname
		}
	}
}

func describeFile(executable bool, sum []byte) string {
	mode := 0o644
	if executable {
		mode = 0o755
	}
	return fmt.Sprintf("%04o %x", mode, sum)
}

// tagFiles reads what a tag holds.
func tagFiles(root *os.Root) (map[string]string, error) {
	files := map[string]string{}
	err := fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if e.Type() == fs.ModeSymlink {
			target, err := root.Readlink(path)
			files[path] = "link to " + target
			return err
		}
		info, err := root.Lstat(path)
		if err != nil {
			return err
		}
		data, err := root.ReadFile(path)
		files[path] = fmt.Sprintf("%04o %x", info.Mode().Perm(), sha256.Sum256(data))
		return err
	})
	return files, err
}
