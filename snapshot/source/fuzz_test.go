package source

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// FuzzParseCommit holds that a commit which is as git writes them is read as go-git reads it, and that nothing else
// than what is written is made of any other.
func FuzzParseCommit(f *testing.F) {
	tree, one, two := strings.Repeat("ab", 20), strings.Repeat("01", 20), strings.Repeat("02", 20)
	for _, seed := range []string{
		"tree " + tree + "\nauthor A <a@example.com> 1600000000 +0200\ncommitter B C <b@example.com> 1700000000 -0830\n\nmessage\n",
		"tree " + tree + "\nparent " + one + "\nparent " + two + "\nauthor  <> 0 +0000\ncommitter A > B <b> -5 +0000\n\n",
		"tree " + tree + "\nparent " + one + "\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\nencoding ISO-8859-1\n" +
			"gpgsig -----BEGIN PGP SIGNATURE-----\n \n parent " + two + "\n -----END PGP SIGNATURE-----\n\nm",
		"tree " + tree + "\nauthor A <a> 1 +0000\ncommitter A <a> nonsense\nmergetag object " + one + "\n type commit\n\nm",
		"tree " + tree, "parent " + one + "\ntree " + tree + "\n\n", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCommit(data)
		if err != nil {
			return
		}
		header, _, _ := strings.Cut(string(data), "\n\n")
		if !strings.HasPrefix(strings.ToLower(header), "tree "+c.Tree.String()) {
			t.Fatalf("%q has the tree %s", header, c.Tree)
		}
		if n := strings.Count("\n"+header, "\nparent "); n != len(c.Parents) {
			t.Fatalf("%q has %d parents, not %d", header, n, len(c.Parents))
		}
		if theirs := canonicalCommit(data); theirs != nil {
			same := theirs.TreeHash == c.Tree && theirs.Committer.When.Unix() == c.Time.Unix() && len(theirs.ParentHashes) == len(c.Parents)
			for i := range c.Parents {
				same = same && theirs.ParentHashes[i] == c.Parents[i]
			}
			if !same {
				t.Fatalf("%q: %+v, and go-git has %+v", data, c, theirs)
			}
		}
	})
}

// canonicalCommit is what go-git reads, or nil unless that makes the very same bytes again.
func canonicalCommit(data []byte) *object.Commit {
	in, out := &plumbing.MemoryObject{}, &plumbing.MemoryObject{}
	in.SetType(plumbing.CommitObject)
	in.Write(data)
	var c object.Commit
	if c.Decode(in) != nil || c.Encode(out) != nil {
		return nil
	}
	again, err := out.Reader()
	if err != nil {
		return nil
	}
	text, err := io.ReadAll(again)
	if err != nil || !bytes.Equal(text, data) {
		return nil
	}
	return &c
}

// FuzzSVNXML holds of what svn writes that an answer which is cut off is never taken for a whole one, and that what is
// read is text that stands in it.
func FuzzSVNXML(f *testing.F) {
	for _, seed := range []string{
		`<?xml version="1.0" encoding="UTF-8"?>
<info>
<entry kind="dir" path="." revision="7">
<url>file:///srv/svn/trunk</url>
<relative-url>^/trunk</relative-url>
<repository><root>file:///srv/svn</root><uuid>5e7d134a-54fb-0310-bd04-b611643e5c25</uuid></repository>
<wc-info><wcroot-abspath>/etc/etchserver/trunk</wcroot-abspath><schedule>normal</schedule><depth>infinity</depth></wc-info>
<commit revision="6"><author>a</author><date>2026-11-20T12:34:56.123456Z</date></commit>
</entry>
</info>
`, `<?xml version="1.0" encoding="UTF-8"?>
<status><target path="."><entry path="a &amp; b"><wc-status item="modified" props="none" switched="true" revision="3"/>
<repos-status item="none" props="none"/></entry></target><changelist name="c"><entry path="x"><wc-status item="added" props="normal"/></entry></changelist></status>
`, `<?xml version="1.0" encoding="UTF-8"?>
<properties><target path="/wc/a"><property name="svn:externals">^/x y&#13;
</property></target></properties>
`, `<?xml version="1.0" encoding="UTF-8"?>
<lists><list path="file:///srv/svn"><entry kind="file"><name>a/b</name><size>12</size><commit revision="1"/></entry>
<entry kind="dir"><name>c</name></entry></list></lists>
`, `<info/>`, `<status><target/></status>`, `<?xml version="1.0" encoding="latin1"?><info/>`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		whole := bytes.TrimRight(out, " \t\r\n")
		// A comment or an instruction may follow the end of the document.
		judged := !bytes.Contains(out, []byte("<!")) && bytes.Count(out, []byte("<?")) <= 1
		for what, parse := range map[string]func([]byte) error{
			"info":       func(out []byte) error { _, err := parseInfo(out); return err },
			"status":     func(out []byte) error { _, err := parseStatus(out); return err },
			"properties": func(out []byte) error { _, err := parseProperties(out, "/wc"); return err },
			"list":       func(out []byte) error { _, err := parseList(out); return err },
		} {
			if parse(out) != nil || !judged || wellEnded(whole[:max(0, len(whole)-1)]) {
				continue
			}
			if parse(whole[:len(whole)-1]) == nil {
				t.Errorf("%s: %q is taken for whole without its last byte", what, out)
			}
		}
		listed, err := parseList(out)
		for _, l := range listed {
			if err == nil && !utf8.ValidString(l.Name) {
				t.Errorf("the name %q", l.Name)
			}
		}
	})
}

// wellEnded reports whether the first element of a document is whole.
func wellEnded(text []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(text))
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return false
		}
		switch token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			if depth--; depth == 0 {
				return true
			}
		}
	}
}

// FuzzCVSRoot holds that the name which the client is given means the same repository, and shows no password.
func FuzzCVSRoot(f *testing.F) {
	for _, seed := range []string{":pserver:anonymous:secret@cvs.example.com:2401/srv/cvs", ":ext:a@h:/cvs", "/srv/cvs/",
		":local:/cvs", ":fork:/cvs", "h:/cvs", ":pserver;proxy=p:h/cvs", ":ext:h:22/cvs", "a:b@h:/c", ":pserver:a@b:c@h:/x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := parseCVSRoot(raw)
		if err != nil {
			return
		}
		given := r.String()
		again, err := parseCVSRoot(given)
		if err != nil {
			t.Fatalf("%q is given to the client as %q: %v", raw, given, err)
		}
		r.password = ""
		if r.method == cvsExt {
			r.port = "" // ssh is told apart
		}
		if again != r {
			t.Fatalf("%q is %+v, and given to the client as %q, which is %+v", raw, r, given, again)
		}
		if !filepath.IsAbs(r.path) || strings.HasPrefix(r.host, "-") || strings.HasPrefix(given, "-") {
			t.Fatalf("%q is %+v", raw, r)
		}
	})
}

// FuzzSVNURL holds that a URL that is accepted is itself, whatever its spelling, and names nothing that a program takes
// for an option.
func FuzzSVNURL(f *testing.F) {
	for _, seed := range []string{"svn://svn.example.com/etch/trunk", "svn+ssh://a@h:22/x", "file:///srv/svn/a b", "https://h/%20x/",
		"http://u:p@h/x", "svn://-x/", "svn://-u@h/", "svn+x://h", "file://localhost/x", "ssh://h/x", "svn://[::1]/x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := parseSVNURL(raw)
		if err != nil {
			return
		}
		if strings.HasPrefix(raw, "-") || strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(u.User.Username(), "-") {
			t.Fatalf("%q is accepted", raw)
		}
		if again, err := parseSVNURL(u.String()); err != nil || again.String() != u.String() {
			t.Fatalf("%q is %q, and that is %v, %v", raw, u, again, err)
		}
		if !sameSVN(raw, u.String()) {
			t.Fatalf("%q is said to be another than %q", raw, u)
		}
	})
}

// FuzzLineEnds holds that line ends are converted as a regular expression would do it, in whatever pieces the contents
// come, and that the way back gives what was there.
func FuzzLineEnds(f *testing.F) {
	for _, seed := range []string{"a\nb\n", "a\r\nb\n", "\r\r\n\n", "\n", "a\r", "\x00\n", "", "text\x1a"} {
		f.Add([]byte(seed), uint8(1))
	}
	loneLF := regexp.MustCompile("(^|[^\r])\n")
	f.Fuzz(func(t *testing.T, data []byte, cut uint8) {
		at := min(int(cut), len(data))
		var converted bytes.Buffer
		w := &crlfWriter{w: &converted}
		var stats, atOnce textStats
		for _, piece := range [][]byte{data[:at], data[at:]} {
			if n, err := w.Write(piece); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
			stats.Write(piece)
		}
		atOnce.Write(data)
		want := string(data)
		for loneLF.MatchString(want) { // matches do not overlap, so of "\n\n" one at a time
			want = loneLF.ReplaceAllString(want, "$1\r\n")
		}
		if converted.String() != want {
			t.Fatalf("%q becomes %q, not %q", data, &converted, want)
		}
		if stats != atOnce {
			t.Fatalf("%q in two pieces is %+v, at once %+v", data, stats, atOnce)
		}
		if !stats.convertible() {
			return
		}
		back, err := io.ReadAll(&lfReader{bufio.NewReader(iotest.OneByteReader(&converted))})
		if err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%q comes back as %q, %v", data, back, err)
		}
	})
}

// FuzzSyncState holds that of a file with any contents nothing is believed but what stands there in full.
func FuzzSyncState(f *testing.F) {
	whole := syncState{commit: plumbing.NewHash(hashA)}.String()
	f.Add([]byte(whole))
	f.Add([]byte(whole[:len(whole)-1]))
	f.Add([]byte(hashA + "\n" + hashB + "\r\nx\n"))
	f.Add([]byte(""))
	name := filepath.Join(f.TempDir(), "state")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := readState(name)
		if err != nil {
			t.Fatal(err)
		}
		if s != (syncState{}) {
			lines := "\n" + strings.ToLower(string(data)) + "\n"
			for line := range strings.Lines(s.String()) {
				if !strings.Contains(lines, "\n"+line) {
					t.Fatalf("%q is read as %+v", data, s)
				}
			}
		}
		commits, err := readJournal(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commits {
			if !strings.Contains(strings.ToLower(string(data)), c.String()) {
				t.Fatalf("%q has %s", data, c)
			}
		}
		if n := strings.Count(journalText(commits, plumbing.NewHash(hashA)), "\n"); n > maxJournal {
			t.Fatalf("the journal grows to %d lines", n)
		}
	})
}

// FuzzParseDiscard holds that the names of what is set aside are told from all others, and sort by their times.
func FuzzParseDiscard(f *testing.F) {
	for _, seed := range []string{"20261122-090000", "20261122-090000-2", "20261122-090000-working-copy", "20261122-0900", "20260230-000000",
		"20261122-090000x", "", "2026112२-090000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		at, ours := ParseDiscard(name)
		if !ours {
			return
		}
		stamp := DiscardName(at)
		if rest, ok := strings.CutPrefix(name, stamp); !ok || rest != "" && rest[0] != '-' {
			t.Fatalf("%q is from %v, which is written %q", name, at, stamp)
		}
		if again, ours := ParseDiscard(stamp + "-x"); !ours || !again.Equal(at) || at.Location() != time.UTC {
			t.Fatalf("%q: %v", stamp, again)
		}
	})
}

// FuzzSVNVersion holds that what svnversion writes is understood or refused.
func FuzzSVNVersion(f *testing.F) {
	for _, seed := range []string{"4168", "4123:4168", "4168M", "4212S", "4168P", "4123:4168MSP", "Unversioned directory", "exported", "", "1:2:3", "-1", "M"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseVersion(text)
		if err != nil {
			return
		}
		again := v.low
		if strings.Contains(text, ":") {
			again += ":" + v.high
		} else if v.high != v.low {
			t.Fatalf("%q is %+v", text, v)
		}
		for _, flag := range []struct {
			letter string
			set    bool
		}{{"M", strings.Contains(text, "M")}, {"S", v.switched}, {"P", v.partial}} {
			if flag.set {
				again += flag.letter
			}
		}
		if again != text {
			t.Fatalf("%q is %+v, which is written %q", text, v, again)
		}
	})
}

// FuzzPackedRefs holds that a file of packed refs is read as line by line, or refused.
func FuzzPackedRefs(f *testing.F) {
	f.Add("# pack-refs with: peeled fully-peeled sorted \n" + hashA + " refs/heads/main\n" + hashB + " refs/tags/v1\n^" + hashA + "\n")
	f.Add(hashA + " refs/heads/a\n" + hashB + " refs/heads/a\n")
	f.Add(hashA + " refs/../a\n")
	f.Add(hashA + "  refs/heads/a")
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
