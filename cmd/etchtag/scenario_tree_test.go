package main

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" // git names objects by their SHA-1
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/etch/etchtag/snapshot/runtest"
)

// TestScenario14SomeoneEditsATag edits tags in place, and makes them immutable, on a file system without reflinks and
// on the two with.
func TestScenario14SomeoneEditsATag(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	for kind, reflinks := range map[string]bool{"ext4": false, "btrfs": true, "xfs": true} {
		t.Run(kind, func(t *testing.T) {
			needPrograms(t, "chattr", "filefrag")
			s := newScenario(t, loopMount(t, kind, 320), oneRing, "tags: {keep: {within: 2h, last: 1}}")
			s.sh("cd up && head -c 300000 /dev/urandom >source/large && git add -A && git commit -qm large")
			for hour := 1; hour <= 8; hour++ {
				s.snapshot(exitDone, hour, "--no-prune")
			}
			for _, hour := range []int{2, 7} {
				if got := strings.Contains(s.sh("filefrag -v base/tags/"+hourTag(hour)+"/source/large"), "shared"); got != reflinks {
					t.Errorf("%s shares its blocks with another tag: %v", hourTag(hour), got)
				}
			}
			s.editTags()
			s.immutableTags()
			s.recovers(12)
		})
	}
}

// editTags edits one tag in each way that there is, and then the newest.
func (s *scenario) editTags() {
	s.t.Helper()
	before := s.tags()
	s.sh("cd base/tags/" + hourTag(6) + ` && echo x >>nodes.yml && printf changed | dd of=source/large bs=1 seek=5000 conv=notrunc status=none &&
		sed -i s/1/2/ defaults.yml && chmod 0600 nodegroups.yml && rm nodegrouper && ln -sf /etc/passwd source/etc/link && touch source/new`)
	drift := s.exits(exitDrift, "verify")
	for _, file := range []string{"changed +nodes.yml", "changed +source/large", "changed +defaults.yml", "mode +nodegroups.yml",
		"missing +nodegrouper", "link +source/etc/link", "extra +source/new"} {
		drift.says("^" + hourTag(6) + " +" + file)
	}
	now := s.tags()
	for name, files := range before {
		if name == hourTag(6) {
			continue
		}
		if strings.Contains(drift.stdout, name) || !maps.Equal(now[name], files) {
			s.t.Errorf("%s is another one now: %q; verify says %s", name, now[name], drift.stdout)
		}
	}
	s.exits(exitDone, "verify", "--repair")
	s.same(before)

	s.sh("cd base/tags/" + hourTag(8) + " && printf changed | dd of=source/large bs=1 seek=5000 conv=notrunc status=none && echo x >>nodes.yml")
	s.snapshot(exitDone, 9, "--no-prune") // unchanged files come from the tag before, but for these
	s.isUpstream(hourTag(9))
	s.exits(exitDrift, "verify").says("^"+hourTag(8)+" +changed +source/large", "^"+hourTag(8)+" +changed +nodes.yml")
	s.exits(exitDone, "verify", "--repair")
	s.intact(before)
}

// immutableTags makes a tag immutable, and a file in another, both of which prune is to remove.
func (s *scenario) immutableTags() {
	s.t.Helper()
	before := s.tags()
	s.sh("chattr +i base/tags/" + hourTag(1) + " base/tags/" + hourTag(2) + "/source/etc/motd")
	s.exits(exitIncomplete, "prune", "--rehearse", hourAt(9)).says(hourTag(1)+".*operation not permitted",
		hourTag(2)+".*operation not permitted")
	now := s.tags()
	want := []string{hourTag(1), hourTag(7), hourTag(8), hourTag(9)}
	if got := slices.Sorted(maps.Keys(now)); !slices.Equal(got, want) {
		s.t.Errorf("prune left %q", got)
	}
	for name, files := range now {
		if !maps.Equal(files, before[name]) {
			s.t.Errorf("%s is another one now: %q", name, files)
		}
	}
	s.exits(exitDone, "verify")
	s.statusSays(9, "debris", hourTag(2))
	if got := s.gets(9, "dev1.example.com"); got != "tags/"+hourTag(9) {
		s.t.Errorf("a host gets %q", got)
	}
	s.snapshot(exitIncomplete, 10).says("^made "+hourTag(10), hourTag(2)+".*operation not permitted") // which goes on all the same
	s.sh("chattr -i base/tags/" + hourTag(1) + " base/tags/.etchtag/trash/" + hourTag(2) + "/source/etc/motd")
	s.snapshot(exitDone, 11)
	if s.tags()[hourTag(1)] != nil {
		s.t.Errorf("%s was not removed", hourTag(1))
	}
	s.clean()
}

// hostileEntry is an entry of a git tree.
type hostileEntry struct {
	mode, name string
	object     [sha1.Size]byte
}

// gitObject writes an object of any form into the scenario's upstream, as git would refuse to.
func (s *scenario) gitObject(kind string, data []byte) (name [sha1.Size]byte) {
	s.t.Helper()
	raw := fmt.Appendf(nil, "%s %d\x00%s", kind, len(data), data)
	name = sha1.Sum(raw)
	digits := fmt.Sprintf("%x", name)
	file := filepath.Join(s.dir, "up/.git/objects", digits[:2], digits[2:])
	must(s.t, os.MkdirAll(filepath.Dir(file), 0o755))
	var packed bytes.Buffer
	if s.deflate == nil {
		s.deflate = zlib.NewWriter(&packed) // which takes much memory, once
	}
	s.deflate.Reset(&packed)
	_, err := s.deflate.Write(raw)
	must(s.t, err)
	must(s.t, s.deflate.Close())
	must(s.t, os.WriteFile(file, packed.Bytes(), 0o644))
	return name
}

// gitTree writes a tree in which anything may stand.
func (s *scenario) gitTree(entries ...hostileEntry) (name [sha1.Size]byte) {
	s.t.Helper()
	var data []byte
	for _, e := range entries {
		data = fmt.Appendf(data, "%s %s\x00%s", e.mode, e.name, e.object[:])
	}
	return s.gitObject("tree", data)
}

// push makes a tree upstream's newest revision.
func (s *scenario) push(tree [sha1.Size]byte) {
	s.t.Helper()
	ref := filepath.Join(s.dir, "up/.git/refs/heads/main")
	parent, err := os.ReadFile(ref)
	must(s.t, err)
	commit := s.gitObject("commit", fmt.Appendf(nil, "tree %x\nparent %sauthor A <a@example.com> 1795000000 +0000\n"+
		"committer A <a@example.com> 1795000000 +0000\n\nhostile\n", tree, parent))
	must(s.t, os.WriteFile(ref, fmt.Appendf(nil, "%x\n", commit), 0o644))
}

// outside describes everything in the scenario's directory but upstream, the working copy and the tags.
func (s *scenario) outside() string {
	s.t.Helper()
	return s.sh(`find . \( -path ./up -o -path ./base/trunk -o -path ./base/tags \) -prune -o -type d -printf '%p %M\n' -o -printf '%p %M %s %T@ %l\n' | sort`)
}

const ( // modes in git's trees
	gitFile = "100644"
	gitLink = "120000"
	gitDir  = "40000"
)

// hostileTree is one that is refused.
type hostileTree struct {
	what  string
	tree  [sha1.Size]byte
	names string // a pattern by which the error names what is refused
}

func (s *scenario) hostileTrees() []hostileTree {
	file := s.gitObject("blob", []byte("hostile\n"))
	link := s.gitObject("blob", []byte(s.dir+"/outside"))
	inner := s.gitTree(hostileEntry{gitFile, "file", file})
	one := func(mode, name string, object [sha1.Size]byte) [sha1.Size]byte {
		return s.gitTree(hostileEntry{mode, name, object})
	}
	trees := []hostileTree{
		{what: "a link and a directory", tree: s.gitTree(hostileEntry{gitLink, "d", link}, hostileEntry{gitDir, "d", inner}), names: `"d"`},
		{what: "a directory and a link", tree: s.gitTree(hostileEntry{gitDir, "d", inner}, hostileEntry{gitLink, "d", link}), names: `"d"`},
		{what: "two of one name", tree: s.gitTree(hostileEntry{gitFile, "x", file}, hostileEntry{gitFile, "x", link}), names: `"x"`},
		{what: "a name of 300 bytes", tree: one(gitFile, strings.Repeat("n", 300), file), names: `nnn`},
		{what: "a link of 5000 bytes", tree: one(gitLink, "endless", s.gitObject("blob", bytes.Repeat([]byte("x"), 5000))), names: `endless`},
		{what: "an empty link", tree: one(gitLink, "hollow", s.gitObject("blob", nil)), names: `hollow`},
		{what: "a link with a NUL", tree: one(gitLink, "nul", s.gitObject("blob", []byte("a\x00b"))), names: `nul`},
		{what: "a file with setuid", tree: one("104755", "setuid", file), names: `setuid`},
		{what: "a fifo", tree: one("010644", "fifo", file), names: `fifo`},
		{what: "a directory that is a file", tree: one(gitDir, "a", file), names: fmt.Sprintf("%x", file)},
		{what: "a file that is a directory", tree: one(gitFile, "a", inner), names: fmt.Sprintf("%x", inner)},
	}
	for _, name := range []string{"", ".", "..", ".git", "../outside/x", "a/../../../../outside/x", s.dir + "/outside/x"} {
		quoted := regexp.QuoteMeta(fmt.Sprintf("%q", name))
		trees = append(trees, hostileTree{what: fmt.Sprintf("a file %q", name), tree: one(gitFile, name, file), names: quoted},
			hostileTree{what: fmt.Sprintf("a directory %q in a directory", name),
				tree: one(gitDir, "sub", s.gitTree(hostileEntry{gitLink, "a", link}, hostileEntry{gitDir, name, inner})), names: "sub/"})
	}
	return trees
}

// oddNames are names that look hostile, and are taken as they are.
var oddNames = []string{"a\nb", "\n", "-rf", "$(touch x)", "`id`", "a;b", "*", "?", `a\b`, `..\x`, "...", "~", "#x#", "a b ", " ", "\t",
	"\x01", "\x7f", "\xff\xfe", "\xc3\x28", "é", "e\u0301", "\u202egpj", "\u200b", ".g\u200cit", ".GIT", "git~1", ".git ", ".git.",
	".git::$INDEX_ALLOCATION", "CON", "aux.txt", "A", "a", "README", "readme", "tagstate", "etchtag.yml", ".etchtag", strings.Repeat("n", 255)}

// TestScenario15HostileTree gives git and a plain tree everything that a tree can have. What is refused is named, and
// what is not is written as it is; outside the staging directory and the working copy nothing is ever written.
func TestScenario15HostileTree(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	t.Run("git refused", hostileGitTrees)
	t.Run("git taken", oddGitTrees)
	t.Run("dir refused", hostileDirs)
	t.Run("dir taken", oddDirs)
}

// hostile is a scenario in which a file stands outside of everything.
func hostile(t *testing.T, config ...string) *scenario {
	s := newScenario(t, "", config...)
	s.sh("mkdir outside base/trunk base/tags && echo untouched >outside/file")
	s.configure(append(config, oneRing)...)
	return s
}

func hostileGitTrees(t *testing.T) {
	s := hostile(t)
	s.snapshot(exitDone, 0)
	want := s.tags()[hourTag(0)]
	trunk, outside := treeFiles(t, s.base.Trunk()), s.outside()
	ref := filepath.Join(s.dir, "up/.git/refs/heads/main")
	head, err := os.ReadFile(ref)
	must(t, err)
	hour := 0
	refused := func(h hostileTree) {
		s.push(h.tree)
		hour++
		o := s.run("snapshot", "--no-prune", "--rehearse", hourAt(hour))
		if made := s.tags()[hourTag(hour)]; o.code != exitIncomplete || !maps.Equal(made, want) {
			t.Errorf("%s: exit status %d, made %q: %.1000s", h.what, o.code, made, o.stderr)
		}
		if !regexp.MustCompile(`(?s)` + h.names).MatchString(o.stderr) {
			t.Errorf("%s: it is not named: %.1000s", h.what, o.stderr)
		}
		if now := treeFiles(t, s.base.Trunk()); !maps.Equal(now, trunk) {
			t.Errorf("%s: the working copy has %q", h.what, now)
		}
		if now := s.outside(); now != outside {
			t.Errorf("%s: outside there was\n%s, and is now\n%s", h.what, outside, now)
		}
		must(t, os.WriteFile(ref, head, 0o644))
	}
	for _, h := range s.hostileTrees() {
		refused(h)
	}
	deep := s.gitTree(hostileEntry{gitFile, "file", s.gitObject("blob", nil)})
	for range 10_000 {
		deep = s.gitTree(hostileEntry{gitDir, "deep", deep})
	}
	refused(hostileTree{what: "10,000 levels", tree: deep, names: `deep/deep/.*longer than 4095 bytes`})
	s.recovers(hour + 1)
}

func oddGitTrees(t *testing.T) {
	s := hostile(t)
	outside := s.outside()
	blob := func(text string) [sha1.Size]byte { return s.gitObject("blob", []byte(text)) }
	entries := []hostileEntry{{gitDir, "dir", [sha1.Size]byte{}}}
	want := map[string]string{}
	for i, name := range oddNames {
		entries = append(entries, hostileEntry{gitFile, name, blob(fmt.Sprint(i))})
		for _, dir := range []string{"", "dir/"} {
			want[dir+name] = fmt.Sprintf("-rw-r--r-- %x", sha256.Sum256(fmt.Append(nil, i)))
		}
	}
	for i, target := range []string{"/etc/passwd", "../../../../../outside/file", s.dir + "/outside", ".", "..", "a\nb", strings.Repeat("t/", 2000)} {
		name := fmt.Sprint("link", i)
		entries = append(entries, hostileEntry{gitLink, name, blob(target)})
		want[name], want["dir/"+name] = "Lrwxrwxrwx "+target, "Lrwxrwxrwx "+target
	}
	large := bytes.Repeat([]byte("a large file\n"), 1<<20)
	entries = append(entries, hostileEntry{"100755", "large", s.gitObject("blob", large)})
	want["large"] = fmt.Sprintf("-rwxr-xr-x %x", sha256.Sum256(large))
	want["dir/large"] = want["large"]
	slices.SortFunc(entries, func(a, b hostileEntry) int { return strings.Compare(a.name, b.name) })
	inner := slices.DeleteFunc(slices.Clone(entries), func(e hostileEntry) bool { return e.mode == gitDir })
	for i := range entries {
		if entries[i].mode == gitDir {
			entries[i].object = s.gitTree(inner...)
		}
	}
	s.push(s.gitTree(entries...))
	s.snapshot(exitDone, 6)
	for what, dir := range map[string]string{"the tag": s.base.Dir(hourTag(6)), "the working copy": s.base.Trunk()} {
		s.isTree(what, dir, want)
	}
	s.exits(exitDone, "verify")

	// A link out of the tree becomes a directory, and a directory a link.
	s.push(s.gitTree(hostileEntry{gitDir, "dir", s.gitTree(hostileEntry{gitLink, "file", blob(s.dir + "/outside/file")})},
		hostileEntry{gitLink, "out", blob(s.dir + "/outside")}))
	s.snapshot(exitDone, 7)
	s.push(s.gitTree(hostileEntry{gitLink, "dir", blob(s.dir + "/outside")},
		hostileEntry{gitDir, "out", s.gitTree(hostileEntry{gitFile, "file", blob("inside\n")})}))
	s.snapshot(exitDone, 8)
	s.isTree("the tag", s.base.Dir(hourTag(8)), map[string]string{"dir": "Lrwxrwxrwx " + s.dir + "/outside",
		"out/file": fmt.Sprintf("-rw-r--r-- %x", sha256.Sum256([]byte("inside\n")))})
	if now := s.outside(); now != outside {
		t.Errorf("outside there was\n%s, and is now\n%s", outside, now)
	}
	s.recovers(9)
}

// isTree proves that a tree has certain files and links.
func (s *scenario) isTree(what, dir string, want map[string]string) {
	s.t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			if e != nil && e.Name() == ".git" {
				return fs.SkipDir
			}
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		info, err := e.Info()
		if err != nil {
			return err
		}
		if target, err := os.Readlink(path); err == nil {
			got[rel] = info.Mode().String() + " " + target
			return nil
		}
		data, err := os.ReadFile(path)
		got[rel] = fmt.Sprintf("%s %x", info.Mode(), sha256.Sum256(data))
		return err
	})
	must(s.t, err)
	for name := range want {
		if got[name] != want[name] {
			s.t.Errorf("%s has %q as %.200q, not %.200q", what, name, got[name], want[name])
		}
	}
	for name := range got {
		if want[name] == "" {
			s.t.Errorf("%s has %q", what, name)
		}
	}
}

// hostileDirs puts things into a plain tree that no tag may have.
func hostileDirs(t *testing.T) {
	s := newScenario(t, mount(t, "-t", "tmpfs", "-o", "size=64m", "etchtag"))
	s.configure("working_copy: {kind: dir}", oneRing)
	s.sh("mkdir -p base/trunk/source outside && echo x >base/trunk/file")
	s.snapshot(exitDone, 6)
	before, outside := s.tags(), s.outside()
	for _, h := range []struct{ make, names string }{
		{"mkfifo source/pipe", `"source/pipe" is refused: it is a fifo`},
		{"touch source/suid && chmod 4755 source/suid", `"source/suid".*setuid`},
		{"touch source/sgid && chmod 2755 source/sgid", `"source/sgid".*setgid`},
		{"mknod source/null c 1 3", `"source/null" is refused: it is a device`},
		{"truncate -s 100M source/huge", `not enough space`},
	} {
		s.sh("cd base/trunk && " + h.make)
		s.snapshot(exitFailed, 7).says(h.names)
		s.same(before)
		s.sh("rm -r base/trunk/source && mkdir base/trunk/source")
	}
	socket, err := net.Listen("unix", s.path("trunk/source/socket"))
	must(t, err)
	s.snapshot(exitFailed, 7).says(`"source/socket" is refused: it is a socket`)
	must(t, socket.Close())
	makeDeep(t, s.path("trunk/source"), 10_000)
	s.snapshot(exitFailed, 7).says(`deep/deep`)
	s.sh("rm -r base/trunk/source && mkdir base/trunk/source")
	s.intact(before)
	if now := s.outside(); now != outside {
		t.Errorf("outside there was\n%s, and is now\n%s", outside, now)
	}
	s.recovers(8)
}

// makeDeep makes a directory in which one stands in another, deeper than any path can name.
func makeDeep(t *testing.T, dir string, levels int) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for range levels {
		must(t, err)
		must(t, unix.Mkdirat(fd, "deep", 0o755))
		next, openErr := unix.Openat(fd, "deep", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, unix.Close(fd))
		fd, err = next, openErr
	}
	must(t, err)
	must(t, unix.Close(fd))
}

func oddDirs(t *testing.T) {
	s := hostile(t, "working_copy: {kind: dir}")
	want := map[string]string{}
	for i, name := range oddNames {
		must(t, os.WriteFile(filepath.Join(s.base.Trunk(), name), fmt.Append(nil, i), 0o600))
		want[name] = fmt.Sprintf("-rw-r--r-- %x", sha256.Sum256(fmt.Append(nil, i)))
	}
	for name, target := range map[string]string{"passwd": "/etc/passwd", "out": s.dir + "/outside", "up": "../../outside", "loop": "loop"} {
		must(t, os.Symlink(target, filepath.Join(s.base.Trunk(), name)))
		want[name] = "Lrwxrwxrwx " + target
	}
	must(t, os.Link(filepath.Join(s.dir, "outside/file"), filepath.Join(s.base.Trunk(), "hard")))
	want["hard"] = fmt.Sprintf("-rw-r--r-- %x", sha256.Sum256([]byte("untouched\n")))
	outside := s.outside()
	s.snapshot(exitDone, 6)
	s.isTree("the tag", s.base.Dir(hourTag(6)), want)
	if now := s.outside(); now != outside {
		t.Errorf("outside there was\n%s, and is now\n%s", outside, now)
	}
	var st, tag syscall.Stat_t
	must(t, syscall.Stat(filepath.Join(s.dir, "outside/file"), &st))
	must(t, syscall.Stat(filepath.Join(s.base.Dir(hourTag(6)), "hard"), &tag))
	if st.Ino == tag.Ino && st.Dev == tag.Dev {
		t.Error("a file of the tag is one outside")
	}
	s.sh("truncate -s 50M base/trunk/huge && echo end >>base/trunk/huge")
	s.snapshot(exitDone, 7)
	s.sh("cmp base/trunk/huge base/tags/" + hourTag(7) + "/huge")
	s.recovers(8)
}
