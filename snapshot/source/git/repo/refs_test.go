package repo

import (
	"encoding/hex"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/testbed"
	"github.com/go-git/go-git/v5/plumbing"
	"pgregory.net/rapid"
)

func TestRefFilesAreParsedOrRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ref: refs/heads/main\n":    "refs/heads/main",
		"ref:refs/heads/a/b":        "refs/heads/a/b",
		"ref: \t refs/heads/x \r\n": "refs/heads/x",
		gittest.HashA + "\n":        gittest.HashA,
		gittest.HashB:               gittest.HashB,
		"":                          "",
		"\n":                        "",
		"ref: \n":                   "",
		"ref: ../../config\n":       "",
		"ref: refs/heads/../../x\n": "",
		gittest.HashA[:39] + "\n":   "",
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
		gittest.HashA + " refs/heads/main\n" + gittest.HashB + " refs/tags/v1\n^" + gittest.HashA + "\n"))
	if err != nil || len(refs) != 2 ||
		refs["refs/heads/main"].String() != gittest.HashA || refs["refs/tags/v1"].String() != gittest.HashB {
		t.Errorf("got %v, %v", refs, err)
	}
	for _, text := range []string{
		gittest.HashA + " refs/heads/main", // cut off
		gittest.HashA + "\n", gittest.HashA[:30] + " refs/heads/main\n", "\x00\x00\n", gittest.HashA + " ../config\n",
	} {
		if refs, err := parsePackedRefs([]byte(text)); err == nil {
			t.Errorf("%q was taken for %v", text, refs)
		}
	}
}

func FuzzRefs(f *testing.F) {
	f.Add([]byte("ref: refs/heads/main\n"))
	f.Add([]byte(gittest.HashA + " refs/heads/main\n^" + gittest.HashB + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if target, _, err := parseRef(text); err == nil && target != "" && !ValidRef(target) {
			t.Fatalf("%q leads to %q", text, target)
		}
		refs, err := parsePackedRefs(text)
		for name := range refs {
			if err == nil && !ValidRef(name) {
				t.Fatalf("%q has %q", text, name)
			}
		}
	})
}

func TestRefNamesAreJudgedAsGitDoes(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	for _, name := range []string{
		"main", "a/b.c", "-x", "ü", "a@b", "@", "a{b", ".a", "a.", "a..b", "a.lock", "a.lock/b", "/a", "a/", "a b", "a~1",
		"a^", "a:b", "a?", "*", "[a", "a\\b", "a\x01b", "a\x7fb", "a@{b", "../x",
	} {
		name = HeadsPrefix + name
		cmd := exec.Command("git", "check-ref-format", name)
		cmd.Env = testbed.GitEnv()
		if want := cmd.Run() == nil; ValidRef(name) != want {
			t.Errorf("validRef(%q) = %v, git says %v", name, !want, want)
		}
	}
	for _, name := range []string{"config", "refs", "refs/x", "@", "", "heads/main", "objects/x/y"} {
		if ValidRef(name) {
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
		name := HeadsPrefix + strings.Join(rapid.SliceOfN(piece, 1, 6).Draw(t, "pieces"), "")
		parts := strings.Split(name, "/")
		onlyOurs := slices.Contains(parts, "@") || strings.HasPrefix(parts[2], "-")
		theirs := plumbing.ReferenceName(name).Validate() == nil
		if ours := ValidRef(name); ours != theirs && !(ours && onlyOurs) {
			t.Fatalf("%q: %v, and %v for go-git", name, ours, theirs)
		}
	})
}

func TestRefsAreReadAndWrittenSoThatGitAgrees(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	r.Git("branch", "packed")
	r.Git("branch", "both")
	r.Git("tag", "-a", "-m", "x", "v1")
	r.Git("pack-refs", "--all")
	first := r.Git("rev-parse", "HEAD")
	second := r.Commit("second")
	r.Git("update-ref", "refs/heads/both", second)
	layout, err := LocationOf(r.Dir + "/.git")
	if err != nil {
		t.Fatal(err)
	}
	refs := Refs{Location: layout}
	got, err := refs.List(HeadsPrefix)
	want := map[string]string{"refs/heads/main": second, "refs/heads/packed": first, "refs/heads/both": second}
	if err != nil || len(got) != len(want) {
		t.Fatalf("list: %v, %v", got, err)
	}
	for name, h := range want {
		if got[name].String() != h {
			t.Errorf("%s is %s, want %s", name, got[name], h)
		}
	}
	if err := refs.Write("refs/heads/new/branch", plumbing.NewHash(first)); err != nil {
		t.Fatal(err)
	}
	if err := refs.PointHead("refs/heads/new/branch"); err != nil {
		t.Fatal(err)
	}
	if got := r.Git("rev-parse", "HEAD") + r.Git("symbolic-ref", "HEAD"); got != first+"refs/heads/new/branch" {
		t.Errorf("git says HEAD is %s", got)
	}
	if _, _, err := refs.Resolve("refs/heads/none"); !errors.Is(err, ErrNoRef) {
		t.Errorf("a ref that does not exist: %v", err)
	}
	if err := refs.Write("refs/heads/../../config", plumbing.NewHash(first)); err == nil {
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
			r := gittest.NewTestRepo(t)
			head := r.Git("rev-parse", "HEAD")
			r.Git("update-ref", names[0], head)
			if packed {
				r.Git("pack-refs", "--all")
			}
			refs := Refs{Location: Location{r.Dir + "/.git", r.Dir + "/.git"}}
			if err := refs.Write(names[1], plumbing.NewHash(head)); err != nil {
				t.Fatalf("%v, packed %v: %v", names, packed, err)
			}
			if got := r.Git("for-each-ref", "--format=%(refname)", "refs/remotes"); got != names[1] {
				t.Errorf("%v, packed %v: git lists %q", names, packed, got)
			}
		}
	}
	r := gittest.NewTestRepo(t)
	refs := Refs{Location: Location{r.Dir + "/.git", r.Dir + "/.git"}}
	err := refs.Write("refs/heads/main/x", plumbing.NewHash(gittest.HashA))
	if err == nil || !strings.Contains(err.Error(), `"refs/heads/main" is in the way`) {
		t.Errorf("a local branch in the way: %v", err)
	}
}

// FuzzPackedRefs holds that a file of packed refs is read as line by line, or refused.
func FuzzPackedRefs(f *testing.F) {
	f.Add("# pack-refs with: peeled fully-peeled sorted \n" + gittest.HashA + " refs/heads/main\n" + gittest.HashB + " refs/tags/v1\n^" + gittest.HashA + "\n")
	f.Add(gittest.HashA + " refs/heads/a\n" + gittest.HashB + " refs/heads/a\n")
	f.Add(gittest.HashA + " refs/../a\n")
	f.Add(gittest.HashA + "  refs/heads/a")
	f.Fuzz(func(t *testing.T, text string) {
		refs, err := parsePackedRefs([]byte(text))
		if err != nil {
			return
		}
		naive := map[string]string{}
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			digits, name, ok := strings.Cut(line, " ")
			if raw, err := hex.DecodeString(digits); ok && err == nil && len(raw) == 20 {
				naive[strings.TrimSuffix(name, "\r")] = strings.ToLower(digits)
			}
		}
		for name, h := range refs {
			if naive[name] != h.String() {
				t.Fatalf("%q: %q is %s, and %q line by line", text, name, h, naive[name])
			}
		}
		if len(refs) != len(naive) {
			t.Fatalf("%q: %d refs, and line by line %q", text, len(refs), naive)
		}
	})
}
