package object

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/testbed"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

func mustOpenObjects(t testing.TB, gitDir string) *Reader {
	t.Helper()
	o, err := Open(gitDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// readsBlob fails the test unless the blob reads as data.
func readsBlob(t *testing.T, o *Reader, h plumbing.Hash, data string) {
	t.Helper()
	var buf bytes.Buffer
	n, err := o.WriteBlob(&buf, h)
	if err != nil {
		t.Fatalf("reading a blob of %d bytes: %v", len(data), err)
	}
	if n != int64(len(data)) || buf.String() != data {
		t.Fatalf("a blob of %d bytes came out as %d bytes", len(data), n)
	}
	if size, err := o.Size(h); err != nil || size != int64(len(data)) {
		t.Fatalf("its size is %d (%v), want %d", size, err, len(data))
	}
}

var blobSizes = []int{0, 1, 100, 16 << 10, 16<<10 + 1, 100 << 10, StreamThreshold + 1}

func TestObjectsReadsBlobsOfEverySizeLooseAndPacked(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	r := gittest.NewObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
	files := map[string]gittest.FakeFile{}
	blobs := map[plumbing.Hash]string{}
	for _, size := range blobSizes {
		data := gittest.SomeBytes(size)
		near := data + "one more line makes a delta" // packed as a delta of the other, or the other way round
		blobs[r.Blob(data)], blobs[r.Blob(near)] = data, near
		files[fmt.Sprintf("%d", size)], files[fmt.Sprintf("%d+", size)] = gittest.File(data), gittest.File(near)
	}
	commit := r.CommitFiles(files)
	check := func(t *testing.T) {
		o := mustOpenObjects(t, r.GitDir)
		for h, data := range blobs {
			readsBlob(t, o, h, data)
		}
		if c, err := o.Commit(commit); err != nil || c.Time.Unix() != 1700000000 {
			t.Fatalf("commit: %v, %v", c, err)
		}
	}
	t.Run("loose", check)
	gittest.RunGit(t, r.GitDir, 0, "-c", "core.compression=0", "repack", "-adfq", "--window=3")
	if left, _ := filepath.Glob(filepath.Join(r.GitDir, "objects/??/*")); len(left) > 0 {
		t.Fatalf("%d objects are still loose", len(left))
	}
	t.Run("packed", check)
}

func TestObjectsClosesItsFiles(t *testing.T) {
	testbed.NeedProgram(t, "git")
	r := gittest.NewObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
	h := r.Blob(gittest.SomeBytes(100))
	o := mustOpenObjects(t, r.GitDir)
	readsBlob(t, o, h, gittest.SomeBytes(100)) // which asks for the size, too
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	descriptors, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range descriptors {
		if file, _ := os.Readlink(d); strings.HasPrefix(file, r.GitDir) {
			t.Errorf("%s is still open", file)
		}
	}
}

func TestObjectsReadsAlternates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	far := gittest.NewObjectRig(t, filepath.Join(dir, "far"))
	near := gittest.NewObjectRig(t, filepath.Join(dir, "near"))
	ours := gittest.NewObjectRig(t, filepath.Join(dir, "ours"))
	near.Write("objects/info/alternates", "# a comment\n"+filepath.Join(dir, "far/objects")+"\n")
	ours.Write("objects/info/alternates", "../../near/objects\n")
	far.Write("objects/info/alternates", "../../ours/objects\n") // a circle
	o := mustOpenObjects(t, ours.GitDir)
	_ = o.Close()
	blobs := map[string]plumbing.Hash{"far": far.Blob("far"), "near": near.Blob("near"), "ours": ours.Blob("ours")}
	o = mustOpenObjects(t, ours.GitDir)
	for data, h := range blobs {
		readsBlob(t, o, h, data)
	}
	if _, err := o.WriteBlob(io.Discard, plumbing.NewHash(strings.Repeat("1", 40))); !errors.Is(err,
		plumbing.ErrObjectNotFound) {
		t.Errorf("an object that is nowhere: %v", err)
	}
}

func TestObjectsSaysWhichLooseObjectIsDamaged(t *testing.T) {
	t.Parallel()
	data := gittest.SomeBytes(10_000)
	for name, spoil := range map[string]func(t *testing.T, r *gittest.ObjectRig, path string){
		"missing":   func(t *testing.T, _ *gittest.ObjectRig, path string) { _ = os.Remove(path) },
		"truncated": func(t *testing.T, _ *gittest.ObjectRig, path string) { gittest.Damage(t, path, gittest.Half) },
		"empty":     func(t *testing.T, _ *gittest.ObjectRig, path string) { gittest.Damage(t, path, gittest.None) },
		"flipped":   func(t *testing.T, _ *gittest.ObjectRig, path string) { gittest.Damage(t, path, gittest.FlipMiddle) },
		"other contents": func(_ *testing.T, r *gittest.ObjectRig, path string) {
			r.LooseFile(path, fmt.Sprintf("blob %d\x00%s", len(data), strings.ToUpper(data)))
		},
		"another type": func(_ *testing.T, r *gittest.ObjectRig, path string) {
			r.LooseFile(path, fmt.Sprintf("tree %d\x00%s", len(data), data))
		},
		"a directory": func(t *testing.T, _ *gittest.ObjectRig, path string) {
			_ = os.Remove(path)
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := gittest.NewObjectRig(t, t.TempDir())
			h := r.Blob(data)
			spoil(t, r, r.ObjectPath(h))
			o := mustOpenObjects(t, r.GitDir)
			_, err := o.WriteBlob(io.Discard, h)
			isObjectError(t, err, h)
			_, err = o.Tree(h)
			isObjectError(t, err, h)
			_, err = o.Commit(h)
			isObjectError(t, err, h)
		})
	}
}

// TestObjectsRefusesImpossibleLooseObjects takes no more memory for what cannot be than for what can. It does not run
// beside other tests, whose memory would count.
func TestObjectsRefusesImpossibleLooseObjects(t *testing.T) {
	for name, content := range map[string]string{
		"empty":                 "",
		"no size":               "blob\x00abc",
		"no end of the header":  "blob 3",
		"a size that is none":   "blob x\x00abc",
		"a size below nothing":  "blob -3\x00abc",
		"a kind that is none":   "leaf 3\x00abc",
		"a delta":               "ofs-delta 3\x00abc",
		"more than it says":     "blob 2\x00abc",
		"less than it says":     "blob 4\x00abc",
		"more than it can hold": fmt.Sprintf("blob %d\x00abc", int64(math.MaxInt64)),
		"a kind without an end": strings.Repeat("x", 64<<20),
		"a size without an end": "blob " + strings.Repeat("0", 64<<20),
	} {
		t.Run(name, func(t *testing.T) {
			r := gittest.NewObjectRig(t, t.TempDir())
			h := plumbing.NewHash(gittest.HashA)
			_ = os.MkdirAll(filepath.Dir(r.ObjectPath(h)), 0o755)
			if err := os.WriteFile(r.ObjectPath(h), deflated(t, []byte(content), zlib.BestSpeed), 0o644); err != nil {
				t.Fatal(err)
			}
			o := mustOpenObjects(t, r.GitDir)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := o.WriteBlob(io.Discard, h)
			runtime.ReadMemStats(&after)
			isObjectError(t, err, h)
			if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
				t.Errorf("it took %d bytes to see that: %v", n, err)
			}
		})
	}
}

func isObjectError(t *testing.T, err error, h plumbing.Hash) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Hash != h {
		t.Errorf("the error is %v, want an ObjectError for %s", err, h)
	}
}

func TestObjectsNoticesDamagedPacks(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	for _, c := range []struct {
		name, file string
		spoil      func([]byte) []byte
	}{
		{"pack truncated", "*.pack", gittest.Half},
		{"pack empty", "*.pack", gittest.None},
		{"pack flipped", "*.pack", gittest.FlipMiddle},
		{"index truncated", "*.idx", gittest.Half},
		{"index empty", "*.idx", gittest.None},
		{"index missing", "*.idx", nil},
		{"pack missing", "*.pack", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := gittest.NewObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
			files := map[string]gittest.FakeFile{}
			var blobs []plumbing.Hash
			for i := range 10 {
				data := gittest.SomeBytes(16_300 + 20*i)
				blobs = append(blobs, r.Blob(data))
				files[fmt.Sprint(i)] = gittest.File(data)
			}
			r.CommitFiles(files)
			gittest.RunGit(t, r.GitDir, 0, "-c", "core.compression=0", "repack", "-adq", "--window=0")
			found, _ := filepath.Glob(filepath.Join(r.GitDir, "objects/pack", c.file))
			if len(found) != 1 {
				t.Fatalf("packs: %q", found)
			}
			if c.spoil != nil {
				gittest.Damage(t, found[0], c.spoil)
			} else if err := os.Remove(found[0]); err != nil {
				t.Fatal(err)
			}
			o, err := Open(r.GitDir)
			if err != nil {
				isObjectError(t, err, plumbing.ZeroHash)
				return
			}
			defer o.Close()
			failed := 0
			for _, h := range blobs {
				if _, err := o.WriteBlob(io.Discard, h); err != nil {
					isObjectError(t, err, h)
					failed++
				}
			}
			if failed == 0 {
				t.Error("every blob reads as if nothing were wrong")
			}
		})
	}
}

func TestObjectsTellsTheWritersErrorFromItsOwn(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	h := r.Blob("hello")
	full := errors.New("disk full")
	_, err := mustOpenObjects(t, r.GitDir).WriteBlob(failingWriter{full}, h)
	var e *Error
	if !errors.Is(err, full) || errors.As(err, &e) {
		t.Errorf("the error is %v, want the writer's", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestObjectsDoesNotTakeWhatIsMalformedForDamaged(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	o := func() *Reader { return mustOpenObjects(t, r.GitDir) }
	refused := func(what string, err error) {
		t.Helper()
		var damaged *Error
		if err == nil || errors.As(err, &damaged) {
			t.Errorf("%s: the error is %v", what, err)
		}
	}
	for _, data := range []string{"100644", "100644 a", "100644 a\x00short", " a\x00" + strings.Repeat("x", 20),
		"1006449 a\x00" + strings.Repeat("x", 20), "junk a\x00" + strings.Repeat("x", 20)} {
		h := r.Object(plumbing.TreeObject, []byte(data))
		_, err := o().Tree(h)
		refused("a malformed tree", err)
	}
	h := r.Blob("no tree")
	_, err := o().Tree(h)
	refused("a blob for a tree", err)
	_, err = o().Commit(h)
	refused("a blob for a commit", err)
	_, err = o().Blob(h, 6)
	refused("a blob that is too large", err)
}

func FuzzParseTree(f *testing.F) {
	f.Add([]byte("100644 a\x00" + strings.Repeat("x", 20) + "40000 b\x00" + strings.Repeat("y", 20)))
	f.Add([]byte("100644 a\x00"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseTree(data)
		if err != nil {
			return
		}
		var back bytes.Buffer
		for _, e := range entries {
			if strings.ContainsRune(e.Name, 0) {
				t.Fatalf("a NUL in the name %q", e.Name)
			}
			fmt.Fprintf(&back, "%o %s\x00%s", uint32(e.Mode), e.Name, e.Hash[:])
		}
		if again, err := parseTree(back.Bytes()); err != nil || len(again) != len(entries) {
			t.Fatalf("what was parsed does not parse again: %v", err)
		}
	})
}

func TestParseTreeReadsModesAndNames(t *testing.T) {
	t.Parallel()
	h := plumbing.NewHash(strings.Repeat("ab", 20))
	entries, err := parseTree([]byte("100664 a b\x00" + string(h[:]) + "040000 \xff\n\x00" + string(h[:])))
	want := []treeEntry{{Name: "a b", Mode: filemode.Deprecated, Hash: h}, {Name: "\xff\n",
		Mode: filemode.Dir, Hash: h}}
	if err != nil || fmt.Sprint(entries) != fmt.Sprint(want) {
		t.Errorf("parsed %v (%v), want %v", entries, err, want)
	}
}

func TestParseCommitReadsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	tree, one, two := strings.Repeat("ab", 20), strings.Repeat("01", 20), strings.Repeat("02", 20)
	author := "author A <a@example.com> 1600000000 +0200\n"
	c, err := parseCommit([]byte("tree " + tree + "\nparent " + one + "\nparent " + two + "\n" + author +
		"committer A > B <b@example.com> 1700000000 -0800\ngpgsig -----BEGIN\n parent x\n\ntree of life\nparent none\n"))
	if err != nil || c.Tree.String() != tree || len(c.Parents) != 2 || c.Parents[1].String() != two || c.Time.Unix() != 1700000000 {
		t.Errorf("got %+v, %v", c, err)
	}
	for text, want := range map[string]int64{"committer A <a> nonsense +0000": 0, "committer": 0, "committer A <a>": 0, "committer A <a> -5 +0000": -5} {
		if c, err := parseCommit([]byte("tree " + tree + "\n" + text + "\n\n")); err != nil || c.Time.Unix() != want {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
	for _, text := range []string{"", "\n\n", "parent " + one + "\n\n", "tree abc\n\n", "tree " + tree + "\nparent x\n\n",
		author + "tree " + tree + "\n\n", "tree " + strings.Repeat("0", 40) + "\n\n"} {
		if c, err := parseCommit([]byte(text)); err == nil {
			t.Errorf("%q was taken for %+v", text, c)
		}
	}
}

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
