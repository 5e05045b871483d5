package workcopy

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/testbed"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// copyRig is a small tree to copy, and a file outside of it that no copy may hold.
type copyRig struct {
	t        *testing.T
	src, dst string
	outside  string
	secret   string // a file outside of the tree
}

func newCopyRig(t *testing.T) *copyRig {
	t.Helper()
	base := t.TempDir()
	r := &copyRig{
		t: t, src: filepath.Join(base, "src"), dst: filepath.Join(base, "dst"), outside: filepath.Join(base, "outside"),
	}
	r.secret = filepath.Join(r.outside, "f")
	testbed.EditTree(t, r.src, []testbed.Edit{
		testbed.Write("f", "contents\n"), testbed.Write("d/g", "in a directory\n"), testbed.Script("run", "#!/bin/sh\n"), testbed.Symlink("l", "f"),
		testbed.EmptyDirectory("empty"), testbed.Write("z", "the last\n"),
	})
	testbed.EditTree(t, r.outside, []testbed.Edit{testbed.Write("f", "a secret\n"), testbed.Write("g", "also a secret.\n")})
	if err := os.Mkdir(r.dst, 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *copyRig) path(name string) string { return filepath.Join(r.src, name) }

func (r *copyRig) copy(o source.ExportOptions) ([]source.ExportedEntry, error) {
	return CopyOut(r.t.Context(), r.src, r.dst, IsMetadata, o)
}

func nothingSkipped(string) bool { return false }

func TestCopyIsTheTreeWhateverItsNamesModesAndTimes(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	testbed.CheckSome(t, 50, func(t *rapid.T) {
		src, err := os.MkdirTemp(base, "src")
		if err != nil {
			t.Fatalf("%v", err)
		}
		dst, err := os.MkdirTemp(base, "dst")
		if err != nil {
			t.Fatalf("%v", err)
		}
		for path, f := range gittest.DrawTree(t, "tree", testbed.OddNames) {
			drawOnDisk(t, filepath.Join(src, path), f)
		}
		entries, err := CopyOut(context.Background(), src, dst, nothingSkipped, source.ExportOptions{})
		if err != nil {
			t.Fatalf("%v", err)
		}
		list := testbed.ListDir(t, src)
		testbed.ListDir(t, dst).Same(t, "the copy", list)
		testbed.IsListed(t, entries, list)
		sameTimes(t, src, dst)
		hashed, err := HashSteady(context.Background(), src, nothingSkipped)
		if err != nil || !slices.Equal(hashed.Entries, entries) {
			t.Fatalf("hashed %v, %v, copied %v", hashed, err, entries)
		}
	})
}

// drawOnDisk makes a file of a mode and time that are drawn.
func drawOnDisk(t *rapid.T, path string, f gittest.FakeFile) {
	e := testbed.Edit{Mode: source.Regular, Content: f.Data}
	switch d := f.Describe(); source.Mode(d[0]) {
	case source.Directory:
		e.Op = testbed.OpMkdir
	default:
		e.Mode = source.Mode(d[0])
	}
	if err := e.Apply(path, ""); err != nil {
		t.Fatalf("%v", err)
	}
	if e.Mode == source.Symlink {
		return
	}
	mode := rapid.SampledFrom([]fs.FileMode{0o400, 0o444, 0o600, 0o644, 0o666, 0o500, 0o555, 0o755, 0o777}).Draw(t, "mode")
	when := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
	if err := errors.Join(os.Chtimes(path, when, when), os.Chmod(path, mode)); err != nil {
		t.Fatalf("%v", err)
	}
}

// sameTimes fails the test unless all files and directories of a copy have the times of the originals, to the
// nanosecond, and modes that let their owner do all.
func sameTimes(t testbed.Failer, src, dst string) {
	t.Helper()
	for path, has := range testbed.ListDir(t, src) {
		from, err := os.Lstat(filepath.Join(src, path))
		if err != nil {
			t.Fatalf("%v", err)
		}
		to, err := os.Lstat(filepath.Join(dst, path))
		if err != nil {
			t.Fatalf("%v", err)
		}
		if source.Mode(has[0]) != source.Symlink && !to.ModTime().Equal(from.ModTime()) {
			t.Fatalf("the copy of %q is of %v, not %v", path, to.ModTime(), from.ModTime())
		}
		want := fs.FileMode(0o755)
		if source.Mode(has[0]) == source.Regular {
			want = 0o644
		}
		if source.Mode(has[0]) != source.Symlink && to.Mode().Perm() != want {
			t.Fatalf("the copy of %q has mode %v, not %v", path, to.Mode(), want)
		}
	}
}

func TestCopyLeavesOutWhatIsSkipped(t *testing.T) {
	t.Parallel()
	r := newCopyRig(t)
	want := testbed.ListDir(t, r.src)
	want["d/only"] = testbed.Describe(source.Directory, "")
	testbed.EditTree(t, r.src, []testbed.Edit{
		testbed.Write(".svn/wc.db", "x"), testbed.Write("d/CVS/Entries", "x"), testbed.Write("d/only/CVS/Root", "x"), testbed.Symlink("empty/.git", "/etc"),
	})
	entries, err := r.copy(source.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	testbed.ListDir(t, r.dst).Same(t, "the copy", want)
	testbed.IsListed(t, entries, want)
}

// Each of these happens after the fingerprint was taken, before anything is copied. The copy succeeds in most of them.
func TestTreeThatChangesWhileItIsCopiedIsNoticed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		paths []string // that the error has to name
		harm  func(r *copyRig) error
	}{
		{"file vanishes", []string{"f"}, func(r *copyRig) error { return os.Remove(r.path("f")) }},
		{"directory vanishes", []string{"d", "d/g"}, func(r *copyRig) error { return os.RemoveAll(r.path("d")) }},
		{"link vanishes", []string{"l"}, func(r *copyRig) error { return os.Remove(r.path("l")) }},
		{"file appears", []string{"new"}, func(r *copyRig) error { return os.WriteFile(r.path("new"), nil, 0o644) }},
		{"directory appears", []string{"new"}, func(r *copyRig) error { return os.Mkdir(r.path("new"), 0o755) }},
		{"file grows", []string{"f"}, func(r *copyRig) error { return os.WriteFile(r.path("f"), []byte("longer contents\n"), 0) }},
		{"file shrinks", []string{"f"}, func(r *copyRig) error { return os.Truncate(r.path("f"), 3) }},
		{"file rewritten in place", []string{"f"}, func(r *copyRig) error {
			return keepTimes(r.path("f"), func() error { return os.WriteFile(r.path("f"), []byte("CONTENTS\n"), 0) })
		}},
		{"file replaced by one of the same size and time", []string{"f"}, func(r *copyRig) error {
			return keepTimes(r.path("f"), func() error {
				return errors.Join(os.WriteFile(r.path("f2"), []byte("CONTENTS\n"), 0o644), os.Rename(r.path("f2"), r.path("f")))
			})
		}},
		{"file becomes a link to elsewhere", []string{"f"}, func(r *copyRig) error {
			return errors.Join(os.Remove(r.path("f")), os.Symlink(r.secret, r.path("f")))
		}},
		{"directory becomes a link to elsewhere", []string{"d", "d/g"}, func(r *copyRig) error {
			return errors.Join(os.RemoveAll(r.path("d")), os.Symlink(r.outside, r.path("d")))
		}},
		{"file becomes a directory", []string{"f"}, func(r *copyRig) error {
			return errors.Join(os.Remove(r.path("f")), os.Mkdir(r.path("f"), 0o755))
		}},
		{"directory becomes a file", []string{"empty"}, func(r *copyRig) error {
			return errors.Join(os.Remove(r.path("empty")), os.WriteFile(r.path("empty"), nil, 0o644))
		}},
		{"link leads elsewhere", []string{"l"}, func(r *copyRig) error {
			return errors.Join(os.Remove(r.path("l")), os.Symlink("g", r.path("l")))
		}},
		{"link becomes a file", []string{"l"}, func(r *copyRig) error {
			return errors.Join(os.Remove(r.path("l")), os.WriteFile(r.path("l"), []byte("f"), 0o644))
		}},
		{"mode changes", []string{"f"}, func(r *copyRig) error { return os.Chmod(r.path("f"), 0o755) }},
		{"directories change places", []string{"d", "empty"}, func(r *copyRig) error {
			return errors.Join(os.Rename(r.path("d"), r.path("x")), os.Rename(r.path("empty"), r.path("d")),
				os.Rename(r.path("x"), r.path("empty")))
		}},
		{"touched", []string{"f"}, func(r *copyRig) error { return os.Chtimes(r.path("f"), testbed.TheTime, testbed.TheTime) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			for kind, read := range map[string]func(r *copyRig, o source.ExportOptions) error{
				"copy": func(r *copyRig, o source.ExportOptions) error { _, err := r.copy(o); return err },
				"hash": func(r *copyRig, o source.ExportOptions) error {
					_, err := ReadSteady(r.t.Context(), r.src, IsMetadata, o, (*TreeReader).HashAll)
					return err
				},
			} {
				r := newCopyRig(t)
				err := read(r, source.ExportOptions{Room: func([]source.Entry) error { return test.harm(r) }})
				var unsteady *UnsteadyError
				if !errors.As(err, &unsteady) {
					t.Fatalf("%s: got %v", kind, err)
				}
				for _, path := range test.paths {
					if !slices.Contains(unsteady.Paths, path) || !strings.Contains(err.Error(), `"`+path+`"`) {
						t.Errorf("%s: %q is not named: %v", kind, path, err)
					}
				}
				r.hasNoSecret()
			}
		})
	}
}

// Such a file, a log for instance, might never come to an end.
func TestFileThatGrowsAsItIsReadIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	r := newCopyRig(t)
	reader, err := newTreeReader(t.Context(), r.src, IsMetadata, source.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.cancel(nil)
	f, err := reader.Open(r.path("f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	testbed.WriteTestFile(t, r.path("f"), strings.Repeat("longer\n", 100_000))
	data, err := io.ReadAll(f)
	if !errors.As(err, new(*UnsteadyError)) || len(data) > 100_000 {
		t.Errorf("%d bytes were read, and then: %v", len(data), err)
	}
}

// keepTimes does something to a file, and sets its times back.
func keepTimes(path string, do func() error) error {
	info, err := os.Stat(path)
	return errors.Join(err, do(), os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// hasNoSecret fails the test if something from outside of the tree was copied.
func (r *copyRig) hasNoSecret() {
	r.t.Helper()
	for path, has := range testbed.ListDir(r.t, r.dst) {
		if strings.Contains(has, "secret") && source.Mode(has[0]) != source.Symlink {
			r.t.Errorf("%q holds a file from outside of the tree", path)
		}
	}
}

// Opening a fifo waits for a writer, which never comes; a socket cannot be opened; a device would be left out.
func TestFileThatBecomesAFifoSocketOrDeviceIsRefused(t *testing.T) {
	t.Parallel()
	for kind, make := range specialFiles {
		r := newCopyRig(t)
		_, err := r.copy(source.ExportOptions{Room: func([]source.Entry) error {
			return errors.Join(os.Remove(r.path("f")), make(t, r.path("f")))
		}})
		if err == nil || !strings.Contains(err.Error(), `"f"`) {
			t.Errorf("%s: got %v", kind, err)
		}
	}
}

// specialFiles makes what is never published.
var specialFiles = map[string]func(t *testing.T, path string) error{
	"a fifo": func(_ *testing.T, path string) error { return unix.Mkfifo(path, 0o644) },
	"a socket": func(t *testing.T, path string) error {
		address := filepath.Join(shortDir(t), "s") // the name of a socket may not be long
		listener, err := net.Listen("unix", address)
		if err != nil {
			return err
		}
		t.Cleanup(func() { listener.Close() })
		return os.Rename(address, path)
	},
	"a device": func(_ *testing.T, path string) error { return unix.Mknod(path, unix.S_IFCHR, 0) }, // anyone may make this one
	"setuid": func(_ *testing.T, path string) error {
		return errors.Join(os.WriteFile(path, []byte("x"), 0o755), os.Chmod(path, 0o755|fs.ModeSetuid))
	},
	"setgid": func(_ *testing.T, path string) error {
		return errors.Join(os.WriteFile(path, []byte("x"), 0o755), os.Chmod(path, 0o755|fs.ModeSetgid))
	},
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestSpecialFilesAreRefusedByName(t *testing.T) {
	t.Parallel()
	for kind, make := range specialFiles {
		r := newCopyRig(t)
		if err := make(t, r.path("d/odd\nname")); err != nil {
			t.Fatal(err)
		}
		_, err := r.copy(source.ExportOptions{Room: func([]source.Entry) error { t.Error("it got as far as to ask for room"); return nil }})
		if err == nil || !strings.Contains(err.Error(), `"d/odd\nname"`) || !strings.Contains(err.Error(), kind) {
			t.Errorf("%s: got %v", kind, err)
		}
		testbed.ListDir(t, r.dst).Same(t, "the copy", testbed.Listing{})
	}
}

func TestDirectoryOfAGroupIsCopied(t *testing.T) {
	t.Parallel()
	r := newCopyRig(t)
	if err := os.Chmod(r.path("d"), 0o775|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if _, err := r.copy(source.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(r.dst, "d")); err != nil || info.Mode() != fs.ModeDir|0o755 {
		t.Errorf("its copy has mode %v (%v)", info.Mode(), err)
	}
}

func TestLinkThatStandsAtTheDestinationIsNotFollowed(t *testing.T) {
	t.Parallel()
	r := newCopyRig(t)
	if err := os.Symlink(r.secret, filepath.Join(r.dst, "f")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.copy(source.ExportOptions{}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("got %v", err)
	}
	if data, err := os.ReadFile(r.secret); err != nil || string(data) != "a secret\n" {
		t.Errorf("the file that the link leads to is %q, %v", data, err)
	}
}

func TestHardLinksBecomeFilesOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := newCopyRig(t)
	if err := os.Link(r.path("f"), r.path("d/same")); err != nil {
		t.Fatal(err)
	}
	want := testbed.ListDir(t, r.src)
	entries, err := r.copy(source.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	testbed.ListDir(t, r.dst).Same(t, "the copy", want)
	testbed.IsListed(t, entries, want)
	one, _ := os.Stat(filepath.Join(r.dst, "f"))
	two, _ := os.Stat(filepath.Join(r.dst, "d/same"))
	if os.SameFile(one, two) {
		t.Error("the copies are one file")
	}
}

func TestSparseFileIsCopiedWithItsHoles(t *testing.T) {
	t.Parallel()
	r := newCopyRig(t)
	if err := os.Truncate(r.path("f"), 1<<20); err != nil {
		t.Fatal(err)
	}
	want := testbed.ListDir(t, r.src)
	entries, err := r.copy(source.ExportOptions{Room: func(entries []source.Entry) error {
		for _, e := range entries {
			if e.Path == "f" && e.Size != 1<<20 {
				t.Errorf("it asked for room for %d bytes", e.Size)
			}
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	testbed.ListDir(t, r.dst).Same(t, "the copy", want)
	testbed.IsListed(t, entries, want)
}

// What the copy did wrong without saying so is found afterwards.
func TestCopyThatCameOutWrongIsAnError(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(dst string) error{
		"missing": func(dst string) error { return os.Remove(filepath.Join(dst, "empty")) },
		"extra":   func(dst string) error { return os.WriteFile(filepath.Join(dst, "extra"), nil, 0o644) },
		"another target": func(dst string) error {
			return errors.Join(os.Remove(filepath.Join(dst, "l")), os.Symlink("x", filepath.Join(dst, "l")))
		},
		"another type": func(dst string) error {
			return errors.Join(os.Remove(filepath.Join(dst, "empty")), os.Symlink("x", filepath.Join(dst, "empty")))
		},
		"cut off":       func(dst string) error { return os.Truncate(filepath.Join(dst, "f"), 2) },
		"not to be run": func(dst string) error { return os.Chmod(filepath.Join(dst, "run"), 0o644) },
	} {
		r := newCopyRig(t)
		reader, err := ReadSteady(t.Context(), r.src, IsMetadata, source.ExportOptions{}, func(t *TreeReader) error {
			return t.copyTo(r.dst)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := reader.proveCopy(t.Context(), r.dst); err != nil {
			t.Fatalf("before: %v", err)
		}
		if err := harm(r.dst); err != nil {
			t.Fatal(err)
		}
		if err := reader.proveCopy(t.Context(), r.dst); err == nil {
			t.Errorf("%s: it was not noticed", name)
		}
	}
}

func TestNothingIsCopiedWhereThereIsNoRoom(t *testing.T) {
	t.Parallel()
	r := newCopyRig(t)
	full := errors.New("no room")
	if _, err := r.copy(source.ExportOptions{Room: func([]source.Entry) error { return full }}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	testbed.ListDir(t, r.dst).Same(t, "the copy", testbed.Listing{})
}

func TestCopyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"room", "progress"} {
		r := newCopyRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := CopyOut(ctx, r.src, r.dst, IsMetadata, source.ExportOptions{
			Room: func([]source.Entry) error {
				if at == "room" {
					cancel()
				}
				return nil
			},
			Progress: func(done, total int) {
				if done < total {
					cancel()
				}
			},
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", at, err)
		}
	}
}

func TestPathTooLongToBeNamedIsRefused(t *testing.T) {
	t.Parallel()
	r := newCopyRig(t)
	dir, err := os.Open(r.path("d"))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("n", 200)
	for range disk.MaxPath/len(name) + 1 {
		if err := unix.Mkdirat(int(dir.Fd()), name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := disk.OpenDirAt(int(dir.Fd()), name)
		if err != nil {
			t.Fatal(err)
		}
		dir.Close()
		dir = next
	}
	dir.Close()
	if _, err := r.copy(source.ExportOptions{}); err == nil || !strings.Contains(err.Error(), "d/nnn") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNoDirectoryIsNotCopied(t *testing.T) {
	t.Parallel()
	r := newCopyRig(t)
	if _, err := CopyOut(t.Context(), r.path("f"), r.dst, IsMetadata, source.ExportOptions{}); err == nil ||
		!strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file: got %v", err)
	}
	if _, err := CopyOut(t.Context(), r.path("none"), r.dst, IsMetadata, source.ExportOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: got %v", err)
	}
}

// asNobody runs the test that calls it once more, as a user whom modes bind, if the present one is not bound by them.
// It reports whether that is done.
func asNobody(t *testing.T) bool {
	t.Helper()
	const nobody = 65534
	if os.Getuid() != 0 {
		return false
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "TMPDIR=/tmp", "TMP=/tmp")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as another user: %v\n%s", err, out)
	}
	return true
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	if asNobody(t) {
		return
	}
	for _, name := range []string{"f", "d"} {
		r := newCopyRig(t)
		if err := os.Chmod(r.path(name), 0); err != nil {
			t.Fatal(err)
		}
		_, err := r.copy(source.ExportOptions{})
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := os.Chmod(r.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTreeThatMayNotBeWrittenIsCopied(t *testing.T) {
	t.Parallel()
	if asNobody(t) {
		return
	}
	r := newCopyRig(t)
	modes := map[string]fs.FileMode{"d/g": 0o400, "run": 0o500, "f": 0o444, "d": 0o555, "empty": 0o500, ".": 0o555}
	for name, mode := range modes {
		if err := os.Chmod(r.path(name), mode); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(r.path(name), 0o755)
	}
	want := testbed.ListDir(t, r.src)
	if _, err := r.copy(source.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	testbed.ListDir(t, r.dst).Same(t, "the copy", want)
	sameTimes(t, r.src, r.dst)
}
