// Package runtest is what the tests of several packages stand on: how much they try, where they write, and how many
// run side by side. Only tests import it.
package runtest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Extent is how much of what could be tried a run of the tests tries, where trying all takes long: every case over
// every server, an error at every operation, and so on.
type Extent int

// The extents. What a smaller one leaves out, a larger one tries.
const (
	Brief  Extent = iota // with -short: a minute and a half for all packages
	Sample               // without: four
	Whole                // if ETCHTAG_TESTS is "all", as CI has it
)

// Asked returns the extent that was asked for.
func Asked() Extent {
	switch {
	case os.Getenv("ETCHTAG_TESTS") == "all":
		return Whole
	case testing.Short():
		return Brief
	}
	return Sample
}

// Long leaves a test out of a brief run.
func Long(t testing.TB) {
	t.Helper()
	if Asked() == Brief {
		t.Skip("it is left out of a brief run")
	}
}

// Pick returns all of a list in a whole run, in a sample at most so many of them, and in a brief run so many: the first,
// the last, and others between them.
func Pick[T any](all []T, sample, brief int) []T {
	n := len(all)
	switch Asked() {
	case Sample:
		n = min(n, sample)
	case Brief:
		n = min(n, brief)
	}
	var picked []T
	for i := range n {
		picked = append(picked, all[i*(len(all)-1)/max(1, n-1)])
	}
	return picked
}

// PickRows is Pick for a table, in the order of its keys.
func PickRows[T any](table map[string]T, sample, brief int) map[string]T {
	picked := map[string]T{}
	for _, key := range Pick(slices.Sorted(maps.Keys(table)), sample, brief) {
		picked[key] = table[key]
	}
	return picked
}

// Main runs a package's tests as Run does, and ends the process.
//
//	func TestMain(m *testing.M) { runtest.Main(m) }
func Main(m *testing.M) { os.Exit(Runner{m}.Run()) }

// Runner is a package's tests, for a TestMain of its own.
type Runner struct{ *testing.M }

// Run runs the tests with their temporary directories in memory, where thousands of syncs wait for no disk, unless
// TMPDIR says where they are to be or the memory is none for that. Because they wait for other programs, and for the
// clock, more of them run side by side than there are processors, unless -parallel says how many.
func (r Runner) Run() int {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		_ = flag.Set("test.parallel", "8")
	}
	if os.Getenv("TMPDIR") == "" {
		if dir := memory("/dev/shm"); dir != "" {
			defer os.RemoveAll(dir)
			os.Setenv("TMPDIR", dir)
		}
	}
	return r.M.Run()
}

// memory makes this process's directory below a file system in memory. It returns an empty path where that is too
// small, or where no program may be run.
func memory(root string) string {
	const needed = 2 << 30
	var fs unix.Statfs_t
	if unix.Statfs(root, &fs) != nil || fs.Type != unix.TMPFS_MAGIC || fs.Flags&unix.ST_NOEXEC != 0 ||
		fs.Bavail*uint64(fs.Bsize) < needed {
		return ""
	}
	const prefix = "etchtag-test-"
	old, _ := filepath.Glob(filepath.Join(root, prefix+"*"))
	for _, dir := range old { // of a process that was killed
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), prefix))
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.RemoveAll(dir)
		}
	}
	dir := filepath.Join(root, prefix+fmt.Sprint(os.Getpid()))
	if os.Mkdir(dir, 0o755) != nil || os.Chmod(dir, 0o755) != nil { // some tests run programs as other users
		return ""
	}
	return dir
}
