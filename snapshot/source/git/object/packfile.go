package object

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"
)

const (
	// packHeader is the size in bytes of what stands before a pack's first object.
	packHeader = 12
	// maxHead bounds, in bytes, what stands before an object's compressed data: a size and the name of a base.
	maxHead = 10 + NameSize
	// windowSize is how many bytes of a pack are read at once where objects are read in the order in which they stand
	// there, as they mostly are.
	windowSize = 64 << 10
	// windowLeast is how many bytes are read at once, at least.
	windowLeast = 4 << 10
)

// window reads a file piece by piece. Packs are read and not mapped, because a mapped file that somebody cuts short
// ends the process, and because a piece costs no more than the faults of its pages.
type window struct {
	file  io.ReaderAt
	buf   []byte
	start int64 // of buf in the file
}

// at returns the bytes at an offset of the file: as many as are wanted and perhaps more, less only at the end of the
// file. They are valid until the next call.
func (w *window) at(offset int64, wanted int) ([]byte, error) {
	if skip := offset - w.start; skip >= 0 && skip+int64(wanted) <= int64(len(w.buf)) {
		return w.buf[skip:], nil
	}
	n := max(wanted, windowLeast)
	if ahead := offset - w.start; ahead >= 0 && ahead < 2*windowSize {
		n = max(wanted, windowSize)
	}
	if cap(w.buf) < n {
		w.buf = make([]byte, max(n, windowSize))
	}
	w.start = offset
	n, err := w.file.ReadAt(w.buf[:n], offset)
	w.buf = w.buf[:n]
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return w.buf, err
}

// inflate uncompresses the data at an offset, of which the size is known.
func (w *window) inflate(d *inflater, buf []byte, size int, offset int64) (data []byte, used int, err error) {
	for wanted := compressedBound(size); ; wanted *= 2 {
		src, err := w.at(offset, wanted)
		if err != nil {
			return nil, 0, err
		}
		data, used, err = d.inflate(buf, size, src)
		if !errors.Is(err, errCutOff) || len(src) < wanted {
			return data, used, err
		}
	}
}

// objectHead is what stands before an object's compressed data in a pack.
type objectHead struct {
	kind     plumbing.ObjectType
	size     int64         // of the data when inflated: the contents, or the delta
	offset   int64         // where the object begins
	body     int64         // where its compressed data begins
	base     int64         // the offset of an offset delta's base
	baseHash plumbing.Hash // the name of a reference delta's base
}

// head reads what stands before the object at an offset.
func (w *window) head(offset int64) (objectHead, error) {
	src, err := w.at(offset, maxHead)
	if err != nil {
		return objectHead{}, err
	}
	return parseObjectHead(src, offset)
}

var errHead = errors.New("what stands before the object is malformed or cut off")

func parseObjectHead(src []byte, offset int64) (h objectHead, err error) {
	h.offset = offset
	c, n := byte(0x80), 0
	for shift := 0; c&0x80 != 0; n++ {
		if n == len(src) || shift > 56 {
			return h, errHead
		}
		c = src[n]
		if n == 0 {
			h.kind, h.size, shift = plumbing.ObjectType(c>>4&7), int64(c&15), 4
			continue
		}
		h.size |= int64(c&0x7f) << shift
		shift += 7
	}
	src = src[n:]
	switch h.kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		h.body = offset + int64(n)
		return h, nil
	case plumbing.OFSDeltaObject:
		distance, used := offsetVarint(src)
		h.base, h.body = offset-int64(distance), offset+int64(n+used)
		if used == 0 || distance == 0 || h.base < packHeader {
			return h, errors.New("the base of a delta is not where it should be")
		}
		return h, nil
	case plumbing.REFDeltaObject:
		if len(src) < NameSize {
			return h, errHead
		}
		copy(h.baseHash[:], src)
		h.body = offset + int64(n+NameSize)
		return h, nil
	}
	return h, fmt.Errorf("it is of an unknown kind, %d", h.kind)
}

// pack is a pack with its index. It may be shared by goroutines, each with a window of its own.
type pack struct {
	file  *os.File
	size  int64
	index packIndex
}

func openPack(name string, x packIndex) (*pack, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &pack{f, info.Size(), x}, nil
}

// packReader reads objects of a pack, for one goroutine.
type packReader struct {
	*pack
	window window
	below  window // for bases of deltas: what is read next mostly stands behind the delta
	bases  *baseCache
	*scratch
}

func newPackReader(p *pack, bases *baseCache, s *scratch) *packReader {
	return &packReader{pack: p, window: window{file: p.file}, below: window{file: p.file}, bases: bases, scratch: s}
}

// scratch is what readers of one goroutine share.
type scratch struct {
	inflater inflater
	data     []byte      // the object that was read last
	packed   []byte      // the file of an object that has one of its own
	chain    []chainLink // the deltas that make the present object, the last first
}

// chainLink is a delta that is to be applied. Its buffer serves the next chain, too.
type chainLink struct {
	offset int64
	delta  []byte
}

// maxDeltaDepth bounds how long a chain of deltas may be, as in git.
const maxDeltaDepth = 4095

// head reads what stands before an object, and refuses a size that no stream of so many bytes can have.
func (p *packReader) head(w *window, offset int64) (objectHead, error) {
	const bestRatio = 1032 // of DEFLATE
	h, err := w.head(offset)
	if err == nil && h.size/bestRatio > p.size-h.body {
		err = errHead
	}
	return h, err
}

// read returns a whole object. It is valid until the next call, and must not be changed.
func (p *packReader) read(offset int64) (kind plumbing.ObjectType, data []byte, err error) {
	w := &p.window
	depth := 0
	for ; ; depth++ {
		if base, ok := p.bases.get(p.pack, offset); ok {
			kind, data = base.kind, base.data
			break
		}
		h, err := p.head(w, offset)
		if err != nil {
			return 0, nil, err
		}
		if !h.kind.IsDelta() {
			kind = h.kind
			if data, err = p.body(w, h, depth > 0); err != nil {
				return 0, nil, err
			}
			break
		}
		if depth == maxDeltaDepth {
			return 0, nil, fmt.Errorf("a chain of deltas is longer than %d", maxDeltaDepth)
		}
		if depth == len(p.chain) {
			p.chain = append(p.chain, chainLink{})
		}
		link := &p.chain[depth]
		link.offset = offset
		if link.delta, _, err = w.inflate(&p.inflater, link.delta, int(h.size), h.body); err != nil {
			return 0, nil, err
		}
		if offset, err = p.base(h); err != nil {
			return 0, nil, err
		}
		w = &p.below
	}
	data, err = p.patch(kind, data, p.chain[:depth])
	return kind, data, err
}

// body inflates an object that is no delta.
func (p *packReader) body(w *window, h objectHead, isBase bool) (data []byte, err error) {
	if isBase {
		data, _, err = w.inflate(&p.inflater, nil, int(h.size), h.body)
		if err == nil {
			p.bases.add(p.pack, h.offset, cachedBase{h.kind, data})
		}
		return data, err
	}
	data, _, err = w.inflate(&p.inflater, p.data, int(h.size), h.body)
	p.keep(data)
	return data, err
}

// patch applies deltas, the last of them first.
func (p *packReader) patch(kind plumbing.ObjectType, data []byte, chain []chainLink) (_ []byte, err error) {
	for i := len(chain) - 1; i > 0; i-- {
		if data, err = applyDelta(nil, data, chain[i].delta); err != nil {
			return nil, err
		}
		p.bases.add(p.pack, chain[i].offset, cachedBase{kind, data})
	}
	if len(chain) > 0 {
		if data, err = applyDelta(p.data, data, chain[0].delta); err != nil {
			return nil, err
		}
		p.keep(data)
	}
	return data, nil
}

// keep remembers a buffer for the next object, unless it is a large one.
func (s *scratch) keep(data []byte) {
	if len(data) <= StreamThreshold {
		s.data = data[:0]
	}
}

// base returns the offset of a delta's base.
func (p *packReader) base(h objectHead) (int64, error) {
	if h.kind == plumbing.OFSDeltaObject {
		return h.base, nil
	}
	i, ok := p.index.find(h.baseHash)
	if !ok {
		return 0, fmt.Errorf("the base %s of a delta is not in its pack", h.baseHash)
	}
	return p.index.offset(i)
}

// sizeAt returns the size of an object, and reads no more for it than the beginning of a delta.
func (p *packReader) sizeAt(offset int64) (int64, error) {
	h, err := p.head(&p.window, offset)
	if err != nil || !h.kind.IsDelta() {
		return h.size, err
	}
	const enough = 20 // two sizes
	src, err := p.window.at(h.body, compressedBound(int(min(h.size, windowSize/2))))
	if err != nil {
		return 0, err
	}
	if p.data, err = p.inflater.head(p.data, enough, src); err != nil {
		return 0, err
	}
	_, size, _, err := deltaSizes(p.data)
	return size, err
}

// kindAt returns the kind of an object: that of what all its deltas are based on.
func (p *packReader) kindAt(offset int64) (plumbing.ObjectType, error) {
	w := &p.window
	for range maxDeltaDepth + 1 {
		h, err := p.head(w, offset)
		if err != nil || !h.kind.IsDelta() {
			return h.kind, err
		}
		if offset, err = p.base(h); err != nil {
			return 0, err
		}
		w = &p.below
	}
	return 0, fmt.Errorf("a chain of deltas is longer than %d", maxDeltaDepth)
}

// stream returns the contents of an object that is no delta.
func (p *packReader) stream(h objectHead) (io.ReadCloser, error) {
	return zlib.NewReader(io.NewSectionReader(p.file, h.body, p.size-h.body))
}

// baseCache keeps the objects that were needed as bases of deltas, the latest of them.
type baseCache struct {
	bases map[baseKey]cachedBase
	order []baseKey // the oldest first
	size  int       // in bytes
}

type baseKey struct {
	pack   *pack
	offset int64
}

type cachedBase struct {
	kind plumbing.ObjectType
	data []byte
}

func (c *baseCache) get(p *pack, offset int64) (cachedBase, bool) {
	b, ok := c.bases[baseKey{p, offset}]
	return b, ok
}

func (c *baseCache) add(p *pack, offset int64, b cachedBase) {
	if len(b.data) > objectCacheSize/4 {
		return
	}
	if c.bases == nil {
		c.bases = map[baseKey]cachedBase{}
	}
	key := baseKey{p, offset}
	c.bases[key] = b
	c.order = append(c.order, key)
	for c.size += cap(b.data); c.size > objectCacheSize; c.order = c.order[1:] {
		c.size -= cap(c.bases[c.order[0]].data)
		delete(c.bases, c.order[0])
	}
}
