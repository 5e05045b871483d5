package lines_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/tagstate/lines"
	"github.com/etch/etchtag/tagstate/lines/linestest"
	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/etch/etchtag/tagstate"
)

// editor edits the file tagstate in a directory of its own.
func editor(t *testing.T) lines.Editor {
	t.Helper()
	dir := t.TempDir()
	return lines.Editor{Path: filepath.Join(dir, "tagstate"), Lock: filepath.Join(dir, "lock")}
}

// put returns a change that replaces everything.
func put(data string) func([]byte) ([]byte, error) {
	return func([]byte) ([]byte, error) { return []byte(data), nil }
}

func write(t *testing.T, path, data string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

func want(t *testing.T, path, data string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != data {
		t.Errorf("%s holds %q (%v), want %q", path, got, err, data)
	}
}

// names are the names in a directory.
func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestEditMakesANewFileWithModesOfItsOwn(t *testing.T) {
	for _, mask := range []int{0, 0o077} {
		t.Run(fmt.Sprintf("umask %03o", mask), func(t *testing.T) {
			defer unix.Umask(unix.Umask(mask))
			e := editor(t)
			err := e.Edit(t.Context(), func(old []byte) ([]byte, error) {
				if old != nil {
					t.Errorf("an absent file holds %q", old)
				}
				return []byte("new\n"), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			want(t, e.Path, "new\n")
			for path, mode := range map[string]fs.FileMode{e.Path: 0o644, e.Lock: 0o600} {
				if info, err := os.Stat(path); err != nil || info.Mode() != mode {
					t.Errorf("%s: %v, %v, want mode %v", path, info, err, mode)
				}
			}
			if diff := cmp.Diff([]string{"lock", "tagstate"}, names(t, filepath.Dir(e.Path))); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEditKeepsModeAndOwner(t *testing.T) {
	e := editor(t)
	write(t, e.Path, "old\n", 0o664)
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 12345, 23456 // another owner can be tried as root only
		if err := os.Chown(e.Path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Edit(t.Context(), put("new\n")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(e.Path)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	if int(stat.Uid) != uid || int(stat.Gid) != gid || info.Mode() != 0o664 {
		t.Errorf("owner %d:%d, mode %v, want %d:%d and 0664", stat.Uid, stat.Gid, info.Mode(), uid, gid)
	}
	want(t, e.Path, "new\n")
}

func TestEditReplacesTheFileSoThatReadersKeepWhatTheyOpened(t *testing.T) {
	e := editor(t)
	write(t, e.Path, "old\n", 0o644)
	reader, err := os.Open(e.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := e.Edit(t.Context(), put("new\n")); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(reader); err != nil || got.String() != "old\n" {
		t.Errorf("an open reader sees %q, %v", &got, err)
	}
}

func TestEditFollowsLinks(t *testing.T) {
	e := editor(t)
	dir := filepath.Join(filepath.Dir(e.Path), "shared")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "marks"), "old\n", 0o644)
	if err := os.Symlink("shared/marks", e.Path); err != nil {
		t.Fatal(err)
	}
	if err := e.Edit(t.Context(), put("new\n")); err != nil {
		t.Fatal(err)
	}
	want(t, filepath.Join(dir, "marks"), "new\n")
	if to, err := os.Readlink(e.Path); to != "shared/marks" {
		t.Errorf("the link is %q, %v", to, err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left over: %q", got)
	}
}

func TestEditWritesNothingIfNothingChanges(t *testing.T) {
	for name, old := range map[string]*string{"absent": nil, "empty": new(string), "some": ptr("old\n")} {
		t.Run(name, func(t *testing.T) {
			e := editor(t)
			if old != nil {
				write(t, e.Path, *old, 0o644)
			}
			before, _ := os.Stat(e.Path)
			var steps []string
			e.Step = func(label string) error { steps = append(steps, label); return nil }
			err := e.Edit(t.Context(), func(old []byte) ([]byte, error) { return slices.Clone(old), nil })
			if err != nil {
				t.Fatal(err)
			}
			if after, _ := os.Stat(e.Path); (old != nil) != (after != nil) || old != nil && !os.SameFile(before, after) {
				t.Error("the file was replaced")
			}
			if diff := cmp.Diff([]string{"lock tagstate"}, steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func ptr(s string) *string { return &s }

func TestEditSweepsWhatKilledEditorsLeft(t *testing.T) {
	e := editor(t)
	dir := filepath.Dir(e.Path)
	others := []string{".tagstate.etchtag-", ".tagstate.etchtag-12x", ".tagstate.swp", ".xtagstate.etchtag-1", "tagstate~"}
	for _, name := range append(others, ".tagstate.etchtag-123", ".tagstate.etchtag-4") {
		write(t, filepath.Join(dir, name), "half", 0o600)
	}
	if err := e.Edit(t.Context(), put("new\n")); err != nil {
		t.Fatal(err)
	}
	expected := append(others, "lock", "tagstate")
	slices.Sort(expected)
	if diff := cmp.Diff(expected, names(t, dir)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestEditFailsWhole(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		prepare func(t *testing.T, e *lines.Editor)
		is      error
	}{
		"the change fails": {is: broken},
		"the file is a directory": {prepare: func(t *testing.T, e *lines.Editor) {
			e.Path = t.TempDir()
		}},
		"the file is a dangling link": {prepare: func(t *testing.T, e *lines.Editor) {
			e.Path = filepath.Join(t.TempDir(), "link")
			if err := os.Symlink("nowhere", e.Path); err != nil {
				t.Fatal(err)
			}
		}},
		"the lock has no directory": {is: fs.ErrNotExist, prepare: func(t *testing.T, e *lines.Editor) {
			e.Lock = filepath.Join(filepath.Dir(e.Lock), "none", "lock")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := editor(t)
			write(t, e.Path, "old\n", 0o644)
			original := e.Path
			if test.prepare != nil {
				test.prepare(t, &e)
			}
			err := e.Edit(t.Context(), func([]byte) ([]byte, error) { return []byte("half"), broken })
			if err == nil || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("got %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), e.Path) {
				t.Errorf("%q does not name %s", err, e.Path)
			}
			want(t, original, "old\n")
		})
	}
}

func TestAFaultAtAnyStepLeavesTheOldFileOrTheNewOne(t *testing.T) {
	setUp := func(t *testing.T) lines.Editor {
		e := editor(t)
		write(t, e.Path, "old\n", 0o664)
		write(t, filepath.Join(filepath.Dir(e.Path), ".tagstate.etchtag-1"), "half", 0o600)
		if os.Getuid() == 0 {
			if err := os.Chown(e.Path, 12345, 23456); err != nil {
				t.Fatal(err)
			}
		}
		return e
	}
	var labels []string
	e := setUp(t)
	e.Step = func(label string) error { labels = append(labels, label); return nil }
	if err := e.Edit(t.Context(), put("new\n")); err != nil {
		t.Fatal(err)
	}
	expected := []string{"lock tagstate", "sweep tagstate", "create tagstate", "write tagstate", "chown tagstate",
		"chmod tagstate", "sync tagstate", "rename tagstate", "sync directory of tagstate"}
	if os.Getuid() != 0 {
		expected = slices.Delete(expected, 4, 5) // no change of owner
	}
	if diff := cmp.Diff(expected, labels); diff != "" {
		t.Fatalf("steps (-want +got):\n%s", diff)
	}

	fault := errors.New("fault")
	for _, at := range labels {
		t.Run(at, func(t *testing.T) {
			e := setUp(t)
			e.Step = func(label string) error {
				if label == at {
					return fault
				}
				return nil
			}
			err := e.Edit(t.Context(), put("new\n"))
			data, left := "old\n", []string{"lock", "tagstate"}
			switch at {
			case "lock tagstate":
				left = []string{".tagstate.etchtag-1", "tagstate"}
			case "sweep tagstate": // in nobody's way
				data, left = "new\n", []string{".tagstate.etchtag-1", "lock", "tagstate"}
			case "sync directory of tagstate":
				data = "new\n"
			}
			if failed := at != "sweep tagstate"; errors.Is(err, fault) != failed {
				t.Errorf("the error is %v", err)
			}
			want(t, e.Path, data)
			if diff := cmp.Diff(left, names(t, filepath.Dir(e.Path))); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}

			e.Step = nil
			if err := e.Edit(t.Context(), put("newer\n")); err != nil {
				t.Errorf("the next edit: %v", err)
			}
			want(t, e.Path, "newer\n")
			if diff := cmp.Diff([]string{"lock", "tagstate"}, names(t, filepath.Dir(e.Path))); diff != "" {
				t.Errorf("names after the next edit (-want +got):\n%s", diff)
			}
		})
	}
}

func TestADeadEditorsTemporaryFileIsSweptByTheNext(t *testing.T) {
	e := editor(t)
	dead := errors.New("dead")
	alive := true
	e.Step = func(label string) error { // from the rename on nothing is done any more
		if alive = alive && label != "rename tagstate"; !alive {
			return dead
		}
		return nil
	}
	if err := e.Edit(t.Context(), put("new\n")); !errors.Is(err, dead) {
		t.Fatalf("got %v", err)
	}
	if got := names(t, filepath.Dir(e.Path)); len(got) != 2 || got[1] != "lock" {
		t.Fatalf("a dead editor leaves its temporary file: there are %q", got)
	}
	e.Step = nil
	if err := e.Edit(t.Context(), put("newer\n")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"lock", "tagstate"}, names(t, filepath.Dir(e.Path))); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestEditIsBusyWhileAnotherHoldsTheLock(t *testing.T) {
	e := editor(t)
	other := flock.New(e.Lock)
	if ok, err := other.TryLock(); !ok {
		t.Fatal(err)
	}
	for _, wait := range []time.Duration{0, 30 * time.Millisecond} {
		e.Wait = wait
		if err := e.Edit(t.Context(), put("new\n")); !errors.Is(err, lines.ErrBusy) {
			t.Errorf("waiting %v: %v", wait, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Edit(cancelled, put("new\n")); !errors.Is(err, context.Canceled) || errors.Is(err, lines.ErrBusy) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := os.Stat(e.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file: %v", err)
	}
	if err := other.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := e.Edit(t.Context(), put("new\n")); err != nil {
		t.Errorf("after the other has gone: %v", err)
	}
}

func TestWhileOneHoldsTheLockNobodyEdits(t *testing.T) {
	e := editor(t)
	fault := errors.New("fault")
	held := func() error {
		if err := e.Edit(t.Context(), put("new\n")); !errors.Is(err, lines.ErrBusy) {
			t.Errorf("an edit meanwhile: %v", err)
		}
		if err := e.Hold(t.Context(), func() error { return nil }); !errors.Is(err, lines.ErrBusy) {
			t.Errorf("another one that wants to hold it: %v", err)
		}
		return fault
	}
	if err := e.Hold(t.Context(), held); err != fault {
		t.Error(err)
	}
	if err := e.Edit(t.Context(), put("new\n")); err != nil {
		t.Errorf("an edit after that: %v", err)
	}
}

func TestALinkedLockIsNotFollowed(t *testing.T) {
	e := editor(t)
	target := filepath.Join(t.TempDir(), "made")
	if err := os.Symlink(target, e.Lock); err != nil {
		t.Fatal(err)
	}
	if err := e.Edit(t.Context(), put("new\n")); err == nil {
		t.Error("no error")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("a file was made where the link leads to")
	}
}

func TestEditWaitsForTheLock(t *testing.T) {
	e := editor(t)
	e.Wait = time.Hour
	other := flock.New(e.Lock)
	if ok, err := other.TryLock(); !ok {
		t.Fatal(err)
	}
	done := make(chan error)
	e.Step = func(label string) error {
		if label == "lock tagstate" {
			go other.Unlock()
		}
		return nil
	}
	go func() { done <- e.Edit(context.Background(), put("new\n")) }()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want(t, e.Path, "new\n")
}

func TestTheLockIsNotInheritedByChildren(t *testing.T) {
	e := editor(t)
	err := e.Edit(t.Context(), func([]byte) ([]byte, error) {
		out, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
		if bytes.Contains(out, []byte(e.Lock)) {
			t.Errorf("a child has the lock open:\n%s", out)
		}
		return nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentEditorsLoseNoChange(t *testing.T) {
	e := editor(t)
	e.Wait = time.Hour
	var group sync.WaitGroup
	for hour := range 12 {
		group.Go(func() {
			change := tagstate.Change{Tag: linestest.Tag(hour), State: tagstate.Bad}
			err := e.Edit(t.Context(), func(old []byte) ([]byte, error) {
				return tagstate.Apply(old, []tagstate.Change{change}, linestest.Valid)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	f, err := tagstate.Load(e.Path, "tagstate", linestest.Valid)
	if err != nil || len(f.Entries) != 12 || len(f.Warnings) != 0 {
		t.Errorf("got %v, %v", f, err)
	}
}

// child, if it is set, makes the test binary read or edit files and say what came of it.
const child = "TAGSTATE_TEST_CHILD"

func TestMain(m *testing.M) {
	words := strings.Fields(os.Getenv(child))
	if len(words) == 0 {
		os.Exit(m.Run())
	}
	for _, path := range words[1:] {
		if words[0] == "edit" {
			err := lines.Editor{Path: path, Lock: path + ".lock"}.Edit(context.Background(), put("new\n"))
			fmt.Printf("permission %v\n", errors.Is(err, fs.ErrPermission))
		} else {
			data, err := lines.Read(path)
			fmt.Printf("data %q permission %v\n", data, errors.Is(err, fs.ErrPermission))
		}
	}
}

// asNobody runs this test binary as an unprivileged user.
func asNobody(t *testing.T, what string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	binary := filepath.Join(t.TempDir(), "tagstate.test") // go test's own directory is not open to others
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, data, 0o755); err != nil {
		t.Fatal(err)
	}
	open(t, filepath.Dir(binary))
	cmd := exec.Command(binary)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), child+"="+what)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) && os.Getenv("CI") != "true" {
		t.Skipf("another user cannot run programs in %s: %v", os.TempDir(), err)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// open lets everybody into a temporary directory of a test, and into the one above, which testing makes for all of
// the test's and closes to others.
func open(t *testing.T, dir string) {
	t.Helper()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFileWithoutPermissionIsAFailureAndNotAnEmptyFile(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	secret := filepath.Join(dir, "tagstate")
	write(t, secret, "x", 0o600)
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Join(closed, "tagstate") // absent, which its reader cannot know
	readable := filepath.Join(dir, "readable")
	write(t, readable, "x", 0o644)

	got := asNobody(t, "read "+secret+" "+hidden+" "+readable)
	want := `data "" permission true
data "" permission true
data "x" permission false
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEditAsAUserWhoCannotKeepTheOwnerFailsWhole(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "tagstate")
	write(t, path, "old\n", 0o666)
	if got := asNobody(t, "edit "+path); got != "permission true\n" {
		t.Error(got)
	}
	want(t, path, "old\n")
	if diff := cmp.Diff([]string{"tagstate", "tagstate.lock"}, names(t, dir)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("file"), "x", 0o644)
	write(t, at("empty"), "", 0o644)
	for _, err := range []error{
		os.Mkdir(at("directory"), 0o755),
		unix.Mkfifo(at("fifo"), 0o644),
		os.Symlink("file", at("link")),
		os.Symlink("nowhere", at("dangling")),
		os.Symlink("loop", at("loop")),
		os.Symlink("directory", at("trunk")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]struct {
		data string
		nil  bool
		err  bool
	}{
		"file":               {data: "x"},
		"empty":              {data: ""},
		"link":               {data: "x"},
		"absent":             {nil: true},
		"absent/absent":      {nil: true},
		"directory/absent":   {nil: true},
		"trunk/absent":       {nil: true},
		"directory":          {err: true},
		"trunk":              {err: true},
		"fifo":               {err: true},
		"dangling":           {err: true},
		"dangling/tagstate":  {err: true},
		"dangling/sub/state": {err: true},
		"loop":               {err: true},
		"file/tagstate":      {err: true},
		"../../../../../../../../../../../../dev/zero": {err: true},
	} {
		data, err := lines.Read(at(name))
		if string(data) != want.data || (err != nil) != want.err || (data == nil) != (want.nil || want.err) {
			t.Errorf("%s: got %q, %v", name, data, err)
		}
		if err != nil && !strings.Contains(err.Error(), filepath.Clean(at(name))) {
			t.Errorf("%s: %q does not name it", name, err)
		}
		file, err := tagstate.Load(at(name), "tagstate", linestest.Valid)
		if (err != nil) != want.err || (file == nil) != want.err {
			t.Errorf("Load(%s): got %v, %v", name, file, err)
		}
	}
}
