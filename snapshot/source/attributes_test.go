package source

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"pgregory.net/rapid"
)

// checkedAttributes are what the tests ask git for.
var checkedAttributes = []string{"text", "eol", "crlf", "diff", "merge", "binary", "export-ignore", "x", "y", "m"}

// gitAttributes asks git what it says of paths, by path and attribute, in the words of check-attr.
// The attribute files are those of a tree.
func gitAttributes(t failer, gitDir string, tree plumbing.Hash, paths []string) map[string]map[string]string {
	t.Helper()
	run := func(input string, args ...string) string {
		cmd := exec.Command("git", append([]string{"--git-dir=" + gitDir, "-c", "safe.directory=*", "-c",
			"core.bare=false"}, args...)...)
		cmd.Dir = gitDir
		cmd.Env = gitEnv("GIT_ATTR_NOSYSTEM=1", "GIT_WORK_TREE="+gitDir)
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

// word puts a state into the words of check-attr.
func (s attrState) word() string {
	switch s.kind {
	case attrSet:
		return "set"
	case attrUnset:
		return "unset"
	case attrValue:
		return s.value
	}
	return "unspecified"
}

// attributesAgree fails the test unless git says the same of all paths.
func attributesAgree(t failer, r *objectRig, files map[string]fakeFile, paths []string) {
	t.Helper()
	root := r.tree(files)
	o, err := openObjects(r.gitDir)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer o.Close()
	list, err := listTree(context.Background(), o, root)
	if err != nil {
		t.Fatalf("%v", err)
	}
	ours, err := newTreeAttributes(func() (*objects, error) { return o, nil }, r.gitDir, list)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for path, want := range gitAttributes(t, r.gitDir, root, paths) {
		values, _, err := ours.of(path)
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		for _, name := range checkedAttributes {
			if got := values[name].word(); got != want[name] {
				t.Fatalf("%s of %q is %q, git says %q", name, path, got, want[name])
			}
		}
	}
}

func TestAttributesAreWhatGitCheckAttrSays(t *testing.T) {
	t.Parallel()
	needProgram(t, "git")
	r := newObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
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
	checkSome(t, 60, func(t *rapid.T) {
		files := map[string]fakeFile{}
		for _, dir := range []string{"", "a/", "a/b/", "d/"} {
			if text := macro.Draw(t, "macro") + drawAttributes(t, "attributes", names, words); text != "\n" {
				files[dir+attributesFile] = file(text)
			}
		}
		r.write("info/attributes", macro.Draw(t, "macro")+drawAttributes(t, "info", names, words))
		attributesAgree(t, r, files, paths)
	})
}

func TestAttributesOfEveryByteAndClassAreWhatGitSays(t *testing.T) {
	t.Parallel()
	needProgram(t, "git")
	r := newObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
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
		attributesAgree(t, r, map[string]fakeFile{attributesFile: file(quoteC(pattern) + " x\n")}, paths)
	}
}

func TestWildmatchMatchesWhatGitMatches(t *testing.T) {
	t.Parallel()
	needProgram(t, "git")
	r := newObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
	piece := rapid.SampledFrom([]string{"a", "b", "/", "/", "*", "**", "?", "[ab]", "[!a]", `\a`, `\*`, "[a/]",
		"a/b", "***", "/**/", `**\/`})
	var paths []string
	for _, a := range []string{"a", "b", "ab", "aab", "*"} {
		for _, b := range []string{"", "/a", "/b/a", "/ab/b/a", "/*", "/a/b/a/b"} {
			paths = append(paths, a+b, a+b+"/")
		}
	}
	checkSome(t, 60, func(t *rapid.T) {
		var lines []string
		for i, pattern := range rapid.SliceOfN(rapid.SliceOfN(piece, 1, 7), 10, 10).Draw(t, "patterns") {
			lines = append(lines, fmt.Sprintf("%s %s", quoteC(strings.Join(pattern, "")), checkedAttributes[i]))
		}
		attributesAgree(t, r, map[string]fakeFile{attributesFile: file(strings.Join(lines, "\n")),
			"a/" + attributesFile: file(lines[0])}, paths)
	})
}

func TestAttributeFilesOfAHundredMegabytesAreIgnored(t *testing.T) {
	t.Parallel()
	if rules := parseAttributes(make([]byte, maxAttributesFile), nil); rules != nil {
		t.Errorf("%d rules", len(rules))
	}
}

func FuzzParseAttributes(f *testing.F) {
	for _, seed := range []string{
		"*.txt text eol=crlf\n", `"a b\n\303\251" -text`, "[attr]m x -y !z\n* m", "# comment\n\n!neg x\n",
		`"unclosed x`, `"a"b x`, `"\9" x`,
		"[attr] x", "[attr]", "/ x", "// x", "*/ x", "a\x00b x", strings.Repeat("*a", 500) + " x",
	} {
		f.Add([]byte(seed), "dir/file")
	}
	f.Fuzz(func(t *testing.T, data []byte, path string) {
		if path == "" || path == "/" || len(path) > 50 || strings.ContainsRune(path, 0) ||
			strings.Count(string(data), "*") > 6 {
			return
		}
		a := newAttributes(data, data).enter("dir", data)
		values := a.of(path)
		for name, s := range values {
			if !validAttrName(name) || s.kind != attrValue && s.value != "" {
				t.Fatalf("%q is said to be %+v", name, s)
			}
		}
	})
}

func FuzzWildmatch(f *testing.F) {
	for _, seed := range [][2]string{{"a/**/b", "a/x/y/b"}, {"[[:alpha:]]*", "abc"}, {"**", "a/b"}, {`\`, `\`},
		{"[", "["}, {"*?*", "abc"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if strings.ContainsRune(pattern+text, 0) || len(text) > 30 || strings.Count(pattern, "*") > 5 {
			return
		}
		wildmatch(pattern, text, true)
		if !strings.ContainsAny(pattern, `*?[\`) && wildmatch(pattern, text, false) != (pattern == text) {
			t.Fatalf("%q and %q", pattern, text)
		}
	})
}

func TestEOLIsWhatGitArchiveHas(t *testing.T) {
	t.Parallel()
	r := newCheckedRig(t)
	values := map[string][]string{
		"text": {"", "text", "-text", "!text", "text=auto", "text=input", "text=other"},
		"eol":  {"", "eol=lf", "eol=crlf", "-eol", "eol=other"},
		"crlf": {"", "crlf", "-crlf", "crlf=input", "crlf=auto"},
	}
	decided := map[string]bool{"text": true, "-text": true, "text=auto": true, "text=input": true}
	files := map[string]fakeFile{}
	var attributes []string
	for _, text := range values["text"] {
		for _, eol := range values["eol"] {
			for i, crlf := range values["crlf"] {
				if i > 1 && decided[text] { // what "crlf" says does not count then
					continue
				}
				dir := fmt.Sprintf("d%d", len(attributes))
				attributes = append(attributes, fmt.Sprintf("%s/** %s %s %s", dir, text, eol, crlf))
				for i, data := range oddContents {
					files[fmt.Sprintf("%s/%d", dir, i)] = file(data)
				}
				files[dir+"/link"] = link("a\nb\n")
			}
		}
	}
	files[attributesFile] = file(strings.Join(attributes, "\n"))
	commit := r.commitFiles(files)
	for _, config := range []string{
		"", "autocrlf = true", "autocrlf = input", "autocrlf = false", "eol = crlf", "eol = lf",
		"eol = CRLF\n\tautocrlf = input",
		"eol = native\n\tautocrlf = True", "eol = lf\n\tautocrlf = yes",
	} {
		t.Run(config, func(t *testing.T) {
			r.write("config", "[core]\n\trepositoryformatversion = 0\n\t"+config+"\n")
			publishedAsArchived(t, r.gitDir, commit)
		})
	}
}

func TestEOLConversionDoesNotDependOnHowTheBytesComeIn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.StringOfN(rapid.SampledFrom([]rune("\r\n\x00\x1aax")), 0, 30, -1).Draw(t, "data")
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(data)), 0, 5).Draw(t, "cuts")
		slices.Sort(cuts)
		var whole, pieces strings.Builder
		var statsWhole, statsPieces textStats
		_, _ = (&crlfWriter{w: &whole}).Write([]byte(data))
		_, _ = statsWhole.Write([]byte(data))
		w, from := &crlfWriter{w: &pieces}, 0
		for _, to := range append(cuts, len(data)) {
			_, _ = w.Write([]byte(data[from:to]))
			_, _ = statsPieces.Write([]byte(data[from:to]))
			from = to
		}
		if whole.String() != pieces.String() || statsWhole != statsPieces {
			t.Fatalf("%q: %q and %q, %+v and %+v", data, whole.String(), pieces.String(), statsWhole, statsPieces)
		}
		if back := strings.ReplaceAll(whole.String(), "\r\n", "\n"); back != strings.ReplaceAll(data, "\r\n", "\n") {
			t.Fatalf("%q became %q", data, whole.String())
		}
	})
}

func TestEOLConversionStreams(t *testing.T) {
	t.Parallel()
	r := newObjectRig(t, t.TempDir())
	data := strings.Repeat("0123456789\n", streamThreshold/5)
	h := r.blob(data)
	o := mustOpenObjects(t, r.gitDir)
	for c, want := range map[conversion]string{convertNone: data, convertCRLF: strings.ReplaceAll(data, "\n",
		"\r\n"), convertAuto: strings.ReplaceAll(data, "\n", "\r\n")} {
		var out strings.Builder
		if err := writeConverted(&out, o, h, c); err != nil || out.String() != want {
			t.Errorf("conversion %d: %v, %d bytes, want %d", c, err, out.Len(), len(want))
		}
	}
}

func TestEOLConfigurationThatDoesNotParseIsAnError(t *testing.T) {
	t.Parallel()
	r := newObjectRig(t, t.TempDir())
	r.write("config", "[core\n")
	if _, err := readEOLConfig(r.gitDir); err == nil || !strings.Contains(err.Error(), "config") {
		t.Errorf("the error is %v", err)
	}
	if err := os.Remove(filepath.Join(r.gitDir, "config")); err != nil {
		t.Fatal(err)
	}
	if _, err := readEOLConfig(r.gitDir); err != nil {
		t.Error(err)
	}
}
