package object

import (
	"crypto/sha1"
	"hash"

	"github.com/go-git/go-git/v5/plumbing"
)

// Trailer checks that the last 20 bytes written to it are the SHA-1 of those before.
type Trailer struct {
	digest hash.Hash
	last   []byte
}

// NewTrailer returns a writer that sums up all but the last 20 bytes, which are the checksum of a pack or an index.
func NewTrailer() Trailer { return Trailer{digest: sha1.New()} }

func (t *Trailer) Write(p []byte) (int, error) {
	t.last = append(t.last, p...)
	cut := max(0, len(t.last)-sha1.Size)
	t.digest.Write(t.last[:cut])
	t.last = t.last[:copy(t.last, t.last[cut:])]
	return len(p), nil
}

func (t *Trailer) Holds() bool { return string(t.digest.Sum(nil)) == string(t.last) }

func (t *Trailer) sum() (h plumbing.Hash) {
	copy(h[:], t.last)
	return h
}
