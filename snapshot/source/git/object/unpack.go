package object

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"crypto/sha1" // git's object names are SHA-1
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"os"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
)

// packWriter writes a pack and its index.
type packWriter struct {
	stem   string // the files are stem.pack and stem.idx
	file   *os.File
	out    *bufio.Writer
	offset int64
	crc    uint32 // of the present object
	digest hash.Hash
	packed *zlib.Writer // of the present object; a new one would be 0.8 MB each time
	index  idxfile.Writer
}

// newPackWriter begins a pack of count objects.
func newPackWriter(stem string, count int) (*packWriter, error) {
	f, err := disk.NewFile(stem+".pack", 0o666)
	if err != nil {
		return nil, err
	}
	p := &packWriter{
		stem: stem, file: f, out: bufio.NewWriterSize(f, 1<<20),
		digest: sha1.New(),
	}
	p.packed = zlib.NewWriter(p)
	header := []byte("PACK\x00\x00\x00\x02")
	header = binary.BigEndian.AppendUint32(header, uint32(count))
	_, err = p.Write(header)
	return p, errors.Join(err, p.index.OnHeader(uint32(count)))
}

// Write takes the next bytes of the pack.
func (p *packWriter) Write(data []byte) (int, error) {
	n, err := p.out.Write(data)
	p.offset += int64(n)
	p.crc = crc32.Update(p.crc, crc32.IEEETable, data[:n])
	p.digest.Write(data[:n])
	return n, err
}

// add writes one object, and proves it.
func (p *packWriter) add(obj storedObject) error {
	r, err := obj.reader()
	if err != nil {
		return err
	}
	defer r.Close()
	start := p.offset
	p.crc = 0
	if _, err := p.Write(packedHeader(obj.kind, obj.size)); err != nil {
		return err
	}
	name := sha1.New()
	name.Write(appendObjectHeader(nil, obj.kind, obj.size))
	p.packed.Reset(p)
	_, err = io.Copy(io.MultiWriter(name, p.packed), r)
	if err = errors.Join(err, p.packed.Close()); err != nil {
		return err
	}
	if err := proved(obj.hash, plumbing.Hash(name.Sum(nil))); err != nil {
		return err
	}
	p.index.Add(obj.hash, uint64(start), p.crc)
	return nil
}

// packedHeader returns what stands before an object's compressed data in a pack.
func packedHeader(kind plumbing.ObjectType, size int64) []byte {
	c := byte(kind)<<4 | byte(size&15)
	var header []byte
	for size >>= 4; size > 0; size >>= 7 {
		header = append(header, c|0x80)
		c = byte(size & 0x7f)
	}
	return append(header, c)
}

// finish completes the pack and writes the index. It returns the pack's checksum.
func (p *packWriter) finish() (checksum plumbing.Hash, err error) {
	copy(checksum[:], p.digest.Sum(nil))
	_, err = p.Write(checksum[:])
	if err = errors.Join(err, p.out.Flush(), p.file.Close()); err != nil {
		return checksum, err
	}
	index, err := encodePackIndex(&p.index, checksum)
	if err == nil {
		err = disk.WriteFile(p.stem+".idx", index, 0o644)
	}
	return checksum, err
}

// close gives up a pack that was not finished; after finish it does nothing.
func (p *packWriter) close() { _ = p.file.Close() }

// encodePackIndex makes the file of a pack's index. An object that is in the pack twice is in it once.
func encodePackIndex(w *idxfile.Writer, packSum plumbing.Hash) ([]byte, error) {
	if err := w.OnFooter(packSum); err != nil {
		return nil, err
	}
	index, err := w.Index()
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	_, err = idxfile.NewEncoder(&file).Encode(index)
	return file.Bytes(), err
}
