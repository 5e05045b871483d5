package checkout

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/testbed"
	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// drawEntries draws the entries of an index.
func drawEntries(t *rapid.T) []indexEntry {
	path := rapid.OneOf(rapid.StringMatching(`[a-c/\x01é]{1,20}`), rapid.Map(rapid.IntRange(4090, 4095),
		func(n int) string {
			return strings.Repeat("x", n)
		}))
	paths := rapid.SliceOfDistinct(path, func(s string) string { return s }).Draw(t, "paths")
	slices.Sort(paths)
	number, nanoseconds := rapid.Uint32(), rapid.Uint32Max(999_999_999)
	var entries []indexEntry
	for _, path := range paths {
		entries = append(entries, indexEntry{
			path: path,
			mode: rapid.SampledFrom([]uint32{indexRegular, indexExecutable, indexSymlink,
				indexSubmodule}).Draw(t, "mode"),
			hash: plumbing.ComputeHash(plumbing.BlobObject, []byte(path)),
			stat: indexStat{
				number.Draw(t, "ctime"), nanoseconds.Draw(t, "ctime"), number.Draw(t, "mtime"), nanoseconds.Draw(t, "mtime"),
				number.Draw(t, "dev"), number.Draw(t, "ino"), number.Draw(t, "uid"), number.Draw(t, "gid"), number.Draw(t, "size"),
			},
		})
	}
	return entries
}

func TestIndexReadsWhatItWrote(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		entries := drawEntries(t)
		var buf bytes.Buffer
		sum, err := writeIndex(&buf, entries)
		if err != nil {
			t.Fatal(err)
		}
		x, err := parseIndex(buf.Bytes())
		if err != nil || !slices.Equal(x.entries, entries) || x.checksum != sum {
			t.Fatalf("%v: wrote %v, read %v", err, entries, x)
		}
		n := rapid.IntRange(0, buf.Len()-1).Draw(t, "cut")
		if _, err := parseIndex(buf.Bytes()[:n]); !errors.Is(err, errIndexUnusable) {
			t.Fatalf("%d of %d bytes: %v", n, buf.Len(), err)
		}
		buf.Bytes()[n] ^= 1
		if _, err := parseIndex(buf.Bytes()); !errors.Is(err, errIndexUnusable) {
			t.Fatalf("with byte %d flipped: %v", n, err)
		}
	})
}

// TestIndexThatGitDoesNotWriteIsUnusable is for what the package that reads the format does not look at.
func TestIndexThatGitDoesNotWriteIsUnusable(t *testing.T) {
	written := func(paths ...string) []byte {
		var entries []indexEntry
		for _, path := range paths {
			entries = append(entries, indexEntry{path: path, mode: indexRegular})
		}
		var buf bytes.Buffer
		if _, err := writeIndex(&buf, entries); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	unsorted := bytes.ReplaceAll(written("aa", "bb"), []byte("aa"), []byte("cc"))
	for name, data := range map[string][]byte{
		"a path twice":                written("a", "a"),
		"paths that are not sorted":   zeroTrailer(unsorted),
		"no path":                     written(""),
		"a NUL in a path":             written("a\x00b"),
		"something behind its end":    append(written("a"), 1),
		"something behind no sum":     append(zeroTrailer(written("a")), 1),
		"another sum, or none at all": append(written("a")[:80], bytes.Repeat([]byte{1}, sha1.Size)...),
	} {
		if x, err := parseIndex(data); !errors.Is(err, errIndexUnusable) {
			t.Errorf("%s: %v, %v", name, x, err)
		}
	}
}

func FuzzParseIndex(f *testing.F) {
	var buf bytes.Buffer
	if _, err := writeIndex(&buf, []indexEntry{{path: "a", mode: indexRegular}, {path: "a/b",
		mode: indexSymlink}}); err != nil {
		f.Fatal(err)
	}
	body := buf.Bytes()[:buf.Len()-20]
	f.Add(body)
	f.Add([]byte("DIRC\x00\x00\x00\x04\xff\xff\xff\xff"))
	f.Add(append(slices.Clone(body), "TREE\x00\x00\x00\x00"...))
	f.Add(append(slices.Clone(body), "link\x00\x00\x00\x00"...))
	f.Fuzz(func(t *testing.T, body []byte) {
		x, err := parseIndex(append(slices.Clone(body),
			plumbing.ZeroHash[:]...)) // the checksum is not what is tested
		if err != nil {
			if !errors.Is(err, errIndexUnusable) {
				t.Fatal(err)
			}
			return
		}
		for i, e := range x.entries {
			if e.path == "" || i > 0 && x.entries[i-1].path >= e.path {
				t.Fatalf("entry %q after %q", e.path, x.entries[max(0, i-1)].path)
			}
		}
	})
}

func TestIndexIsReadAsGitWritesIt(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	files := map[string]gittest.FakeFile{"a": gittest.File("1"), "b/c": gittest.Executable("2"), "b/d": gittest.Link("x"), "s": gittest.Submodule("1"),
		"with blank\n\xff": gittest.File("3")}
	for name, prepare := range map[string]func(r *workRig){
		"version 2": func(r *workRig) { r.git(t, "update-index", "--index-version=2", "--refresh") },
		"version 3": func(r *workRig) { r.git(t, "update-index", "--index-version=3", "--skip-worktree", "a") },
		"version 4": func(r *workRig) { r.git(t, "update-index", "--index-version=4") },
		"with a tree": func(r *workRig) {
			r.git(t, "read-tree", "HEAD")
			r.git(t, "update-index", "-q",
				"--refresh")
		},
		"assume valid":   func(r *workRig) { r.git(t, "update-index", "--assume-unchanged", "a") },
		"intent to add":  func(r *workRig) { r.put("n", "new"); r.git(t, "add", "-N", "n") },
		"split":          func(r *workRig) { r.git(t, "update-index", "--split-index") },
		"untracked":      func(r *workRig) { r.git(t, "update-index", "--force-untracked-cache") },
		"of a merge":     func(r *workRig) { r.conflict(t) },
		"missing":        func(r *workRig) { _ = os.Remove(r.GitDir + "/index") },
		"corrupt":        func(r *workRig) { gittest.Damage(t, r.GitDir+"/index", gittest.FlipMiddle) },
		"empty":          func(r *workRig) { gittest.Damage(t, r.GitDir+"/index", gittest.None) },
		"without a hash": func(r *workRig) { gittest.Damage(t, r.GitDir+"/index", zeroTrailer) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newWorkRig(t, t.TempDir())
			commit := r.CommitFiles(files)
			r.sync(commit)
			prepare(r)
			if _, err := os.Stat(r.path("n")); err == nil {
				_ = os.Remove(r.path("n"))
			}
			r.sync(commit)
			r.holds(t, files)
			r.gitAgrees(t)
			if aside := r.setAside(t); len(aside) > 0 {
				t.Errorf("this was taken for local edits: %v", aside)
			}
			r.put("a", "9") // as many bytes as before
			r.sync(commit)
			r.holds(t, files)
		})
	}
}

// conflict gives the index entries of a merge.
func (r *workRig) conflict(t *testing.T) {
	t.Helper()
	var lines strings.Builder
	for stage, data := range []string{"1", "2", "3"} {
		fmt.Fprintf(&lines, "100644 %s %d\ta\n", r.Blob(data), stage+1)
	}
	r.git(t, "update-index", "--force-remove", "a")
	cmd := exec.Command("git", "-c", "safe.directory=*", "update-index", "--index-info")
	cmd.Dir, cmd.Env, cmd.Stdin = r.w.Dir, testbed.GitEnv(), strings.NewReader(lines.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func zeroTrailer(data []byte) []byte { return append(data[:len(data)-20], plumbing.ZeroHash[:]...) }

func TestIndexOfTheLongestPathIsWhatGitReads(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	r := gittest.NewObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
	long := strings.Repeat(strings.Repeat("d", 255)+"/", 15) + strings.Repeat("f", 255)
	entries := []indexEntry{{path: "a", mode: indexRegular, hash: r.Blob("1")}, {path: long, mode: indexRegular,
		hash: r.Blob("2")}, {path: "z", mode: indexRegular, hash: r.Blob("3")}}
	f, err := os.Create(r.GitDir + "/index")
	if err != nil {
		t.Fatal(err)
	}
	_, err = writeIndex(f, entries)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if out := gittest.RunGit(t, r.GitDir, 0, "ls-files", "-s"); !strings.Contains(out, long) || strings.Count(out,
		"\n") != 2 {
		t.Errorf("git lists\n%s", out)
	}
}

// inSameTick makes the index as old as a file that was edited right after it was written, with stat data
// that does not tell.
func (r *workRig) inSameTick(name string) {
	r.T.Helper()
	var st unix.Stat_t
	x, err := readIndex(r.GitDir + "/index")
	if err == nil {
		err = unix.Lstat(r.path(name), &st)
	}
	if err != nil {
		r.T.Fatal(err)
	}
	for i := range x.entries {
		if x.entries[i].path == name {
			x.entries[i].stat = newIndexStat(&st)
		}
	}
	var buf bytes.Buffer
	sum, err := writeIndex(&buf, x.entries)
	if err != nil {
		r.T.Fatal(err)
	}
	r.Write("index", buf.String())
	state, err := ReadState(r.GitDir + "/" + StateName)
	if err != nil {
		r.T.Fatal(err)
	}
	state.index = sum
	r.Write(StateName, state.String())
	if err := os.Chtimes(r.GitDir+"/index", time.Time{}, time.Unix(st.Mtim.Unix())); err != nil {
		r.T.Fatal(err)
	}
}

func TestIndexEntriesAsYoungAsTheIndexAreNotTrusted(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	files := map[string]gittest.FakeFile{"a": gittest.File("1")}
	commit := r.CommitFiles(files)
	r.sync(commit)
	r.put("a", "2")
	r.inSameTick("a")
	r.sync(commit)
	r.holds(t, files)
	r.setAside(t).Same(t, "what was set aside", gittest.Expected(map[string]gittest.FakeFile{"a": gittest.File("2")}))
}

func TestIndexLockOfAnotherProgramIsTakenOverOnceItIsStale(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	commit := r.CommitFiles(map[string]gittest.FakeFile{"a": gittest.File("1")})
	r.Write("index.lock", "DIRC")
	waits := 0
	r.w.wait = func(_ context.Context, d time.Duration) error {
		if waits++; waits == 20 {
			r.Write("index.lock", "DIRC, and it is still being written")
		}
		return nil
	}
	result := r.sync(commit)
	if waits < 20+lockStale || waits > 21+lockStale || len(result.Warnings) != 1 ||
		!strings.Contains(result.Warnings[0], "index.lock") {
		t.Errorf("%d waits, %+v", waits, result)
	}
}

func TestIndexLockOfAnotherProgramIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	commit := r.CommitFiles(map[string]gittest.FakeFile{"a": gittest.File("1")})
	r.Write("index.lock", "")
	waits := 0
	r.w.wait = func(context.Context, time.Duration) error {
		if waits++; waits == 7 {
			return os.Remove(r.GitDir + "/index.lock")
		}
		return nil
	}
	if result := r.sync(commit); waits != 7 || len(result.Warnings) > 0 {
		t.Errorf("%d waits, %+v", waits, result)
	}
}

func TestIndexLockThatGoesOnChangingIsAnError(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	commit := r.CommitFiles(map[string]gittest.FakeFile{"a": gittest.File("1")})
	r.Write("index.lock", "")
	text := ""
	r.w.wait = func(context.Context, time.Duration) error {
		text += "x"
		r.Write("index.lock", text)
		return nil
	}
	if _, err := r.w.Sync(context.Background(), commit); err == nil || !strings.Contains(err.Error(),
		"another program") {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(r.path("a")); err == nil {
		t.Error("files were written without the lock")
	}
}

func TestIndexLockOfOurOwnDeadRunIsTakenOverAtOnce(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	commit := r.CommitFiles(map[string]gittest.FakeFile{"a": gittest.File("1")})
	r.sync(commit)
	r.ageFiles()
	r.Write("index.lock", lockMark)
	if result := r.sync(commit); len(result.Warnings) > 0 {
		t.Errorf("%+v", result)
	}
	if _, err := os.Stat(r.GitDir + "/index.lock"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock is still there: %v", err)
	}
}
