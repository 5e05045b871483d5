package tagging_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
)

// base is an etch server's base on disk.
type base struct {
	testing.TB
	tagging.Layout
}

func newBase(t testing.TB) base {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := base{t, tagging.Layout{Base: filepath.Join(dir, "etchserver")}}
	b.mkdir("trunk")
	b.mkdir("tags/.etchtag/manifests")
	return b
}

func (b base) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(b.Base, name)
}

func (b base) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b base) mkdir(name string) {
	b.Helper()
	b.must(os.MkdirAll(b.path(name), 0o755))
}

func (b base) write(name, contents string) {
	b.Helper()
	b.must(os.WriteFile(b.path(name), []byte(contents), 0o644))
}

func (b base) link(target, name string) {
	b.Helper()
	b.must(os.Symlink(target, b.path(name)))
}

// tag makes a tag with a manifest.
func (b base) tag(name string, published time.Time, contents string) {
	b.Helper()
	b.mkdir("tags/" + name)
	m := tagging.Manifest{Header: tagging.Header{Name: name, Published: published},
		Entries: []tagging.ManifestEntry{entry('f', "file", contents)}}
	b.write(b.Manifest(name), manifestText(b, &m))
}

func (b base) index() *tagging.Index {
	b.Helper()
	x, err := tagging.ReadIndex(b.Layout)
	b.must(err)
	return x
}

// asNobody does something as a user without privileges.
func (b base) asNobody(do func()) {
	b.Helper()
	if os.Geteuid() == 0 {
		// What testing makes for a temporary directory is closed to others.
		b.must(os.Chmod(filepath.Dir(filepath.Dir(b.Base)), 0o755))
		b.must(syscall.Seteuid(65534))
		defer func() { b.must(syscall.Seteuid(0)) }()
	}
	do()
}

// close takes all permissions of a file or directory away until the test ends.
func (b base) close(name string) {
	b.Helper()
	b.must(os.Chmod(b.path(name), 0))
	b.Cleanup(func() { b.must(os.Chmod(b.path(name), 0o755)) })
}

// entry is the entry of a file.
func entry(mode byte, path, contents string) tagging.ManifestEntry {
	e := tagging.ManifestEntry{Path: path, Mode: mode}
	if mode != tagging.ModeEmptyDir {
		e.Size, e.Hash = int64(len(contents)), sha256.Sum256([]byte(contents))
	}
	return e
}

// manifestText is a manifest as it is written.
func manifestText(t fataler, m *tagging.Manifest) string {
	var b bytes.Buffer
	if err := tagging.WriteManifest(&b, m); err != nil {
		t.Fatalf("%v", err)
	}
	return b.String()
}

type fataler interface{ Fatalf(string, ...any) }
