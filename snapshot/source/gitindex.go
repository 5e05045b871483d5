package source

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" // git's object names are SHA-1
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// packHeader is the size in bytes of what stands before a pack's first object.
const packHeader = 12

// packedObject is one object of a pack that is being indexed.
type packedObject struct {
	offset, body, end int64 // where it begins, where its compressed data begins and ends
	size              int64 // of the data when inflated: the contents, or the delta
	crc               uint32
	kind              plumbing.ObjectType
	base              int64         // the offset of an offset delta's base
	baseHash          plumbing.Hash // the name of a reference delta's base
	hash              plumbing.Hash // zero until it is known
}

// packIndexer computes the names of all objects of a pack. Unlike git it does not look for collisions
// of SHA-1: whoever can send us packs can send us any tree.
type packIndexer struct {
	file       *os.File
	objects    []packedObject
	byOffset   map[int64]int           // offset to the object's place in objects
	children   map[int][]int           // the deltas whose base is an object
	byBaseHash map[plumbing.Hash][]int // the deltas whose base is named
	claimed    []atomic.Bool           // the deltas whose base was found
}

// indexPack reads a whole pack and computes its index. The pack must hold the bases of all deltas.
func indexPack(f *os.File, checksum plumbing.Hash) (*idxfile.MemoryIndex, error) {
	p := &packIndexer{
		file: f, byOffset: map[int64]int{}, children: map[int][]int{}, byBaseHash: map[plumbing.Hash][]int{},
	}
	if err := p.scan(); err != nil {
		return nil, err
	}
	if err := p.resolve(); err != nil {
		return nil, err
	}
	var w idxfile.Writer
	if err := w.OnHeader(uint32(len(p.objects))); err != nil {
		return nil, err
	}
	for _, o := range p.objects {
		w.Add(o.hash, uint64(o.offset), o.crc)
	}
	if err := w.OnFooter(checksum); err != nil {
		return nil, err
	}
	return w.Index()
}

// scan passes over the pack once. It names all objects that are not deltas.
func (p *packIndexer) scan() error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	in := &packReader{r: io.NewSectionReader(p.file, 0, info.Size()-sha1.Size)}
	var header [packHeader]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return fmt.Errorf("it is cut off: %w", err)
	}
	version, count := binary.BigEndian.Uint32(header[4:]), binary.BigEndian.Uint32(header[8:])
	if string(header[:4]) != "PACK" || version != 2 && version != 3 {
		return fmt.Errorf("it begins with %q, which is no pack", header[:8])
	}
	inflate := &inflater{}
	for n := range int(count) {
		in.mark()
		in.crc = 0
		o := packedObject{offset: in.offset()}
		err := in.header(&o)
		if err == nil {
			o.body = in.offset()
			err = inflate.scan(in, &o)
		}
		if err != nil {
			return fmt.Errorf("object %d of %d at offset %d: %w", n+1, count, o.offset, err)
		}
		in.mark()
		o.end, o.crc = in.offset(), in.crc
		if err := p.link(n, o); err != nil {
			return err
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return fmt.Errorf("there is more in it than the %d objects that it announces", count)
	}
	return nil
}

// link adds an object, and a delta to the children of its base.
func (p *packIndexer) link(n int, o packedObject) error {
	p.objects = append(p.objects, o)
	p.byOffset[o.offset] = n
	switch o.kind {
	case plumbing.OFSDeltaObject:
		base, ok := p.byOffset[o.base]
		if !ok {
			return fmt.Errorf("the delta at offset %d has no base at offset %d", o.offset, o.base)
		}
		p.children[base] = append(p.children[base], n)
	case plumbing.REFDeltaObject:
		p.byBaseHash[o.baseHash] = append(p.byBaseHash[o.baseHash], n)
	}
	return nil
}

// resolve names the deltas, each after its base, on all processors.
func (p *packIndexer) resolve() error {
	p.claimed = make([]atomic.Bool, len(p.objects))
	var roots []int
	for n, o := range p.objects {
		if !o.kind.IsDelta() && (len(p.children[n]) > 0 || len(p.byBaseHash[o.hash]) > 0) {
			roots = append(roots, n)
		}
	}
	var next atomic.Int64
	errs := make([]error, runtime.GOMAXPROCS(0))
	var workers sync.WaitGroup
	for w := range errs {
		workers.Go(func() {
			inflate := &inflater{}
			for i := next.Add(1) - 1; i < int64(len(roots)) && errs[w] == nil; i = next.Add(1) - 1 {
				root := roots[i]
				data, err := p.inflate(inflate, root)
				if err == nil {
					err = p.descend(inflate, root, p.objects[root].kind, data, 0)
				}
				errs[w] = err
			}
		})
	}
	workers.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for n, o := range p.objects {
		if o.kind.IsDelta() && !p.claimed[n].Load() {
			return fmt.Errorf("the base of the delta at offset %d is not in it", o.offset)
		}
	}
	return nil
}

// maxDeltaDepth bounds how long a chain of deltas may be, as in git.
const maxDeltaDepth = 4095

// descend names the deltas whose base has the contents data, and theirs in turn.
func (p *packIndexer) descend(inflate *inflater, base int, kind plumbing.ObjectType, data []byte, depth int) error {
	if depth > maxDeltaDepth {
		return fmt.Errorf("a chain of deltas is longer than %d", maxDeltaDepth)
	}
	children := p.children[base]
	if named := p.byBaseHash[p.objects[base].hash]; len(named) > 0 {
		children = append(children[:len(children):len(children)], named...)
	}
	for _, child := range children {
		if p.claimed[child].Swap(true) {
			continue // its base is in the pack twice
		}
		delta, err := p.inflate(inflate, child)
		if err != nil {
			return err
		}
		o := &p.objects[child]
		content, err := packfile.PatchDelta(data, delta)
		if err != nil {
			return fmt.Errorf("the delta at offset %d: %w", o.offset, err)
		}
		o.hash = nameObject(kind, content)
		if err := p.descend(inflate, child, kind, content, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// inflate returns the data of an object that scan has seen whole.
func (p *packIndexer) inflate(inflate *inflater, n int) ([]byte, error) {
	o := p.objects[n]
	packed := make([]byte, o.end-o.body)
	if _, err := p.file.ReadAt(packed, o.body); err != nil {
		return nil, err
	}
	data := make([]byte, o.size)
	if err := inflate.reset(bytes.NewReader(packed)); err != nil {
		return nil, err
	}
	_, err := io.ReadFull(inflate.z, data)
	return data, err
}

// nameObject returns the name of an object with some contents.
func nameObject(kind plumbing.ObjectType, content []byte) plumbing.Hash {
	digest := sha1.New()
	digest.Write(objectHeader(kind, int64(len(content))))
	digest.Write(content)
	return plumbing.Hash(digest.Sum(nil))
}

// objectHeader returns what stands before an object's contents when its name is computed.
func objectHeader(kind plumbing.ObjectType, size int64) []byte {
	header := append([]byte(kind.String()), ' ')
	return append(strconv.AppendInt(header, size, 10), 0)
}

// inflater uncompresses one object after the other.
type inflater struct {
	z   io.ReadCloser
	buf []byte
}

func (i *inflater) reset(r io.Reader) (err error) {
	if i.z == nil {
		i.z, err = zlib.NewReader(r)
		return err
	}
	return i.z.(zlib.Resetter).Reset(r, nil)
}

// scan passes over an object's data, and names the object if it is no delta.
func (i *inflater) scan(in *packReader, o *packedObject) error {
	if err := i.reset(in); err != nil {
		return err
	}
	if i.buf == nil {
		i.buf = make([]byte, 64<<10)
	}
	digest := sha1.New()
	digest.Write(objectHeader(o.kind, o.size))
	n, err := io.CopyBuffer(digest, io.LimitReader(onlyReader{i.z}, o.size+1), i.buf)
	if err != nil {
		return err
	}
	if n != o.size {
		return fmt.Errorf("its size is not the %d bytes that are announced", o.size)
	}
	if !o.kind.IsDelta() {
		o.hash = plumbing.Hash(digest.Sum(nil))
	}
	return nil
}

// packReader reads a pack, byte by byte where the reader wants that, so that it knows where the
// compressed data of an object ends.
type packReader struct {
	r      io.Reader
	buf    []byte
	at     int    // the next byte in buf
	marked int    // where in buf the bytes begin that are not in crc yet
	before int64  // the offset of buf's first byte
	crc    uint32 // of the bytes between two marks
}

func (p *packReader) offset() int64 { return p.before + int64(p.at) }

// mark brings the checksum up to the present offset.
func (p *packReader) mark() {
	p.crc = crc32.Update(p.crc, crc32.IEEETable, p.buf[p.marked:p.at])
	p.marked = p.at
}

func (p *packReader) fill() error {
	if p.at < len(p.buf) {
		return nil
	}
	p.mark()
	p.before += int64(len(p.buf))
	if p.buf == nil {
		p.buf = make([]byte, 256<<10)
	}
	n, err := p.r.Read(p.buf[:cap(p.buf)])
	p.buf, p.at, p.marked = p.buf[:n], 0, 0
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// ReadByte returns the next byte.
func (p *packReader) ReadByte() (byte, error) {
	if p.at >= len(p.buf) {
		if err := p.fill(); err != nil {
			return 0, err
		}
	}
	p.at++
	return p.buf[p.at-1], nil
}

// Read returns the next bytes.
func (p *packReader) Read(b []byte) (int, error) {
	if err := p.fill(); err != nil {
		return 0, err
	}
	n := copy(b, p.buf[p.at:])
	p.at += n
	return n, nil
}

// header reads what stands before an object's compressed data.
func (p *packReader) header(o *packedObject) error {
	c, err := p.ReadByte()
	if err != nil {
		return err
	}
	o.kind = plumbing.ObjectType(c >> 4 & 7)
	o.size = int64(c & 15)
	for shift := 4; c&0x80 != 0; shift += 7 {
		if c, err = p.ReadByte(); err != nil {
			return err
		}
		if shift > 56 {
			return errors.New("its size is out of bounds")
		}
		o.size |= int64(c&0x7f) << shift
	}
	switch o.kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		return nil
	case plumbing.OFSDeltaObject:
		distance, err := p.distance()
		o.base = o.offset - distance
		return err
	case plumbing.REFDeltaObject:
		_, err := io.ReadFull(p, o.baseHash[:])
		return err
	}
	return fmt.Errorf("it is of an unknown kind, %d", o.kind)
}

// distance reads how far before a delta its base is.
func (p *packReader) distance() (int64, error) {
	c, err := p.ReadByte()
	if err != nil {
		return 0, err
	}
	d := int64(c & 0x7f)
	for c&0x80 != 0 {
		if c, err = p.ReadByte(); err != nil {
			return 0, err
		}
		if d > 1<<54 {
			return 0, errors.New("the distance of its base is out of bounds")
		}
		d = (d+1)<<7 | int64(c&0x7f)
	}
	return d, nil
}
