package tag_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagging/tag/tagtest"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func sample() *tag.Manifest {
	return &tag.Manifest{
		Header: tag.Header{Name: "etchautotag-20261122-0900", Revision: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
			Source: "git", Layout: "auto", Published: time.Date(2026, 11, 22, 9, 0, 4, 250e6, time.UTC)},
		Entries: []tag.Entry{
			tagtest.Entry('l', "link", "a b"),
			tagtest.Entry('f', "new\nline", "hello\n"),
			tagtest.Entry('f', "a b", "hello\n"),
			tagtest.Entry('d', "empty", ""),
			tagtest.Entry('f', "\xff", "hello\n"),
			tagtest.Entry('x', "bin/run", "hello\n"),
		},
	}
}

const sampleText = `etchtag manifest 2
name etchautotag-20261122-0900
revision 4b825dc642cb6eb9a060e54bf8d69288fbee4904
tree 6febb2d0f5e2ea0d713b836fa4794ba1b970e1b6a3edbb6865153a9301ff3d1e
source git
layout auto
published 2026-11-22T09:00:04.25Z
files 5
bytes 27
stale false
check eb6d9bfe

f 6 WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM a b
x 6 WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM bin/run
d 0 - empty
l 3 yGh6CKpdbtIEQyj6aml6uOltw0KR6MIDSujDjm/MbWU link
f 6 WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM "new\nline"
f 6 WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM "\xff"
`

// manifestFile is a file whose contents change.
type manifestFile string

func newManifestFile(t testing.TB) manifestFile {
	return manifestFile(filepath.Join(t.TempDir(), "manifest"))
}

func (f manifestFile) write(t tagtest.Fataler, text string) {
	if err := os.WriteFile(string(f), []byte(text), 0o644); err != nil {
		t.Fatalf("%v", err)
	}
}

func TestManifestText(t *testing.T) {
	m := sample()
	text := tagtest.Text(t, m)
	if diff := cmp.Diff(sampleText, text); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	f := newManifestFile(t)
	f.write(t, text)
	got, err := tag.ReadManifest(string(f))
	if diff := cmp.Diff(m, got); err != nil || diff != "" {
		t.Errorf("read again: %v (-want +got):\n%s", err, diff)
	}
	header, err := tag.ReadHeader(string(f))
	if diff := cmp.Diff(&m.Header, header); err != nil || diff != "" {
		t.Errorf("header: %v (-want +got):\n%s", err, diff)
	}
}

var drawnPath = rapid.Custom(func(t *rapid.T) string {
	part := rapid.OneOf(rapid.StringMatching(`[a-c]{1,2}`), rapid.SampledFrom([]string{
		" ", "a ", "\n", "\"", "\"a\"", "\\", "\xff\xfe", "...", "é", "e\u0301", "\u202e", "\ufeff", "-", "\r", "\t", "\u0085",
	}), rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 8), func(b []byte) string {
		return strings.NewReplacer("/", "_", "\x00", "_", ".", "_").Replace(string(b))
	}))
	return strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "parts"), "/")
})

var drawnEntry = rapid.Custom(func(t *rapid.T) tag.Entry {
	e := tagtest.Entry(rapid.SampledFrom([]byte("fxld")).Draw(t, "mode"), drawnPath.Draw(t, "path"), "")
	if e.Mode != tag.ModeEmptyDir {
		e.Size = rapid.Int64Range(0, 1<<40).Draw(t, "size")
		copy(e.Hash[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
	}
	return e
})

func drawManifest(t *rapid.T) *tag.Manifest {
	word := rapid.StringMatching(`[^\n]{0,20}`)
	return &tag.Manifest{
		Header: tag.Header{
			Name:      "etchautotag-20261122-0900",
			Revision:  word.Draw(t, "revision"),
			Source:    word.Draw(t, "source"),
			Layout:    rapid.SampledFrom([]string{"auto", "hardlink"}).Draw(t, "layout"),
			Published: time.UnixMicro(rapid.Int64Range(0, 1e17).Draw(t, "published")).UTC(),
			Stale:     rapid.Bool().Draw(t, "stale"),
			Marked:    rapid.Bool().Draw(t, "marked"),
		},
		Entries: rapid.SliceOfDistinct(drawnEntry,
			func(e tag.Entry) string { return e.Path }).Draw(t, "entries"),
	}
}

func TestManifestsAreReadAsTheyWereWritten(t *testing.T) {
	f := newManifestFile(t)
	rapid.Check(t, func(t *rapid.T) {
		m := drawManifest(t)
		f.write(t, tagtest.Text(t, m))
		got, err := tag.ReadManifest(string(f))
		if diff := cmp.Diff(m, got); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		header, err := tag.ReadHeader(string(f))
		if diff := cmp.Diff(&m.Header, header); err != nil || diff != "" {
			t.Fatalf("header: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestTheTreeDependsOnTheEntriesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawManifest(t), drawManifest(t)
		same := &tag.Manifest{Header: b.Header, Entries: rapid.Permutation(a.Entries).Draw(t, "order")}
		tagtest.Text(t, a)
		tagtest.Text(t, b)
		tagtest.Text(t, same)
		if a.Tree != same.Tree || cmp.Equal(a.Entries, b.Entries) != (a.Tree == b.Tree) {
			t.Fatalf("trees %s, %s and %s", a.Tree, same.Tree, b.Tree)
		}
	})
}

func TestAManifestThatIsNotWholeIsNoticed(t *testing.T) {
	f := newManifestFile(t)
	for n := range len(sampleText) {
		f.write(t, sampleText[:n])
		if _, err := tag.ReadManifest(string(f)); err == nil {
			t.Fatalf("the first %d bytes pass for the whole", n)
		}
		_, err := tag.ReadHeader(string(f))
		if whole := n >= strings.Index(sampleText, "\n\n")+2; (err == nil) != whole {
			t.Fatalf("the header in the first %d bytes: %v", n, err)
		}
	}
}

func TestAManifestThatIsDamagedIsNoticed(t *testing.T) {
	f := newManifestFile(t)
	for i := range len(sampleText) {
		damaged := []byte(sampleText)
		damaged[i] ^= 1 << (i % 8)
		f.write(t, string(damaged))
		if _, err := tag.ReadManifest(string(f)); err == nil {
			t.Fatalf("damage at byte %d is not noticed:\n%s", i, damaged)
		}
		_, err := tag.ReadHeader(string(f))
		if outside := i >= strings.Index(sampleText, "\n\n")+2; (err == nil) != outside {
			t.Fatalf("with damage at byte %d, the header: %v", i, err)
		}
	}
}

func TestReadHeaderReadsOnlyTheHeader(t *testing.T) {
	f := newManifestFile(t)
	header, _, _ := strings.Cut(sampleText, "\n\n")
	f.write(t, header+"\n\n"+strings.Repeat("no entry at all\n", 1<<16))
	if h, err := tag.ReadHeader(string(f)); err != nil || h.Files != 5 {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := tag.ReadManifest(string(f)); err == nil {
		t.Error("the whole is read without an error")
	}
}

func TestHeadersHaveRoomForLongRevisionsAndUnknownKeys(t *testing.T) {
	m := sample()
	m.Revision = strings.Repeat("r", 10<<10)
	f := newManifestFile(t)
	f.write(t, tagtest.Text(t, m))
	if h, err := tag.ReadHeader(string(f)); err != nil || *h != m.Header {
		t.Errorf("%+.200v, %v", h, err)
	}
	m.Revision = strings.Repeat("r", 20<<10)
	if err := tag.WriteManifest(&bytes.Buffer{}, m); err == nil {
		t.Error("a header that would not be read again is written")
	}
	f.write(t, strings.Repeat("a line without end ", 1<<16))
	if _, err := tag.ReadHeader(string(f)); err == nil {
		t.Error("a header without end is read")
	}
	lines, _, _ := strings.Cut(sampleText, "check ")
	lines += "colour blue\n"
	f.write(t, fmt.Sprintf("%scheck %08x\n\n", lines, crc32.ChecksumIEEE([]byte(lines))))
	if _, err := tag.ReadHeader(string(f)); err != nil {
		t.Errorf("with an unknown key: %v", err)
	}
}

// Manifests from before there was the key have none, and programs from before skip it.
func TestThatATagWasPublishedMarkedIsWrittenOnlyIfItWas(t *testing.T) {
	m := sample()
	m.Marked = true
	want := strings.Replace(sampleText, "stale false\ncheck eb6d9bfe\n", "stale false\nmarked true\ncheck %08x\n", 1)
	header, _, _ := strings.Cut(want, "check ")
	if diff := cmp.Diff(fmt.Sprintf(want, crc32.ChecksumIEEE([]byte(header))), tagtest.Text(t, m)); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
}

func TestAHeaderThatCannotBeIsAnError(t *testing.T) {
	f := newManifestFile(t)
	for _, change := range [][2]string{
		{"etchtag manifest 2", "etchtag manifest 3"},
		{sampleText, "etchtag manifest 2\n"},
		{sampleText, ""},
		{"name etchautotag-20261122-0900", "name"},
		{"tree 6f", "tee 6f"},
		{"published 2026-11-22T", "published 2026-11-31T"},
		{"published 2026-11-22T09:00:04.25Z\n", ""},
		{"files 5", "files five"},
		{"bytes 27", "bytes 99999999999999999999"},
		{"stale false", "stale perhaps"},
		{"stale false", "stale false\nmarked perhaps"},
	} {
		lines, _, _ := strings.Cut(strings.Replace(sampleText, change[0], change[1], 1), "check ")
		f.write(t, fmt.Sprintf("%scheck %08x\n\n", lines, crc32.ChecksumIEEE([]byte(lines))))
		if h, err := tag.ReadHeader(string(f)); err == nil || !strings.Contains(err.Error(), string(f)) {
			t.Errorf("with %q: %+v, %v", change[1], h, err)
		}
	}
}

// There is one way to write an entry: equal trees have equal hashes.
func TestAnEntryThatIsWrittenInAnotherWayIsRefused(t *testing.T) {
	const right = "f 6 WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM a b"
	f := newManifestFile(t)
	for _, line := range []string{
		right, // to show that the rest is as it must be
		"f 06 WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM a b",
		"f +6 WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM a b",
		"f 6 WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgN a b", // other bits behind the last byte
		"f 6 WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM= a b",
		"f 6 WJG1tSLV3whtD_CxEPvZ0hu0_HFjrzTQgoai6Eb2vgM a b",
		"f 6 WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2\rvgM a b",
		"f 6 WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2 a b",
		"f 6 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 a b",
		"f 6 - a b",
		`f 6 WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM "a b"`,
	} {
		head, entries, _ := strings.Cut(sampleText, "\n\n")
		entries = strings.Replace(entries, right, line, 1)
		head, _, _ = strings.Cut(head, "check ")
		_, rest, _ := strings.Cut(head, "\nsource ")
		begin, _, _ := strings.Cut(head, "tree ")
		head = fmt.Sprintf("%stree %x\nsource %s", begin, sha256.Sum256([]byte(entries)), rest)
		f.write(t, fmt.Sprintf("%scheck %08x\n\n%s", head, crc32.ChecksumIEEE([]byte(head)), entries))
		if _, err := tag.ReadManifest(string(f)); (err == nil) != (line == right) {
			t.Errorf("with the line %q: %v", line, err)
		}
	}
}

func TestWriteManifestRefusesWhatCouldNotBeReadAgain(t *testing.T) {
	for name, spoil := range map[string]func(*tag.Manifest){
		"empty path":     func(m *tag.Manifest) { m.Entries[0].Path = "" },
		"dot":            func(m *tag.Manifest) { m.Entries[0].Path = "." },
		"absolute":       func(m *tag.Manifest) { m.Entries[0].Path = "/etc/passwd" },
		"climbs":         func(m *tag.Manifest) { m.Entries[0].Path = "../x" },
		"parent":         func(m *tag.Manifest) { m.Entries[0].Path = ".." },
		"not clean":      func(m *tag.Manifest) { m.Entries[0].Path = "a//b" },
		"slash at end":   func(m *tag.Manifest) { m.Entries[0].Path = "a/" },
		"inner dots":     func(m *tag.Manifest) { m.Entries[0].Path = "a/../b" },
		"NUL":            func(m *tag.Manifest) { m.Entries[0].Path = "a\x00b" },
		"twice":          func(m *tag.Manifest) { m.Entries[0].Path = m.Entries[1].Path },
		"mode":           func(m *tag.Manifest) { m.Entries[0].Mode = 's' },
		"no mode":        func(m *tag.Manifest) { m.Entries[0].Mode = 0 },
		"negative size":  func(m *tag.Manifest) { m.Entries[0].Size = -1 },
		"directory size": func(m *tag.Manifest) { m.Entries[0].Mode = 'd' },
		"revision":       func(m *tag.Manifest) { m.Revision = "1\nstale true" },
	} {
		m := sample()
		spoil(m)
		var b bytes.Buffer
		if err := tag.WriteManifest(&b, m); err == nil || b.Len() > 0 {
			t.Errorf("%s: error %v, and %d bytes written", name, err, b.Len())
		}
	}
}

func TestAManifestIsSmall(t *testing.T) {
	m := large(1000)
	if n := len(tagtest.Text(t, m)); n > 1000*105 {
		t.Errorf("1000 paths of %d bytes take %d bytes", len(m.Entries[0].Path), n)
	}
}

// large is a manifest of n files with paths of 50 bytes.
func large(n int) *tag.Manifest {
	m := sample()
	m.Entries = nil
	for i := range n {
		path := fmt.Sprintf("source/etc/some/long/directory/name/config-%06d.yml", i)
		m.Entries = append(m.Entries, tagtest.Entry('f', path, "contents"))
	}
	return m
}

func TestAManifestThatIsAbsent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent")
	if _, err := tag.ReadManifest(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadManifest: %v", err)
	}
	if _, err := tag.ReadHeader(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadHeader: %v", err)
	}
}

func FuzzReadManifest(f *testing.F) {
	f.Add(sampleText)
	f.Add(strings.Replace(sampleText, "f 6", "f 06", 1))
	f.Add("etchtag manifest 2\n\n")
	f.Add("")
	file := newManifestFile(f)
	f.Fuzz(func(t *testing.T, text string) {
		// Hashes are what chance does not hit: they are put right, so that what is behind them is reached.
		if head, entries, ok := strings.Cut(text, "\n\n"); ok {
			lines, _, _ := strings.Cut(head, "\ncheck ")
			before, after, _ := strings.Cut(lines, "\ntree ")
			_, after, _ = strings.Cut(after, "\n")
			lines = fmt.Sprintf("%s\ntree %x\n%s\n", before, sha256.Sum256([]byte(entries)), after)
			text = fmt.Sprintf("%scheck %08x\n\n%s", lines, crc32.ChecksumIEEE([]byte(lines)), entries)
		}
		file.write(t, text)
		m, err := tag.ReadManifest(string(file))
		if err != nil {
			return
		}
		header, err := tag.ReadHeader(string(file))
		if err != nil || *header != m.Header {
			t.Fatalf("the header alone is %+v, %v", header, err)
		}
		again := *m
		_, entries, _ := strings.Cut(text, "\n\n")
		_, rewritten, _ := strings.Cut(tagtest.Text(t, &again), "\n\n")
		if rewritten != entries || again.Header != m.Header {
			t.Fatalf("read %q, and wrote %q", text, rewritten)
		}
	})
}

func BenchmarkWriteManifest(b *testing.B) {
	m := large(10000)
	for b.Loop() {
		if err := tag.WriteManifest(io.Discard, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadManifest(b *testing.B) {
	f := newManifestFile(b)
	f.write(b, tagtest.Text(b, large(10000)))
	for b.Loop() {
		if _, err := tag.ReadManifest(string(f)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadHeader(b *testing.B) {
	f := newManifestFile(b)
	f.write(b, tagtest.Text(b, large(10000)))
	for b.Loop() {
		if _, err := tag.ReadHeader(string(f)); err != nil {
			b.Fatal(err)
		}
	}
}
