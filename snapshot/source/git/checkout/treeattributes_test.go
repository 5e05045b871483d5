package checkout

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/attr"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/testbed"
	"github.com/go-git/go-git/v5/plumbing"
	"pgregory.net/rapid"
)

// gitAttributes asks git what it says of paths, by path and attribute, in the words of check-attr.
// The attribute files are those of a tree.
func gitAttributes(t testbed.Failer, gitDir string, tree plumbing.Hash, paths []string) map[string]map[string]string {
	t.Helper()
	run := func(input string, args ...string) string {
		cmd := exec.Command("git", append([]string{"--git-dir=" + gitDir, "-c", "safe.directory=*", "-c",
			"core.bare=false"}, args...)...)
		cmd.Dir = gitDir
		cmd.Env = testbed.GitEnv("GIT_ATTR_NOSYSTEM=1", "GIT_WORK_TREE="+gitDir)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %q: %v", args, err)
		}
		return string(out)
	}
	run("", "read-tree", "--reset", tree.String())
	args := append([]string{"check-attr", "--cached", "-z", "--stdin"}, checkedAttributes...)
	fields := strings.Split(run(strings.Join(paths, "\x00")+"\x00", args...), "\x00")
	said := map[string]map[string]string{}
	for ; len(fields) >= 3; fields = fields[3:] {
		if said[fields[0]] == nil {
			said[fields[0]] = map[string]string{}
		}
		said[fields[0]][fields[1]] = fields[2]
	}
	return said
}

// attributesAgree fails the test unless git says the same of all paths.
func attributesAgree(t testbed.Failer, r *gittest.ObjectRig, files map[string]gittest.FakeFile, paths []string) {
	t.Helper()
	root := r.Tree(files)
	o, err := object.Open(r.GitDir)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer o.Close()
	list, err := object.ListTree(context.Background(), o, root)
	if err != nil {
		t.Fatalf("%v", err)
	}
	ours, err := newTreeAttributes(func() (*object.Reader, error) { return o, nil }, r.GitDir, list)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for path, want := range gitAttributes(t, r.GitDir, root, paths) {
		values, _, err := ours.of(path)
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		for _, name := range checkedAttributes {
			if got := word(values[name]); got != want[name] {
				t.Fatalf("%s of %q is %q, git says %q", name, path, got, want[name])
			}
		}
	}
}

func TestAttributesAreWhatGitCheckAttrSays(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	r := gittest.NewObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
	names := []string{"a", "b", "ab", "a.txt", "a b", "!a", "#a", "\xff", "é", "[a]", "a*", `a\b`, "-", "a\tb"}
	words := []string{
		"text", "-text", "!text", "text=auto", "eol=crlf", "binary", "-binary", "!binary", "m", "-m", "m=1",
		"x", "-x", "!x",
		"x=", "x=a=b", "y=v", "-x=1", "!y=2", "diff", "merge=union", "crlf=input", "export-ignore",
	}
	macro := rapid.SampledFrom([]string{"", "", "[attr]m x -y\n", "[attr]m binary\n",
		"[attr]binary x\n[attr]m m\n", "[attr] m x\n", "[attr]-m x\n"})
	var paths []string
	for _, a := range names {
		paths = append(paths, a, a+"/")
		for _, b := range names {
			paths = append(paths, a+"/"+b, a+"/b/"+b, "d/"+a+"/"+b+"/")
		}
	}
	testbed.CheckSome(t, 60, func(t *rapid.T) {
		files := map[string]gittest.FakeFile{}
		for _, dir := range []string{"", "a/", "a/b/", "d/"} {
			if text := macro.Draw(t, "macro") + gittest.DrawAttributes(t, "attributes", names, words); text != "\n" {
				files[dir+attr.FileName] = gittest.File(text)
			}
		}
		r.Write("info/attributes", macro.Draw(t, "macro")+gittest.DrawAttributes(t, "info", names, words))
		attributesAgree(t, r, files, paths)
	})
}

func TestAttributesOfEveryByteAndClassAreWhatGitSays(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	r := gittest.NewObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
	var paths []string
	for c := 1; c < 256; c++ {
		if c != '/' && c != '.' {
			paths = append(paths, string([]byte{byte(c)}))
		}
	}
	for _, pattern := range []string{
		"[[:alnum:]]", "[[:alpha:]]", "[[:blank:]]", "[[:cntrl:]]", "[[:digit:]]", "[[:graph:]]", "[[:lower:]]",
		"[[:print:]]",
		"[[:punct:]]", "[[:space:]]", "[[:upper:]]", "[[:xdigit:]]", "[^[:alnum:]]", "[[:nonsense:]]",
		"[[:alpha:]", "[[:alpha]", "[]-a]",
		"[!]a-]", "[a-]", "[--0]", `[\]]`, `[\\-a]`, `[a-\]]`, "[[-a]", "[a", "[", "[]", "[!]", "[z-a]",
		"[%--]", "?", `\`, `\\`, `[\`, "[a-", "[[:",
		"[[:digit:][:punct:]x]", "[[:digit:]-z]", "[a-z-9]", "\x80", "[\x80-\xff]",
	} {
		attributesAgree(t, r, map[string]gittest.FakeFile{attr.FileName: gittest.File(gittest.QuoteC(pattern) + " x\n")}, paths)
	}
}

func TestEOLIsWhatGitArchiveHas(t *testing.T) {
	t.Parallel()
	r := gittest.NewCheckedRig(t)
	values := map[string][]string{
		"text": {"", "text", "-text", "!text", "text=auto", "text=input", "text=other"},
		"eol":  {"", "eol=lf", "eol=crlf", "-eol", "eol=other"},
		"crlf": {"", "crlf", "-crlf", "crlf=input", "crlf=auto"},
	}
	decided := map[string]bool{"text": true, "-text": true, "text=auto": true, "text=input": true}
	files := map[string]gittest.FakeFile{}
	var attributes []string
	for _, text := range values["text"] {
		for _, eol := range values["eol"] {
			for i, crlf := range values["crlf"] {
				if i > 1 && decided[text] { // what "crlf" says does not count then
					continue
				}
				dir := fmt.Sprintf("d%d", len(attributes))
				attributes = append(attributes, fmt.Sprintf("%s/** %s %s %s", dir, text, eol, crlf))
				for i, data := range gittest.OddContents {
					files[fmt.Sprintf("%s/%d", dir, i)] = gittest.File(data)
				}
				files[dir+"/link"] = gittest.Link("a\nb\n")
			}
		}
	}
	files[attr.FileName] = gittest.File(strings.Join(attributes, "\n"))
	commit := r.CommitFiles(files)
	for _, config := range []string{
		"", "autocrlf = true", "autocrlf = input", "autocrlf = false", "eol = crlf", "eol = lf",
		"eol = CRLF\n\tautocrlf = input",
		"eol = native\n\tautocrlf = True", "eol = lf\n\tautocrlf = yes",
	} {
		t.Run(config, func(t *testing.T) {
			r.Write("config", "[core]\n\trepositoryformatversion = 0\n\t"+config+"\n")
			publishedAsArchived(t, r.GitDir, commit)
		})
	}
}

func TestEOLConversionStreams(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	data := strings.Repeat("0123456789\n", object.StreamThreshold/5)
	h := r.Blob(data)
	o := openedObjects(t, r.GitDir)
	for c, want := range map[attr.Conversion]string{attr.ConvertNone: data, attr.ConvertCRLF: strings.ReplaceAll(data, "\n",
		"\r\n"), attr.ConvertAuto: strings.ReplaceAll(data, "\n", "\r\n")} {
		var out strings.Builder
		if err := writeConverted(&out, o, h, c); err != nil || out.String() != want {
			t.Errorf("conversion %d: %v, %d bytes, want %d", c, err, out.Len(), len(want))
		}
	}
}

// checkedAttributes are what the tests ask git for.
var checkedAttributes = []string{"text", "eol", "crlf", "diff", "merge", "binary", "export-ignore", "x", "y", "m"}

// word puts a state into the words of check-attr.
func word(s attr.State) string {
	switch s.Kind {
	case attr.Set:
		return "set"
	case attr.Unset:
		return "unset"
	case attr.Value:
		return s.Value
	}
	return "unspecified"
}

func TestWildmatchMatchesWhatGitMatches(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	r := gittest.NewObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
	piece := rapid.SampledFrom([]string{"a", "b", "/", "/", "*", "**", "?", "[ab]", "[!a]", `\a`, `\*`, "[a/]",
		"a/b", "***", "/**/", `**\/`})
	var paths []string
	for _, a := range []string{"a", "b", "ab", "aab", "*"} {
		for _, b := range []string{"", "/a", "/b/a", "/ab/b/a", "/*", "/a/b/a/b"} {
			paths = append(paths, a+b, a+b+"/")
		}
	}
	testbed.CheckSome(t, 60, func(t *rapid.T) {
		var lines []string
		for i, pattern := range rapid.SliceOfN(rapid.SliceOfN(piece, 1, 7), 10, 10).Draw(t, "patterns") {
			lines = append(lines, fmt.Sprintf("%s %s", gittest.QuoteC(strings.Join(pattern, "")), checkedAttributes[i]))
		}
		attributesAgree(t, r, map[string]gittest.FakeFile{attr.FileName: gittest.File(strings.Join(lines, "\n")),
			"a/" + attr.FileName: gittest.File(lines[0])}, paths)
	})
}
