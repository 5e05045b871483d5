package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

const (
	// localAttempts is how often a local upstream is read again if it changes while it is read.
	localAttempts = 4
	// pickLimit is the number of missing objects up to which they are picked one by one. Beyond, all
	// packs and files that we lack are copied as they are.
	pickLimit = 2000
)

// local is an upstream on a file system that we can read. Its files are read directly.
type local struct {
	repo.Location
	listed RemoteRefs
}

// openLocal finds the repository that a path names, as git does, and lists its refs.
func openLocal(path string) (*local, error) {
	for _, dir := range []string{path + "/.git", path, path + ".git", path + ".git/.git"} {
		layout, ok, err := repositoryAt(dir)
		if err != nil {
			return nil, err
		}
		if ok {
			l := &local{Location: layout}
			return l, l.list()
		}
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return nil, errors.New("there is no git repository at this path")
}

// repositoryAt reports whether dir is a repository, or a file that leads to one.
func repositoryAt(dir string) (layout repo.Location, ok bool, err error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err):
		return layout, false, nil
	case err != nil:
		return layout, false, err
	case !info.IsDir():
		if dir, err = repo.ReadPathFile(dir, "gitdir:"); err != nil {
			return layout, false, err
		}
	}
	if layout, err = repo.LocationOf(dir); err != nil {
		return layout, false, err
	}
	for _, part := range []string{layout.GitDir + "/HEAD", layout.CommonDir + "/objects"} {
		if _, err := os.Stat(part); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return layout, false, err
		}
	}
	return layout, true, nil
}

func (l *local) Refs() RemoteRefs { return l.listed }

func (l *local) Close() error { return nil }

func (l *local) list() error {
	data, err := os.ReadFile(filepath.Join(l.CommonDir, "config"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	config, err := repo.ParseConfig(data)
	if err != nil {
		return fmt.Errorf("read its configuration: %w", err)
	}
	if err := repo.CheckFormat(l.CommonDir, config); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(l.CommonDir, "shallow")); err == nil {
		return errShallowUpstream
	}
	refs := repo.Refs{Location: l.Location}
	branches, err := refs.List(repo.HeadsPrefix)
	if err != nil {
		return theirs(err)
	}
	l.listed.Branches = map[string]plumbing.Hash{}
	for name, h := range branches {
		l.listed.Branches[strings.TrimPrefix(name, repo.HeadsPrefix)] = h
	}
	head, _, err := refs.Resolve("HEAD")
	if err != nil && !errors.Is(err, repo.ErrNoRef) {
		return theirs(err)
	}
	l.listed.Head, _ = strings.CutPrefix(head, repo.HeadsPrefix)
	return nil
}

// errShallowUpstream says that upstream itself lacks the history that we would need.
var errShallowUpstream = errors.New("it is a shallow clone, without the history behind: use a complete repository")

// errTheirs marks damage of upstream's repository, which must not be taken for damage of ours.
var errTheirs = errors.New("upstream's repository is damaged, or was changed while it was read")

func theirs(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %v", errTheirs, err)
}

// Fetch copies what we lack. Upstream may be written to or repacked meanwhile: then it is read again.
func (l *local) Fetch(ctx context.Context, want plumbing.Hash, into *object.Store) error {
	tips, err := into.Tips()
	if err != nil {
		return err
	}
	pick := len(tips) > 0
	for attempt := 1; ; attempt++ {
		err := l.attempt(ctx, want, into, pick)
		var missing *object.Error
		retry := errors.As(err, &missing) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errTheirs)
		if !retry || attempt == localAttempts {
			return err
		}
		pick = false
	}
}

func (l *local) attempt(ctx context.Context, want plumbing.Hash, into *object.Store, pick bool) error {
	if pick {
		err := l.pick(ctx, want, into)
		if !errors.Is(err, errTooMany) {
			return err
		}
	}
	if err := l.copyAll(ctx, into); err != nil {
		return err
	}
	err := into.Prove(ctx, want, plumbing.ZeroHash)
	var missing *object.Error
	if errors.As(err, &missing) && !l.holds(missing.Hash) {
		return theirs(err)
	}
	return err
}

// holds reports whether upstream itself can read an object.
func (l *local) holds(h plumbing.Hash) bool {
	src, err := object.Open(l.CommonDir)
	if err != nil {
		return false
	}
	defer src.Close()
	_, err = src.Any(h)
	return err == nil
}

// errTooMany says that picking objects one by one would take too long.
var errTooMany = errors.New("too many objects are missing")

// pick copies the objects that a commit needs and that we lack.
func (l *local) pick(ctx context.Context, want plumbing.Hash, into *object.Store) error {
	ours, err := object.Open(into.Refs.CommonDir)
	if err != nil {
		return err
	}
	defer ours.Close()
	src, err := object.Open(l.CommonDir)
	if err != nil {
		return theirs(err)
	}
	defer src.Close()
	p := &picker{ctx: ctx, ours: ours, src: src, seen: map[plumbing.Hash]bool{}}
	if err := p.commits(want); err != nil {
		return err
	}
	err = into.AddFrom(src, p.list)
	var damage *object.Error
	if errors.As(err, &damage) {
		return theirs(err)
	}
	return err
}

// picker lists the objects that we lack, what an object needs before the object itself.
type picker struct {
	ctx  context.Context
	ours *object.Reader
	src  *object.Reader
	seen map[plumbing.Hash]bool
	list []plumbing.Hash
}

// lacks reports whether an object is to be picked now.
func (p *picker) lacks(h plumbing.Hash) bool {
	if p.seen[h] || p.ours.Has(h) {
		return false
	}
	p.seen[h] = true
	return true
}

func (p *picker) add(h plumbing.Hash) error {
	p.list = append(p.list, h)
	if len(p.list) > pickLimit {
		return errTooMany
	}
	return p.ctx.Err()
}

// commits picks a commit and those before it that we lack, the oldest first.
func (p *picker) commits(want plumbing.Hash) error {
	var newestFirst []plumbing.Hash
	trees := map[plumbing.Hash]plumbing.Hash{}
	for next := []plumbing.Hash{want}; len(next) > 0; next = next[1:] {
		if !p.lacks(next[0]) {
			continue
		}
		c, err := p.src.Commit(next[0])
		if err != nil {
			return theirs(err)
		}
		newestFirst = append(newestFirst, c.Hash)
		if len(newestFirst) > pickLimit {
			return errTooMany
		}
		trees[c.Hash] = c.Tree
		next = append(next, c.Parents...)
	}
	for i := len(newestFirst) - 1; i >= 0; i-- {
		if err := p.tree(trees[newestFirst[i]]); err != nil {
			return err
		}
		if err := p.add(newestFirst[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *picker) tree(h plumbing.Hash) error {
	if !p.lacks(h) {
		return nil
	}
	entries, err := p.src.Tree(h)
	if err != nil {
		return theirs(err)
	}
	for _, e := range entries {
		switch {
		case e.Mode == filemode.Submodule:
			continue
		case e.Mode == filemode.Dir:
			err = p.tree(e.Hash)
		case p.lacks(e.Hash):
			err = p.add(e.Hash)
		}
		if err != nil {
			return err
		}
	}
	return p.add(h)
}

// copyAll copies all packs and all objects with files of their own that we lack by name.
func (l *local) copyAll(ctx context.Context, into *object.Store) error {
	dirs, err := object.WithAlternates(l.CommonDir)
	if err != nil {
		return err
	}
	c := &objectCopy{ctx: ctx, into: into}
	if c.dir, err = into.Staging(); err != nil {
		return err
	}
	defer into.Unstage(c.dir)
	// Objects of their own first: if they are packed meanwhile, the pack is found afterwards.
	for _, dir := range dirs {
		if err := c.looseObjects(filepath.Join(dir, "objects")); err != nil {
			return err
		}
	}
	for _, dir := range dirs {
		if err := c.packs(filepath.Join(dir, "objects", "pack")); err != nil {
			return err
		}
	}
	return c.commit()
}

// objectCopy copies objects of another repository.
type objectCopy struct {
	ctx    context.Context
	into   *object.Store
	dir    string // where they are until commit
	loose  []plumbing.Hash
	packed []plumbing.Hash
	copied int64 // bytes
	buf    []byte
}

func (c *objectCopy) looseObjects(dir string) error {
	fanOuts, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, fanOut := range fanOuts {
		if len(fanOut.Name()) != 2 || !object.IsHex(fanOut.Name()) {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, fanOut.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, file := range files {
			h, err := repo.ParseHash(fanOut.Name() + file.Name())
			if err != nil {
				continue
			}
			err = c.looseObject(filepath.Join(dir, fanOut.Name(), file.Name()), h)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // packed meanwhile
				return err
			}
		}
	}
	return nil
}

func (c *objectCopy) looseObject(from string, h plumbing.Hash) error {
	if disk.Exists(c.into.LoosePath(h)) {
		return nil
	}
	if err := c.file("copy object", from, filepath.Join(c.dir, h.String()), io.Discard); err != nil {
		return err
	}
	c.loose = append(c.loose, h)
	return nil
}

// packs copies the packs of a directory. Those of "git maintenance" have another prefix.
func (c *objectCopy) packs(dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, file := range files {
		stem, isPack := strings.CutSuffix(file.Name(), ".pack")
		dash := strings.LastIndexByte(stem, '-')
		if !isPack || dash < 0 {
			continue
		}
		if _, err := repo.ParseHash(stem[dash+1:]); err != nil {
			continue
		}
		if err := c.pack(filepath.Join(dir, stem), stem[dash+1:]); err != nil {
			return err
		}
	}
	return nil
}

// pack copies one pack and its index, and proves both by their checksums. That the objects in it are those that the
// index names is not proved for all of history: whoever reads one proves it by its name, and the newest commit is read
// whole before the working copy is. Copies share no file with upstream, so that damage to one is none to the other.
func (c *objectCopy) pack(stem, name string) error {
	have := filepath.Join(c.into.Dir(), "pack", "pack-"+name)
	if disk.Exists(have+".pack") && disk.Exists(have+".idx") {
		return nil
	}
	to := filepath.Join(c.dir, "pack-"+name)
	checksum := object.NewTrailer()
	if err := c.file("copy pack", stem+".pack", to+".pack", &checksum); err != nil {
		return err
	}
	if !checksum.Holds() {
		return fmt.Errorf("its pack %q is damaged: its checksum is not that of its contents", stem+".pack")
	}
	index := object.NewTrailer()
	if err := c.file("copy idx", stem+".idx", to+".idx", &index); err != nil {
		return err
	}
	if !index.Holds() {
		return fmt.Errorf("the index of its pack %q is damaged", stem+".pack")
	}
	h, err := repo.ParseHash(name)
	c.packed = append(c.packed, h)
	return err
}

func (c *objectCopy) file(label, from, to string, checksum io.Writer) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	var out *os.File
	err = c.into.Step(label, func() error {
		out, err = disk.NewFile(to, 0o666)
		return err
	})
	if err != nil {
		return err
	}
	if c.buf == nil {
		c.buf = make([]byte, 1<<20)
	}
	w := &countingWriter{w: io.MultiWriter(out, checksum), report: func(n int64) {
		c.into.Progress.Report("copy", c.copied+n, -1)
	}}
	n, err := io.CopyBuffer(w, object.OnlyReader{Reader: in}, c.buf)
	c.copied += n
	return errors.Join(err, out.Chmod(0o444), out.Close())
}

// commit makes the copies durable and gives them their names.
func (c *objectCopy) commit() error {
	batch := &object.LooseBatch{Store: c.into, Dir: c.dir, Names: c.loose}
	if err := batch.Commit(); err != nil {
		return err
	}
	for _, name := range c.packed {
		if err := c.into.AddPack(filepath.Join(c.dir, "pack-"+name.String()), name); err != nil {
			return err
		}
	}
	return nil
}
