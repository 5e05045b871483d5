package source

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"pgregory.net/rapid"
)

const (
	hashA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hashB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestRefFilesAreParsedOrRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ref: refs/heads/main\n":    "refs/heads/main",
		"ref:refs/heads/a/b":        "refs/heads/a/b",
		"ref: \t refs/heads/x \r\n": "refs/heads/x",
		hashA + "\n":                hashA,
		hashB:                       hashB,
		"":                          "",
		"\n":                        "",
		"ref: \n":                   "",
		"ref: ../../config\n":       "",
		"ref: refs/heads/../../x\n": "",
		hashA[:39] + "\n":           "",
		strings.Repeat("\x00", 41):  "",
		"ref: refs/heads/a\x00b\n":  "",
		"gggggggggggggggggggggggggggggggggggggggg\n": "",
	} {
		target, h, err := parseRef([]byte(text))
		got := target
		if target == "" && err == nil {
			got = h.String()
		}
		if (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%q: got %q, %v, %v", text, target, h, err)
		}
	}
}

func TestPackedRefsAreParsedOrRefused(t *testing.T) {
	t.Parallel()
	refs, err := parsePackedRefs([]byte("# pack-refs with: peeled fully-peeled sorted \n" +
		hashA + " refs/heads/main\n" + hashB + " refs/tags/v1\n^" + hashA + "\n"))
	if err != nil || len(refs) != 2 ||
		refs["refs/heads/main"].String() != hashA || refs["refs/tags/v1"].String() != hashB {
		t.Errorf("got %v, %v", refs, err)
	}
	for _, text := range []string{
		hashA + " refs/heads/main", // cut off
		hashA + "\n", hashA[:30] + " refs/heads/main\n", "\x00\x00\n", hashA + " ../config\n",
	} {
		if refs, err := parsePackedRefs([]byte(text)); err == nil {
			t.Errorf("%q was taken for %v", text, refs)
		}
	}
}

func FuzzRefs(f *testing.F) {
	f.Add([]byte("ref: refs/heads/main\n"))
	f.Add([]byte(hashA + " refs/heads/main\n^" + hashB + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if target, _, err := parseRef(text); err == nil && target != "" && !validRef(target) {
			t.Fatalf("%q leads to %q", text, target)
		}
		refs, err := parsePackedRefs(text)
		for name := range refs {
			if err == nil && !validRef(name) {
				t.Fatalf("%q has %q", text, name)
			}
		}
	})
}

func TestRefNamesAreJudgedAsGitDoes(t *testing.T) {
	t.Parallel()
	needProgram(t, "git")
	for _, name := range []string{
		"main", "a/b.c", "-x", "ü", "a@b", "@", "a{b", ".a", "a.", "a..b", "a.lock", "a.lock/b", "/a", "a/", "a b", "a~1",
		"a^", "a:b", "a?", "*", "[a", "a\\b", "a\x01b", "a\x7fb", "a@{b", "../x",
	} {
		name = headsPrefix + name
		cmd := exec.Command("git", "check-ref-format", name)
		cmd.Env = gitEnv()
		if want := cmd.Run() == nil; validRef(name) != want {
			t.Errorf("validRef(%q) = %v, git says %v", name, !want, want)
		}
	}
	for _, name := range []string{"config", "refs", "refs/x", "@", "", "heads/main", "objects/x/y"} {
		if validRef(name) {
			t.Errorf("validRef(%q)", name)
		}
	}
}

// TestRefNamesAreJudgedAsTheLibraryDoes is for who wants to use the library's judgement: where it is another than ours,
// git's is ours.
func TestRefNamesAreJudgedAsTheLibraryDoes(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{"a", "b", "é", ".", "..", "/", "-", "@", "{", "@{", "lock", ".lock", " ", "~", "^", ":",
		"?", "*", "[", "\\", "\t", "\x7f", "\xff", "refs/"})
	rapid.Check(t, func(t *rapid.T) {
		name := headsPrefix + strings.Join(rapid.SliceOfN(piece, 1, 6).Draw(t, "pieces"), "")
		parts := strings.Split(name, "/")
		onlyOurs := slices.Contains(parts, "@") || strings.HasPrefix(parts[2], "-")
		theirs := plumbing.ReferenceName(name).Validate() == nil
		if ours := validRef(name); ours != theirs && !(ours && onlyOurs) {
			t.Fatalf("%q: %v, and %v for go-git", name, ours, theirs)
		}
	})
}

func TestRefsAreReadAndWrittenSoThatGitAgrees(t *testing.T) {
	t.Parallel()
	r := newTestRepo(t)
	r.git("branch", "packed")
	r.git("branch", "both")
	r.git("tag", "-a", "-m", "x", "v1")
	r.git("pack-refs", "--all")
	first := r.git("rev-parse", "HEAD")
	second := r.commit("second")
	r.git("update-ref", "refs/heads/both", second)
	layout, err := layoutOf(r.dir + "/.git")
	if err != nil {
		t.Fatal(err)
	}
	refs := gitRefs{gitLayout: layout}
	got, err := refs.list(headsPrefix)
	want := map[string]string{"refs/heads/main": second, "refs/heads/packed": first, "refs/heads/both": second}
	if err != nil || len(got) != len(want) {
		t.Fatalf("list: %v, %v", got, err)
	}
	for name, h := range want {
		if got[name].String() != h {
			t.Errorf("%s is %s, want %s", name, got[name], h)
		}
	}
	if err := refs.write("refs/heads/new/branch", plumbing.NewHash(first)); err != nil {
		t.Fatal(err)
	}
	if err := refs.pointHead("refs/heads/new/branch"); err != nil {
		t.Fatal(err)
	}
	if got := r.git("rev-parse", "HEAD") + r.git("symbolic-ref", "HEAD"); got != first+"refs/heads/new/branch" {
		t.Errorf("git says HEAD is %s", got)
	}
	if _, _, err := refs.resolve("refs/heads/none"); !errors.Is(err, errNoRef) {
		t.Errorf("a ref that does not exist: %v", err)
	}
	if err := refs.write("refs/heads/../../config", plumbing.NewHash(first)); err == nil {
		t.Error("a ref was written outside refs")
	}
}

func TestARemoteRefThatIsInTheWayOfAnotherGoes(t *testing.T) {
	t.Parallel()
	for _, names := range [][2]string{
		{"refs/remotes/origin/a", "refs/remotes/origin/a/b"},
		{"refs/remotes/origin/a/b/c", "refs/remotes/origin/a"},
	} {
		for _, packed := range []bool{false, true} {
			r := newTestRepo(t)
			head := r.git("rev-parse", "HEAD")
			r.git("update-ref", names[0], head)
			if packed {
				r.git("pack-refs", "--all")
			}
			refs := gitRefs{gitLayout: gitLayout{r.dir + "/.git", r.dir + "/.git"}}
			if err := refs.write(names[1], plumbing.NewHash(head)); err != nil {
				t.Fatalf("%v, packed %v: %v", names, packed, err)
			}
			if got := r.git("for-each-ref", "--format=%(refname)", "refs/remotes"); got != names[1] {
				t.Errorf("%v, packed %v: git lists %q", names, packed, got)
			}
		}
	}
	r := newTestRepo(t)
	refs := gitRefs{gitLayout: gitLayout{r.dir + "/.git", r.dir + "/.git"}}
	err := refs.write("refs/heads/main/x", plumbing.NewHash(hashA))
	if err == nil || !strings.Contains(err.Error(), `"refs/heads/main" is in the way`) {
		t.Errorf("a local branch in the way: %v", err)
	}
}
