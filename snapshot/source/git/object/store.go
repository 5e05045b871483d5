package object

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/objfile"
)

const (
	// LooseLimit is the number of objects from which on a pack is kept as it came. Smaller ones are
	// unpacked, so that hourly updates do not pile up packs, each of which every lookup must ask.
	LooseLimit = 100
	// looseBytes is the size in bytes up to which a small pack is unpacked.
	looseBytes = 16 << 20
	// maxHaves bounds the commits that a server is told we have.
	maxHaves = 256
)

// Store adds objects to a repository so that a crash at any point leaves it whole: all is
// written under temporary names and made durable before it gets the names that readers look for.
type Store struct {
	Refs     repo.Refs
	Progress source.ProgressFunc
	proved   plumbing.Hash // the commit whose tree was proved last; nothing is ever taken away
	Files    []TreeFile    // its files, if nothing was known to compare it with
}

// Dir is the directory of all objects.
func (s *Store) Dir() string { return filepath.Join(s.Refs.CommonDir, "objects") }

// Step announces an operation by its label, and does it.
func (s *Store) Step(label string, do func() error) error {
	return disk.Labelled(s.Refs.Step, label, do)
}

// Haves lists recent commits that we have with all that they need: those which refs lead to.
func (s *Store) Haves() ([]plumbing.Hash, error) {
	objs, err := Open(s.Refs.CommonDir)
	if err != nil {
		return nil, err
	}
	defer objs.Close()
	var haves []plumbing.Hash
	seen := map[plumbing.Hash]bool{}
	tips, err := s.Tips()
	if err != nil {
		return nil, err
	}
	for next := tips; len(next) > 0 && len(haves) < maxHaves; next = next[1:] {
		h := next[0]
		if seen[h] {
			continue
		}
		seen[h] = true
		commit, err := objs.Commit(h)
		if err != nil {
			continue // a ref to something else or to nothing: not one of ours
		}
		haves = append(haves, h)
		next = append(next, commit.Parents...)
	}
	return haves, nil
}

// Tips returns what branches stand for, upstream's first.
func (s *Store) Tips() ([]plumbing.Hash, error) {
	var tips []plumbing.Hash
	for _, prefix := range []string{"refs/remotes/", repo.HeadsPrefix} {
		refs, err := s.Refs.List(prefix)
		if err != nil {
			return nil, err
		}
		for _, h := range refs {
			tips = append(tips, h)
		}
	}
	return tips, nil
}

// incomingPack is a pack that is being received.
type incomingPack struct {
	store *Store
	dir   string // a directory of its own below objects
	file  *os.File
	out   *bufio.Writer
	size  int64
	sum   Trailer
}

// Receive makes room for a pack.
func (s *Store) Receive() (*incomingPack, error) {
	dir, err := s.Staging()
	if err != nil {
		return nil, err
	}
	var f *os.File
	err = s.Step("create pack", func() (err error) {
		f, err = disk.NewFile(filepath.Join(dir, "pack.pack"), 0o666)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, disk.RemovePath(dir))
	}
	return &incomingPack{store: s, dir: dir, file: f, out: bufio.NewWriterSize(f, 1<<20), sum: NewTrailer()}, nil
}

// Staging makes a directory for what has not got its name yet.
func (s *Store) Staging() (string, error) {
	var dir string
	err := s.Step("create objects", func() (err error) {
		dir, err = disk.MakeTemp(s.Dir(), disk.TempPrefix+"*")
		return err
	})
	if err != nil {
		return "", fmt.Errorf("make room for objects: %w", err)
	}
	return dir, nil
}

// Write takes the next bytes of the pack.
func (p *incomingPack) Write(data []byte) (int, error) {
	_, _ = p.sum.Write(data)
	n, err := p.out.Write(data)
	p.size += int64(n)
	return n, err
}

// Discard forgets a pack, or what is left of it after keep.
func (p *incomingPack) Discard() {
	_ = p.file.Close()
	p.store.Unstage(p.dir)
}

// Unstage removes what staging has made. What stays is removed by the next run.
func (s *Store) Unstage(dir string) {
	_ = s.Step("remove staged objects", func() error { return disk.RemovePath(dir) })
}

// Keep checks the pack and adds its objects to the repository.
func (p *incomingPack) Keep() error {
	if err := p.store.Step("write pack", p.out.Flush); err != nil {
		return fmt.Errorf("write the pack: %w", err)
	}
	if err := p.check(); err != nil {
		return fmt.Errorf("the pack that upstream sent: %w", err)
	}
	index, err := indexPack(p.file, p.sum.sum())
	if err != nil {
		return fmt.Errorf("the pack that upstream sent: %w", err)
	}
	count := index.count()
	if count == 0 {
		return nil
	}
	if count < LooseLimit && p.size < looseBytes {
		return p.unpack(index)
	}
	err = p.store.Step("write pack index", func() error {
		return disk.WriteFile(filepath.Join(p.dir, "pack.idx"), index.file, 0o644)
	})
	if err != nil {
		return err
	}
	return p.store.AddPack(filepath.Join(p.dir, "pack"), p.sum.sum())
}

// check proves the pack's checksum.
func (p *incomingPack) check() error {
	var header [packHeader]byte
	if _, err := p.file.ReadAt(header[:], 0); err != nil || string(header[:4]) != "PACK" {
		return errors.Join(errors.New("it is cut off or none"), err)
	}
	if !p.sum.Holds() {
		return errors.New("it is damaged: its checksum is not that of its contents")
	}
	return nil
}

// AddPack gives the files stem.pack and stem.idx their names. Readers look for the pack or for the
// index first, and use neither without the other.
func (s *Store) AddPack(stem string, checksum plumbing.Hash) error {
	packDir := filepath.Join(s.Dir(), "pack")
	err := s.Step("protect pack", func() error {
		return errors.Join(disk.MakeDirs(packDir), disk.Chmod(stem+".idx", 0o444), disk.Chmod(stem+".pack", 0o444))
	})
	if err != nil {
		return err
	}
	if err := s.Step("sync pack", func() error { return disk.SyncFS(packDir) }); err != nil {
		return err
	}
	name := filepath.Join(packDir, "pack-"+checksum.String())
	if err := s.Step("rename idx", func() error { return disk.Rename(stem+".idx", name+".idx") }); err != nil {
		return err
	}
	if err := s.Step("rename pack", func() error { return disk.Rename(stem+".pack", name+".pack") }); err != nil {
		return err
	}
	return s.Step("sync pack names", func() error { return disk.SyncDir(packDir) })
}

// unpack writes the objects of a small pack as files of their own.
func (p *incomingPack) unpack(index packIndex) error {
	r := newPackReader(&pack{p.file, p.size, index}, &baseCache{}, &scratch{})
	batch := &LooseBatch{Store: p.store, Dir: p.dir}
	for i := range index.count() {
		var obj storedObject
		offset, err := index.offset(i)
		if err == nil {
			obj, err = r.find(offset)
		}
		if err == nil {
			obj.hash = plumbing.Hash(index.name(i))
			err = batch.add(obj)
		}
		if err != nil {
			return fmt.Errorf("unpack the object %x: %w", index.name(i), err)
		}
	}
	return batch.Commit()
}

// LooseBatch is a number of objects that are written as files of their own.
type LooseBatch struct {
	Store *Store
	Dir   string // where they are until commit
	Names []plumbing.Hash
}

// add writes one object and proves it. The library's writers share their compressors: to make one is 0.8 MB, and an
// object of 2 kB took 0.57 ms with one of its own and takes 0.07.
func (b *LooseBatch) add(obj storedObject) error {
	r, err := obj.reader()
	if err != nil {
		return err
	}
	defer r.Close()
	var f *os.File
	err = b.Store.Step("write object", func() error {
		f, err = disk.NewFile(filepath.Join(b.Dir, obj.hash.String()), 0o666)
		return err
	})
	if err != nil {
		return err
	}
	w := objfile.NewWriter(f)
	if err = w.WriteHeader(obj.kind, obj.size); err == nil {
		_, err = io.Copy(w, io.LimitReader(r, obj.size)) // what may follow is no part of it
	}
	err = errors.Join(err, w.Close(), f.Chmod(0o444), f.Close())
	if err == nil {
		err = proved(obj.hash, w.Hash())
	}
	b.Names = append(b.Names, obj.hash)
	return err
}

// Commit makes the objects durable and gives them their names.
func (b *LooseBatch) Commit() error {
	if err := b.Store.Step("sync objects", func() error { return disk.SyncFS(b.Dir) }); err != nil {
		return err
	}
	for _, name := range b.Names {
		to := b.Store.LoosePath(name)
		var err error
		if dir := filepath.Dir(to); !disk.Exists(dir) {
			err = b.Store.Step("make object directory", func() error { return disk.MakeDirs(dir) })
		}
		if err == nil {
			err = b.Store.Step("rename object", func() error {
				return disk.Rename(filepath.Join(b.Dir, name.String()), to)
			})
		}
		if err != nil {
			return fmt.Errorf("add the object %s: %w", name, err)
		}
	}
	return b.Store.Step("sync object names", func() error { return disk.SyncFS(b.Dir) })
}

// CheckConnected proves that a commit's tree is whole, as far as it differs from that of a commit
// that is known to be whole; the zero hash means that none is. Contents of files are not read.
func CheckConnected(ctx context.Context, gitDir string, target, known plumbing.Hash) error {
	objs, err := Open(gitDir)
	if err != nil {
		return err
	}
	defer objs.Close()
	commit, err := objs.Commit(target)
	if err != nil {
		return err
	}
	c := connectivity{objs: objs, seen: map[plumbing.Hash]bool{}}
	if known.IsZero() {
		return c.tree(ctx, commit.Tree, plumbing.ZeroHash)
	}
	old, err := objs.Commit(known)
	if err != nil {
		return err
	}
	return c.tree(ctx, commit.Tree, old.Tree)
}

type connectivity struct {
	objs *Reader
	seen map[plumbing.Hash]bool
}

func (c *connectivity) tree(ctx context.Context, h, known plumbing.Hash) error {
	if h == known || c.seen[h] {
		return nil
	}
	c.seen[h] = true
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := c.objs.Tree(h)
	if err != nil {
		return err
	}
	before := map[string]treeEntry{}
	if !known.IsZero() {
		old, err := c.objs.Tree(known)
		if err != nil {
			return err
		}
		for _, e := range old {
			before[e.Name] = e
		}
	}
	for _, e := range entries {
		old := before[e.Name]
		switch {
		case e.Hash == old.Hash || e.Mode == filemode.Submodule:
		case e.Mode == filemode.Dir:
			if old.Mode != filemode.Dir {
				old.Hash = plumbing.ZeroHash
			}
			if err := c.tree(ctx, e.Hash, old.Hash); err != nil {
				return err
			}
		case !c.objs.Has(e.Hash):
			return &Error{e.Hash, plumbing.ErrObjectNotFound}
		}
	}
	return nil
}

// AddFrom copies objects out of another object database, in the order given.
func (s *Store) AddFrom(src *Reader, list []plumbing.Hash) error {
	if len(list) == 0 {
		return nil
	}
	dir, err := s.Staging()
	if err != nil {
		return err
	}
	defer s.Unstage(dir)
	if len(list) >= LooseLimit {
		return s.addPacked(dir, src, list)
	}
	batch := &LooseBatch{Store: s, Dir: dir}
	for _, h := range list {
		obj, err := src.Any(h)
		if err == nil {
			err = batch.add(obj)
		}
		if err != nil {
			return err
		}
	}
	return batch.Commit()
}

// Prove checks that the tree of a commit that was fetched is whole. known is a commit that is known to be; if none is,
// all of the tree is read, and the list of its files kept.
func (s *Store) Prove(ctx context.Context, target, known plumbing.Hash) (err error) {
	switch {
	case target == s.proved:
		return nil
	case known.IsZero():
		s.Files, err = listConnected(ctx, s.Refs.CommonDir, target)
	default:
		err = CheckConnected(ctx, s.Refs.CommonDir, target, known)
	}
	if err == nil {
		s.proved = target
	}
	return err
}

// listConnected lists the tree of a commit and proves that all of it is there. Contents of files are not read.
func listConnected(ctx context.Context, gitDir string, target plumbing.Hash) ([]TreeFile, error) {
	objs, err := Open(gitDir)
	if err != nil {
		return nil, err
	}
	defer objs.Close()
	commit, err := objs.Commit(target)
	if err != nil {
		return nil, err
	}
	files, err := ListTree(ctx, objs, commit.Tree)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.Mode != source.Directory && !objs.Has(f.Hash) {
			return nil, &Error{f.Hash, plumbing.ErrObjectNotFound}
		}
	}
	return files, nil
}
