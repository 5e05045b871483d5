package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"golang.org/x/sys/unix"
)

// filesBelow returns the paths of all that is no directory.
func filesBelow(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// needRoot skips a test that only root can make, but not in CI.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("this test needs root")
	}
	t.Skip("only root can do this")
}

// The environment variables that make this test binary another process of a test.
const (
	staleChildDoes = "INVENTORY_STALE_CHILD"
	staleChildDir  = "INVENTORY_STALE_DIR"
)

// TestStaleChild is no test of its own, but what other tests run in a process of its own: "hammer N", or "ask",
// which prints the answer's notes, and the error of asking again when the inventory fails.
func TestStaleChild(t *testing.T) {
	what, dir := os.Getenv(staleChildDoes), os.Getenv(staleChildDir)
	if what == "" {
		return
	}
	if n, found := strings.CutPrefix(what, "hammer "); found {
		seed, err := strconv.Atoi(n)
		if err == nil {
			err = hammer(dir, seed)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	r := newStaleRig(dir)
	r.says(webAnswer)
	a, err := r.lookup(t.Context(), "h")
	fmt.Println("good:", a.Known, a.Notes, err)
	r.fails()
	a, err = r.lookup(t.Context(), "h")
	fmt.Println("down:", a.Known, a.Notes, err)
}

// staleChild prepares to run TestStaleChild of the given test binary.
func staleChild(binary, dir, what string) *exec.Cmd {
	cmd := exec.Command(binary, "-test.run=^TestStaleChild$")
	cmd.Env = append(os.Environ(), staleChildDoes+"="+what, staleChildDir+"="+dir,
		"GORACE=atexit_sleep_ms=0") // else it waits for a second in the end
	return cmd
}

// openBinary copies this test binary to where others can run it, because go test's own directory is closed to them.
func openBinary(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "inventory.test")
	if err := os.WriteFile(binary, data, 0o755); err != nil {
		t.Fatal(err)
	}
	letOthersIn(t, filepath.Dir(binary))
	return binary
}

// askAsNobody runs TestStaleChild as an unprivileged user, and returns what it prints.
func askAsNobody(t *testing.T, binary, dir string) string {
	t.Helper()
	cmd := staleChild(binary, dir, "ask")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// letOthersIn opens a temporary directory of a test, and the one above, which testing makes for all of them.
func letOthersIn(t *testing.T, dir string) {
	t.Helper()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Error(err)
		}
	}
}

const nobody = 65534

func TestServerUserNeedsOnlyTheCache(t *testing.T) {
	needRoot(t)
	binary := openBinary(t)
	tests := []struct {
		name     string
		owner    int
		mode     os.FileMode
		recorded bool
	}{
		{"its own directory", nobody, 0o755, true},
		{"one where all may make theirs", 0, 0o777 | os.ModeSticky, true},
		{"root's directory", 0, 0o755, false},
		{"one that it cannot enter", 0, 0o700, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			letOthersIn(t, dir)
			if err := errors.Join(os.Chown(dir, test.owner, test.owner), os.Chmod(dir, test.mode)); err != nil {
				t.Fatal(err)
			}
			out := askAsNobody(t, binary, dir)
			good, down := "good: true [] <nil>\n", "down: true [this was answered 0s ago"
			if !test.recorded {
				good, down = "good: true [this answer could not be recorded: ", "down: false [] the server"
			}
			if !strings.Contains(out, good) || !strings.Contains(out, down) {
				t.Errorf("got %s", out)
			}
		})
	}
}

func TestUsersHaveAnswersOfTheirOwn(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	letOthersIn(t, dir)
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if out := askAsNobody(t, openBinary(t), dir); !strings.Contains(out, "good: true [] ") {
		t.Fatal(out)
	}
	r := newStaleRig(dir)
	r.fails()
	a, err := r.lookup(t.Context(), "h")
	checkNone(t, a, err, "none is recorded")
}

// TestPlantedAnswersAreNotServed has somebody else touch what has been recorded.
func TestPlantedAnswersAreNotServed(t *testing.T) {
	tests := []struct {
		name  string
		root  bool // only root can arrange it
		plant func(user, shard, file string) error
		why   string
		again bool // the next good answer is recorded in its place
	}{
		{"a directory of another user", true, func(user, _, _ string) error { return os.Chown(user, nobody, 0) },
			"it belongs to user 65534", false},
		{"a shard of another user", true, func(_, shard, _ string) error { return os.Chown(shard, nobody, 0) },
			"it belongs to user 65534", false},
		{"a file of another user", true, func(_, _, file string) error { return os.Chown(file, nobody, 0) },
			"it belongs to user 65534", true},
		{"a directory that all may write", false, func(user, _, _ string) error { return os.Chmod(user, 0o777) },
			"others may write it", false},
		{"a directory that the group may write", false, func(user, _, _ string) error { return os.Chmod(user, 0o770) },
			"others may write it", false},
		{"a file that all may write", false, func(_, _, file string) error { return os.Chmod(file, 0o666) },
			"others may write it", true},
		{"a link in place of the directory", false, func(user, _, _ string) error { return moveAndLink(user) },
			"not a directory", false},
		{"a link in place of a shard", false, func(_, shard, _ string) error { return moveAndLink(shard) },
			"not a directory", false},
		{"a link in place of a file", false, func(_, _, file string) error { return moveAndLink(file) },
			"too many levels", true},
		{"a second name of a file", false, func(user, _, file string) error { return os.Link(file, user+"/other") },
			"it has 2 names", true},
		{"a pipe", false, func(_, _, file string) error {
			return errors.Join(os.Remove(file), unix.Mkfifo(file, 0o600))
		},
			"no regular file", true},
		{"a directory in place of a file", false, func(_, _, file string) error {
			return errors.Join(os.Remove(file), os.Mkdir(file, 0o700))
		},
			"no regular file", false},
		{"a file in place of the directory", false, func(user, _, _ string) error {
			return errors.Join(os.RemoveAll(user), os.WriteFile(user, nil, 0o600))
		}, "not a directory", false},
		{"another host's answer", false, func(_, _, file string) error { return plantRecord(file, "cmdb 1", "h2") },
			`that of "h2" in "cmdb 1"`, true},
		{"another inventory's answer", false, func(_, _, file string) error { return plantRecord(file, "cmdb 2", "h") },
			`that of "h" in "cmdb 2"`, true},
		{"a torn answer", false, func(_, _, file string) error { return os.Truncate(file, 150) }, "its checksum is wrong", true},
		{"an empty file", false, func(_, _, file string) error { return os.Truncate(file, 0) }, "not a record", true},
		{"a huge file", false, func(_, _, file string) error { return os.Truncate(file, 1<<40) }, "not a record", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.root {
				needRoot(t)
			}
			r := newStaleRig(t.TempDir())
			r.says(webAnswer)
			mustLookup(t, WithStale(r.inner, r.options), "h")
			user := filepath.Join(r.options.Dir, strconv.Itoa(os.Geteuid()))
			id := recordID("cmdb 1", "h")
			if err := test.plant(user, filepath.Join(user, id[:2]), filepath.Join(user, id[:2], id[2:])); err != nil {
				t.Fatal(err)
			}
			r.fails()
			a, err := r.lookup(t.Context(), "h")
			checkNone(t, a, err, test.why)
			r.says(webAnswer)
			if a, err := r.lookup(t.Context(), "h"); err != nil || !a.Known || (len(a.Notes) == 0) != test.again {
				t.Errorf("a good answer after that: %+v, %v", a, err)
			}
			r.fails()
			if a, err := r.lookup(t.Context(), "h"); (err == nil) != test.again {
				t.Errorf("an earlier answer after that: %+v, %v", a, err)
			}
		})
	}
}

// moveAndLink puts a symbolic link in the place of what it then leads to.
func moveAndLink(path string) error {
	return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
}

// plantRecord overwrites a file with a valid record.
func plantRecord(file, inventory, host string) error {
	data, err := newRecord(inventory, host, newStaleRig("").now, webAnswer).encode()
	return errors.Join(err, os.WriteFile(file, data, 0o600))
}

func TestCacheDirectoryThatIsALinkIsFollowed(t *testing.T) {
	link := filepath.Join(t.TempDir(), "cache")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	r := newStaleRig(link)
	r.says(webAnswer)
	mustLookup(t, WithStale(r.inner, r.options), "h")
	r.fails()
	a, err := r.lookup(t.Context(), "h")
	checkServed(t, a, err, webAnswer, "0s")
}

func TestCacheDirectoryThatIsNotThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	inventorytest.WriteFile(t, dir+".file", "")
	for dir, why := range map[string]string{
		dir: "no such file or directory", "": "no such file", dir + ".file": "not a directory",
	} {
		r := newStaleRig(dir)
		r.says(webAnswer)
		a, err := r.lookup(t.Context(), "h")
		if err != nil || !a.Known || len(a.Notes) != 1 || !strings.Contains(a.Notes[0], why) {
			t.Errorf("%q: %+v, %v", dir, a, err)
		}
		r.fails()
		a, err = r.lookup(t.Context(), "h")
		checkNone(t, a, err, why)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}

func TestNothingRecordedIsOpenToOthers(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	r := newStaleRig(t.TempDir())
	r.says(webAnswer)
	mustLookup(t, WithStale(r.inner, r.options), "h")
	err := filepath.WalkDir(r.options.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == r.options.Dir {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecordsAreBoundedAndTheOldestGo(t *testing.T) {
	dir := t.TempDir()
	store := answerStore{dir: dir, shardSize: 3}
	name := func(n int) string { return "ab" + fmt.Sprintf("%062d", n) }
	shard := filepath.Join(dir, strconv.Itoa(os.Geteuid()), "ab")
	for n := range 10 {
		if err := store.save(name(n), []byte{byte(n)}); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(1000+n), 0)
		if n == 0 {
			at = time.Unix(9999, 0) // written again and again
		}
		if err := os.Chtimes(filepath.Join(shard, name(n)[2:]), at, at); err != nil {
			t.Fatal(err)
		}
		if n == 4 { // what a killed process has left counts, and goes, too
			left := filepath.Join(shard, "new-LEFT")
			inventorytest.WriteFile(t, left, "")
			if err := os.Chtimes(left, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	files := filesBelow(t, dir)
	var want []string
	for _, n := range []int{0, 8, 9} {
		want = append(want, filepath.Join(shard, name(n)[2:]))
	}
	if !slices.Equal(files, want) {
		t.Errorf("got %q", files)
	}
	if err := store.save(name(8), []byte("x")); err != nil || len(filesBelow(t, dir)) != 3 {
		t.Errorf("a record that is there needs no room: %q, %v", filesBelow(t, dir), err)
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,nr_inodes=100"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("cannot mount a tmpfs: %v", err)
		}
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	defer unix.Unmount(dir, 0)
	r := newStaleRig(dir)
	r.says(webAnswer)
	for _, host := range []string{"same", "changed"} {
		mustLookup(t, WithStale(r.inner, r.options), host)
	}
	if err := os.WriteFile(filepath.Join(dir, "full"), make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	r.now = r.now.Add(2 * time.Hour)
	change := Answer{Known: true, Groups: []string{"dev"}}
	for _, host := range []string{"same", "new", "changed"} { // the last one, removed, makes room
		r.says(change)
		if host == "same" {
			r.says(webAnswer)
		}
		a, err := r.lookup(t.Context(), host)
		if err != nil || !a.Known || len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "no space left on device") {
			t.Errorf("%s: %+v, %v", host, a, err)
		}
		r.fails()
		a, err = r.lookup(t.Context(), host)
		if host == "same" {
			checkServed(t, a, err, webAnswer, "2h0m0s")
		} else {
			checkNone(t, a, err, "none is recorded")
		}
	}
	if err := os.Remove(filepath.Join(dir, "full")); err != nil {
		t.Fatal(err)
	}
	r.says(change)
	mustLookup(t, WithStale(r.inner, r.options), "changed")
	r.fails()
	a, err := r.lookup(t.Context(), "changed")
	checkServed(t, a, err, change, "0s")
}
