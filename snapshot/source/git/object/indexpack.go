package object

import (
	"bufio"
	"cmp"
	"crypto/sha1" // git's object names are SHA-1
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/klauspost/compress/zlib"
)

// packedObject is one object of a pack that is being indexed.
type packedObject struct {
	objectHead
	end     int64 // where its compressed data ends
	crc     uint32
	hash    plumbing.Hash // zero until it is known
	child   int           // the last delta of which this is the base, as one more than its place; 0: there is none
	sibling int           // the same, of the delta before this one with the same base
}

// packIndexer computes the names of all objects of a pack. Unlike git it does not look for collisions
// of SHA-1: whoever can send us packs can send us any tree.
type packIndexer struct {
	file       *os.File
	end        int64                   // of the objects: where the pack's checksum begins
	objects    []packedObject          // by offset
	byBaseHash map[plumbing.Hash][]int // the deltas whose base is named
	claimed    []atomic.Bool           // the deltas whose base was found
}

// indexPack reads a whole pack and computes its index. The pack must hold the bases of all deltas.
func indexPack(f *os.File, checksum plumbing.Hash) (x packIndex, err error) {
	info, err := f.Stat()
	if err != nil {
		return x, err
	}
	p := &packIndexer{file: f, end: info.Size() - sha1.Size, byBaseHash: map[plumbing.Hash][]int{}}
	if err := p.scan(); err != nil {
		return x, err
	}
	if err := p.resolve(); err != nil {
		return x, err
	}
	var w idxfile.Writer
	if err := w.OnHeader(uint32(len(p.objects))); err != nil {
		return x, err
	}
	for i := range p.objects {
		o := &p.objects[i]
		w.Add(o.hash, uint64(o.offset), o.crc)
	}
	file, err := encodePackIndex(&w, checksum)
	if err != nil {
		return x, err
	}
	return parsePackIndex(file)
}

// ReadAt reads of the pack what comes before its checksum.
func (p *packIndexer) ReadAt(b []byte, offset int64) (int, error) {
	return io.NewSectionReader(p.file, 0, p.end).ReadAt(b, offset)
}

// scan passes over the pack once. It names all objects that are not deltas.
func (p *packIndexer) scan() error {
	s := &packScan{packIndexer: p, window: window{file: p}, namer: newNamer()}
	header, err := s.window.at(0, packHeader)
	if err != nil || len(header) < packHeader {
		return errors.Join(errors.New("it is cut off"), err)
	}
	version, count := binary.BigEndian.Uint32(header[4:]), binary.BigEndian.Uint32(header[8:])
	if string(header[:4]) != "PACK" || version != 2 && version != 3 {
		return fmt.Errorf("it begins with %q, which is no pack", header[:8])
	}
	offset := int64(packHeader)
	for n := range int(count) {
		o, err := s.object(offset)
		if err != nil {
			return fmt.Errorf("object %d of %d at offset %d: %w", n+1, count, offset, err)
		}
		if err := p.link(n, o); err != nil {
			return err
		}
		offset = o.end
	}
	if offset != p.end {
		return fmt.Errorf("there is more in it than the %d objects that it announces", count)
	}
	return nil
}

// packScan passes over a pack.
type packScan struct {
	*packIndexer
	window   window
	inflater inflater
	data     []byte
	namer    namer
}

// object passes over one object.
func (s *packScan) object(offset int64) (o packedObject, err error) {
	if o.objectHead, err = s.window.head(offset); err != nil {
		return o, err
	}
	if o.size > StreamThreshold {
		err = s.large(&o)
		return o, err
	}
	for wanted := int(o.body-offset) + compressedBound(int(o.size)); ; wanted *= 2 {
		src, err := s.window.at(offset, wanted)
		if err != nil || int64(len(src)) < o.body-offset {
			return o, errors.Join(errCutOff, err)
		}
		var used int
		s.data, used, err = s.inflater.inflate(s.data, int(o.size), src[o.body-offset:])
		if errors.Is(err, errCutOff) && len(src) >= wanted {
			continue
		}
		if err != nil {
			return o, err
		}
		o.end = o.body + int64(used)
		o.crc = crc32.ChecksumIEEE(src[:o.end-offset])
		if !o.kind.IsDelta() {
			o.hash = s.namer.name(o.kind, s.data)
		}
		return o, nil
	}
}

// large passes over an object that is not held in memory.
func (s *packScan) large(o *packedObject) error {
	section := io.NewSectionReader(s, o.body, s.end-o.body)
	in := bufio.NewReaderSize(section, windowSize) // from which no more is taken than the stream has
	z, err := zlib.NewReader(in)
	if err != nil {
		return err
	}
	s.namer.begin(o.kind, o.size)
	n, err := io.Copy(s.namer.digest, io.LimitReader(z, o.size+1))
	if err != nil {
		return err
	}
	if n != o.size {
		return errWrongSize
	}
	read, _ := section.Seek(0, io.SeekCurrent) // cannot fail
	o.end = o.body + read - int64(in.Buffered())
	if !o.kind.IsDelta() {
		o.hash = s.namer.sum()
	}
	crc := crc32.NewIEEE()
	_, err = io.Copy(crc, io.NewSectionReader(s, o.offset, o.end-o.offset))
	o.crc = crc.Sum32()
	return err
}

// link adds an object, and a delta to the children of its base.
func (p *packIndexer) link(n int, o packedObject) error {
	switch o.kind {
	case plumbing.OFSDeltaObject:
		base, ok := slices.BinarySearchFunc(p.objects, o.base, func(b packedObject, offset int64) int {
			return cmp.Compare(b.offset, offset)
		})
		if !ok {
			return fmt.Errorf("the delta at offset %d has no base at offset %d", o.offset, o.base)
		}
		o.sibling, p.objects[base].child = p.objects[base].child, n+1
	case plumbing.REFDeltaObject:
		p.byBaseHash[o.baseHash] = append(p.byBaseHash[o.baseHash], n)
	}
	p.objects = append(p.objects, o)
	return nil
}

// resolve names the deltas, each after its base, on all processors.
func (p *packIndexer) resolve() error {
	p.claimed = make([]atomic.Bool, len(p.objects))
	var next atomic.Int64
	errs := make([]error, runtime.GOMAXPROCS(0))
	var workers sync.WaitGroup
	for w := range errs {
		workers.Go(func() {
			r := &deltaResolver{packIndexer: p, namer: newNamer()}
			for n := next.Add(1) - 1; n < int64(len(p.objects)) && errs[w] == nil; n = next.Add(1) - 1 {
				errs[w] = r.root(int(n))
			}
		})
	}
	workers.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for n := range p.objects {
		if o := &p.objects[n]; o.kind.IsDelta() && !p.claimed[n].Load() {
			return fmt.Errorf("the base of the delta at offset %d is not in it", o.offset)
		}
	}
	return nil
}

// deltaResolver names deltas, in one goroutine.
type deltaResolver struct {
	*packIndexer
	inflater inflater
	packed   []byte
	delta    []byte
	contents [][]byte // of the objects on the way from the root, for the next to be written over
	namer    namer
}

// root names the deltas that lead to an object which is none itself.
func (r *deltaResolver) root(n int) (err error) {
	o := &r.objects[n]
	if o.kind.IsDelta() || o.child == 0 && len(r.byBaseHash[o.hash]) == 0 {
		return nil
	}
	data := r.buffer(0)
	if *data, err = r.inflate(*data, n); err != nil {
		return err
	}
	return r.descend(n, o.kind, *data, 1)
}

func (r *deltaResolver) buffer(depth int) *[]byte {
	if depth == len(r.contents) {
		r.contents = append(r.contents, nil)
	}
	return &r.contents[depth]
}

// descend names the deltas whose base has the contents data, and theirs in turn.
func (r *deltaResolver) descend(base int, kind plumbing.ObjectType, data []byte, depth int) error {
	if depth > maxDeltaDepth {
		return fmt.Errorf("a chain of deltas is longer than %d", maxDeltaDepth)
	}
	o := &r.objects[base]
	for child := o.child; child > 0; child = r.objects[child-1].sibling {
		if err := r.apply(child-1, kind, data, depth); err != nil {
			return err
		}
	}
	for _, child := range r.byBaseHash[o.hash] {
		if err := r.apply(child, kind, data, depth); err != nil {
			return err
		}
	}
	return nil
}

// apply names one delta, and those that lead to it.
func (r *deltaResolver) apply(n int, kind plumbing.ObjectType, base []byte, depth int) (err error) {
	if r.claimed[n].Swap(true) {
		return nil // its base is in the pack twice
	}
	if r.delta, err = r.inflate(r.delta, n); err != nil {
		return err
	}
	o := &r.objects[n]
	content, err := applyDelta(*r.buffer(depth), base, r.delta)
	if err != nil {
		return fmt.Errorf("the delta at offset %d: %w", o.offset, err)
	}
	*r.buffer(depth) = content
	o.hash = r.namer.name(kind, content)
	return r.descend(n, kind, content, depth+1)
}

// inflate returns the data of an object that scan has seen whole.
func (r *deltaResolver) inflate(buf []byte, n int) ([]byte, error) {
	o := &r.objects[n]
	r.packed = slices.Grow(r.packed[:0], int(o.end-o.body))[:o.end-o.body]
	if _, err := r.ReadAt(r.packed, o.body); err != nil {
		return nil, err
	}
	data, _, err := r.inflater.inflate(buf, int(o.size), r.packed)
	return data, err
}

// namer computes the names of objects, one after the other.
type namer struct {
	digest hash.Hash
	buf    []byte
}

func newNamer() namer { return namer{digest: sha1.New()} }

// begin starts with an object, whose contents are then to be written to the digest.
func (n *namer) begin(kind plumbing.ObjectType, size int64) {
	n.buf = appendObjectHeader(n.buf[:0], kind, size)
	n.digest.Reset()
	n.digest.Write(n.buf)
}

// sum is the name.
func (n *namer) sum() plumbing.Hash {
	n.buf = n.digest.Sum(n.buf[:0])
	return plumbing.Hash(n.buf)
}

// name returns the name of an object with some contents.
func (n *namer) name(kind plumbing.ObjectType, content []byte) plumbing.Hash {
	n.begin(kind, int64(len(content)))
	n.digest.Write(content)
	return n.sum()
}

// appendObjectHeader appends what stands before an object's contents when its name is computed.
func appendObjectHeader(buf []byte, kind plumbing.ObjectType, size int64) []byte {
	buf = append(append(buf, kindName(kind)...), ' ')
	return append(strconv.AppendInt(buf, size, 10), 0)
}

// kindName returns the name of a kind, without making it anew.
func kindName(kind plumbing.ObjectType) string {
	switch kind {
	case plumbing.BlobObject:
		return "blob"
	case plumbing.TreeObject:
		return "tree"
	case plumbing.CommitObject:
		return "commit"
	}
	return kind.String()
}
