package object

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/testbed"
	"github.com/go-git/go-git/v5/plumbing"
	"pgregory.net/rapid"
)

// TestObjectsReadsPacksOfEveryForm reads all that git can list, from packs as git can write them.
func TestObjectsReadsPacksOfEveryForm(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	forms := map[string]func(r *gittest.TestRepo){
		"deltas that say how far their base is": func(r *gittest.TestRepo) {
			r.Git("-c", "repack.useDeltaBaseOffset=true", "repack", "-adfq", "--depth=50")
		},
		"deltas that name their base": func(r *gittest.TestRepo) {
			r.Git("-c", "repack.useDeltaBaseOffset=false", "repack", "-adfq", "--depth=50")
		},
		"offsets of 64 bits": func(r *gittest.TestRepo) {
			r.Git("repack", "-adfq")
			packs, _ := filepath.Glob(filepath.Join(r.Dir, ".git/objects/pack/*.pack"))
			_ = os.Remove(strings.TrimSuffix(packs[0], "pack") + "idx")
			r.Git("index-pack", "--index-version=2,0x40", packs[0])
		},
		"no compression": func(r *gittest.TestRepo) { r.Git("-c", "core.compression=0", "repack", "-adfFq") },
	}
	for name, pack := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := gittest.NewTestRepo(t)
			r.Write("big", strings.Repeat(gittest.SomeBytes(500), 1000))
			r.Grow(30)
			r.Git("tag", "-a", "-m", "annotated", "v1")
			pack(r)
			o := mustOpenObjects(t, filepath.Join(r.Dir, ".git"))
			listed := strings.Fields(r.Git("cat-file", "--batch-all-objects", "--batch-check=%(objectname):%(objectsize)"))
			for _, line := range listed {
				name, size, _ := strings.Cut(line, ":")
				h := plumbing.NewHash(name)
				for _, reader := range []*Reader{o, o.Another()} {
					obj, err := reader.Any(h) // which proves it
					if err != nil || fmt.Sprint(obj.size) != size {
						t.Fatalf("%s: %d bytes, %v", line, obj.size, err)
					}
				}
				if n, err := o.Size(h); err != nil || fmt.Sprint(n) != size {
					t.Fatalf("%s: its size is %d, %v", line, n, err)
				}
			}
		})
	}
}

// packedBlobs writes a pack of blobs whose compressed data is given, and an index that names them.
func packedBlobs(t *testing.T, r *gittest.ObjectRig, blobs map[string][]byte) {
	t.Helper()
	stem := filepath.Join(r.GitDir, "objects/pack/pack-"+gittest.HashA)
	w, err := newPackWriter(stem, len(blobs))
	if err != nil {
		t.Fatal(err)
	}
	for data, stream := range blobs {
		start := w.offset
		w.crc = 0
		_, err := w.Write(append(packedHeader(plumbing.BlobObject, int64(len(data))), stream...))
		if err != nil {
			t.Fatal(err)
		}
		w.index.Add(plumbing.ComputeHash(plumbing.BlobObject, []byte(data)), uint64(start), w.crc)
	}
	if _, err := w.finish(); err != nil {
		t.Fatal(err)
	}
}

// wasteful is a stream that is many times as long as what it holds.
func wasteful(t *testing.T, data string) []byte {
	stream := deflated(t, []byte(data), 0)
	empty := []byte{0, 0, 0, 0xff, 0xff}
	return slices.Concat(stream[:2], bytes.Repeat(empty, 2*windowSize), stream[2:])
}

func TestObjectsReadsStreamsThatAreLongerThanTheyShouldBe(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	small, large := "hello", gittest.SomeBytes(StreamThreshold+1)
	packedBlobs(t, r, map[string][]byte{small: wasteful(t, small), large: wasteful(t, large)})
	o := mustOpenObjects(t, r.GitDir)
	for _, data := range []string{small, large} {
		readsBlob(t, o, plumbing.ComputeHash(plumbing.BlobObject, []byte(data)), data)
	}
	pack, err := os.Open(o.packs[0].file.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer pack.Close()
	index, err := indexPack(pack, plumbing.ZeroHash)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{small, large} {
		h := plumbing.ComputeHash(plumbing.BlobObject, []byte(data))
		_, want, _, _ := o.packed(h)
		i, ok := index.find(h)
		if !ok {
			t.Fatal("indexing the pack does not find it")
		}
		if offset, err := index.offset(i); err != nil || offset != want {
			t.Errorf("indexing the pack finds it at %d (%v), not at %d", offset, err, want)
		}
	}
}

// TestObjectsNoticesAPackThatIsCutShortWhileItIsRead is for what is done to files that are open.
func TestObjectsNoticesAPackThatIsCutShortWhileItIsRead(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	data := gittest.SomeBytes(100_000)
	packedBlobs(t, r, map[string][]byte{data: deflated(t, []byte(data), 6)})
	o := mustOpenObjects(t, r.GitDir)
	h := plumbing.ComputeHash(plumbing.BlobObject, []byte(data))
	gittest.Damage(t, o.packs[0].file.Name(), gittest.Half)
	_, err := o.WriteBlob(io.Discard, h)
	isObjectError(t, err, h)
	if !errors.Is(err, errCutOff) {
		t.Errorf("the error is %v", err)
	}
}

// TestObjectsReadsOnWhileGitRepacks is for git gc, which may be at work at any time.
func TestObjectsReadsOnWhileGitRepacks(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	r := gittest.NewTestRepo(t)
	r.Grow(10)
	r.Git("repack", "-adfq")
	o := mustOpenObjects(t, filepath.Join(r.Dir, ".git"))
	before := strings.Fields(r.Git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)"))
	r.Grow(1)
	r.Git("repack", "-adfq")
	if disk.Exists(o.packs[0].file.Name()) {
		t.Fatal("the pack is still there")
	}
	for _, name := range before {
		if _, err := o.Any(plumbing.NewHash(name)); err != nil {
			t.Error(err)
		}
	}
}

func TestObjectsRefusesImpossiblePacks(t *testing.T) {
	t.Parallel()
	offsetDelta := func(distance byte) []byte {
		return append([]byte{byte(plumbing.OFSDeltaObject)<<4 | 4, distance}, deflated(t, []byte("\x00\x00"), 6)...)
	}
	for name, object := range map[string][]byte{
		"no kind":                {0x04, 0},
		"a size without an end":  bytes.Repeat([]byte{0xb0}, 20),
		"more than it can hold":  append([]byte{0xb0, 0xff, 0xff, 0xff, 0xff, 0x7f}, deflated(t, nil, 6)...),
		"a base before the pack": offsetDelta(120),
		"itself as base":         offsetDelta(0),
		"a base of no name": append([]byte{byte(plumbing.REFDeltaObject)<<4 | 2},
			append(make([]byte, NameSize), deflated(t, []byte("\x00\x00"), 6)...)...),
	} {
		t.Run(name, func(t *testing.T) {
			r := gittest.NewObjectRig(t, t.TempDir())
			w, err := newPackWriter(filepath.Join(r.GitDir, "objects/pack/pack-"+gittest.HashA), 1)
			if err != nil {
				t.Fatal(err)
			}
			h := plumbing.NewHash(gittest.HashB)
			w.index.Add(h, packHeader, 0)
			if _, err := w.Write(object); err != nil {
				t.Fatal(err)
			}
			if _, err := w.finish(); err != nil {
				t.Fatal(err)
			}
			o := mustOpenObjects(t, r.GitDir)
			_, err = o.Any(h)
			isObjectError(t, err, h)
		})
	}
}

// TestPackIndexFindsItsNames compares the search in an index with a search from its beginning.
func TestPackIndexFindsItsNames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.Custom(func(t *rapid.T) plumbing.Hash { // few of them differ in their first eight bytes
			var h plumbing.Hash
			h[0] = rapid.SampledFrom([]byte{0, 1, 0x80, 0xff}).Draw(t, "first")
			h[7] = rapid.SampledFrom([]byte{0, 1, 0xff}).Draw(t, "eighth")
			h[19] = rapid.Byte().Draw(t, "last")
			return h
		})
		names := rapid.SliceOfNDistinct(name, 0, 50, func(h plumbing.Hash) plumbing.Hash { return h }).Draw(t, "names")
		slices.SortFunc(names, func(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) })
		x := packIndex{fanOut: make([]byte, fanOutSize)}
		for _, h := range names {
			x.names = append(x.names, h[:]...)
			for b := int(h[0]); b < 256; b++ {
				binary.BigEndian.PutUint32(x.fanOut[4*b:], uint32(x.upTo(b)+1))
			}
		}
		for _, h := range append(names, name.Draw(t, "another")) {
			i, ok := x.find(h)
			if want := slices.Index(names, h); ok != (want >= 0) || ok && i != want {
				t.Fatalf("%s is at %d (%v), want %d", h, i, ok, want)
			}
		}
	})
}

func TestMergeFilesKeepsTheOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		paths := rapid.SliceOfDistinct(rapid.StringN(1, 3, -1), func(s string) string { return s }).Draw(t, "paths")
		cut := rapid.IntRange(0, len(paths)).Draw(t, "cut")
		var lists [2][]TreeFile
		for i, list := range [][]string{paths[:cut], paths[cut:]} {
			slices.Sort(list)
			for _, p := range list {
				lists[i] = append(lists[i], TreeFile{Path: p})
			}
		}
		slices.Sort(paths)
		for i, f := range mergeFiles(lists[0], lists[1]) {
			if f.Path != paths[i] {
				t.Fatalf("at %d stands %q, want %q", i, f.Path, paths[i])
			}
		}
	})
}
