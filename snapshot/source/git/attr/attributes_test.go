package attr

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"pgregory.net/rapid"
)

func TestAttributeFilesOfAHundredMegabytesAreIgnored(t *testing.T) {
	t.Parallel()
	if rules := parseAttributes(make([]byte, MaxAttributesFile), nil); rules != nil {
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
		a := New(data, data).Enter("dir", data)
		values := a.Of(path)
		for name, s := range values {
			if !validAttrName(name) || s.Kind != Value && s.Value != "" {
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

func TestEOLConversionDoesNotDependOnHowTheBytesComeIn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.StringOfN(rapid.SampledFrom([]rune("\r\n\x00\x1aax")), 0, 30, -1).Draw(t, "data")
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(data)), 0, 5).Draw(t, "cuts")
		slices.Sort(cuts)
		var whole, pieces strings.Builder
		var statsWhole, statsPieces TextStats
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

func TestEOLConfigurationThatDoesNotParseIsAnError(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	r.Write("config", "[core\n")
	if _, err := ReadEOLConfig(r.GitDir); err == nil || !strings.Contains(err.Error(), "config") {
		t.Errorf("the error is %v", err)
	}
	if err := os.Remove(filepath.Join(r.GitDir, "config")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadEOLConfig(r.GitDir); err != nil {
		t.Error(err)
	}
}
