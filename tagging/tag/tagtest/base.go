// Package tagtest has what tests of tags want: a base on disk with tags in it.
package tagtest

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/tag"
)

// Base is an etch server's base on disk.
type Base struct {
	testing.TB
	tag.Base
}

// New makes a base with an empty working copy and no tags.
func New(t testing.TB) Base {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := Base{t, tag.Base{Path: filepath.Join(dir, "etchserver")}}
	b.Mkdir("trunk")
	b.Mkdir("tags/.etchtag/manifests")
	return b
}

// Join is the path of a name in the base.
func (b Base) Join(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(b.Path, name)
}

// Must fails the test on an error.
func (b Base) Must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// Mkdir makes a directory with all above it.
func (b Base) Mkdir(name string) {
	b.Helper()
	b.Must(os.MkdirAll(b.Join(name), 0o755))
}

// Write makes or replaces a file.
func (b Base) Write(name, contents string) {
	b.Helper()
	b.Must(os.WriteFile(b.Join(name), []byte(contents), 0o644))
}

// Link makes a symbolic link.
func (b Base) Link(target, name string) {
	b.Helper()
	b.Must(os.Symlink(target, b.Join(name)))
}

// Tag makes a tag with a manifest.
func (b Base) Tag(name string, published time.Time, contents string) {
	b.Helper()
	b.Mkdir("tags/" + name)
	m := tag.Manifest{Header: tag.Header{Name: name, Published: published},
		Entries: []tag.Entry{Entry('f', "file", contents)}}
	b.Write(b.Manifest(name), Text(b, &m))
}

// Index reads the index.
func (b Base) Index() *tag.Index {
	b.Helper()
	x, err := tag.ReadIndex(b.Base)
	b.Must(err)
	return x
}

// AsNobody does something as a user without privileges.
func (b Base) AsNobody(do func()) {
	b.Helper()
	if os.Geteuid() == 0 {
		// What testing makes for a temporary directory is closed to others.
		b.Must(os.Chmod(filepath.Dir(filepath.Dir(b.Path)), 0o755))
		b.Must(syscall.Seteuid(65534))
		defer func() { b.Must(syscall.Seteuid(0)) }()
	}
	do()
}

// Close takes all permissions of a file or directory away until the test ends.
func (b Base) Close(name string) {
	b.Helper()
	b.Must(os.Chmod(b.Join(name), 0))
	b.Cleanup(func() { b.Must(os.Chmod(b.Join(name), 0o755)) })
}

// Entry is the entry of a file.
func Entry(mode byte, path, contents string) tag.Entry {
	e := tag.Entry{Path: path, Mode: mode}
	if mode != tag.ModeEmptyDir {
		e.Size, e.Hash = int64(len(contents)), sha256.Sum256([]byte(contents))
	}
	return e
}

// Text is a manifest as it is written.
func Text(t Fataler, m *tag.Manifest) string {
	var b bytes.Buffer
	if err := tag.WriteManifest(&b, m); err != nil {
		t.Fatalf("%v", err)
	}
	return b.String()
}

// Fataler is a testing.TB or a rapid.T.
type Fataler interface{ Fatalf(string, ...any) }
