package object

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"
)

// maxLooseHeader bounds, in bytes, what stands before the contents of an object with a file of its own: its kind, its
// size and a NUL.
const maxLooseHeader = 32

// loose finds an object that has a file of its own.
func (o *Reader) loose(h plumbing.Hash) (storedObject, error) {
	name := h.String()
	for _, dir := range o.dirs {
		obj, err := o.looseFile(filepath.Join(dir, name[:2], name[2:]))
		if !errors.Is(err, fs.ErrNotExist) {
			return obj, err
		}
	}
	return storedObject{}, plumbing.ErrObjectNotFound
}

// looseFile reads an object's file, but of a large one the header only.
//
// go-git's objfile, which writes these files, is not used to read them: it looks for the end of a header as far as the
// file goes, so that one of 260 kB took 540 MB and 20 seconds.
func (o *Reader) looseFile(path string) (obj storedObject, err error) {
	f, err := os.Open(path)
	if err != nil {
		return obj, err
	}
	defer f.Close()
	src := &window{file: f, buf: o.scratch.packed[:0]}
	defer func() { o.scratch.packed = src.buf }()
	packed, err := src.at(0, windowSize)
	if err != nil {
		return obj, err
	}
	d := &o.scratch.inflater
	header, err := d.head(nil, maxLooseHeader, packed)
	if err != nil {
		return obj, err
	}
	var n int
	if obj.kind, obj.size, n, err = parseLooseHeader(header); err != nil {
		return obj, err
	}
	if obj.size > StreamThreshold {
		obj.open = func() (io.ReadCloser, error) { return openLoose(path, n) }
		return obj, nil
	}
	data, _, err := src.inflate(d, o.scratch.data, n+int(obj.size), 0)
	if err != nil {
		return obj, err
	}
	o.scratch.keep(data)
	obj.data = data[n:]
	return obj, nil
}

var errLooseHeader = errors.New("its header is malformed")

// parseLooseHeader reads what stands before an object's contents. It returns its size in bytes, too.
func parseLooseHeader(data []byte) (kind plumbing.ObjectType, size int64, n int, err error) {
	header, _, ok := bytes.Cut(data, []byte{0})
	name, digits, spaced := bytes.Cut(header, []byte(" "))
	if !ok || !spaced {
		return 0, 0, 0, errLooseHeader
	}
	if kind, err = plumbing.ParseObjectType(string(name)); err != nil || kind.IsDelta() {
		return 0, 0, 0, errLooseHeader
	}
	if size, err = strconv.ParseInt(string(digits), 10, 64); err != nil || size < 0 {
		return 0, 0, 0, errLooseHeader
	}
	return kind, size, len(header) + 1, nil
}

// openLoose streams the contents of an object's file, which stand behind a header of n bytes.
func openLoose(path string, n int) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	z, err := zlib.NewReader(f)
	if err == nil {
		_, err = io.CopyN(io.Discard, z, int64(n))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %q: %w", path, err), f.Close())
	}
	return looseStream{z, f}, nil
}

// looseStream closes the file with the stream.
type looseStream struct {
	io.ReadCloser
	file *os.File
}

func (s looseStream) Close() error { return errors.Join(s.ReadCloser.Close(), s.file.Close()) }
