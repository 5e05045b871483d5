package object

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// looseMost is the number of objects with files of their own from which on they are packed.
	looseMost = 5000
	// packsMost is the number of packs from which on the smallest are joined.
	packsMost = 50
	// packsJoined is how many packs are joined into one.
	packsJoined = 40
)

// Housekeeper keeps a repository from filling up with small files over the years.
type Housekeeper struct {
	Store                *Store
	LooseMost, PacksMost int
}

// NewHousekeeper returns one that packs loose objects if there are more than 5,000, and joins packs if there are more than 50.
func NewHousekeeper(store *Store) Housekeeper { return Housekeeper{store, looseMost, packsMost} }

// Run packs and joins what has become too much. Nothing is removed before what replaces it is durable.
func (h Housekeeper) Run() error {
	loose, err := h.Store.looseObjects()
	if err == nil && len(loose) > h.LooseMost {
		err = h.packLoose(loose)
	}
	if err != nil {
		return fmt.Errorf("pack objects: %w", err)
	}
	if err := h.joinPacks(); err != nil {
		return fmt.Errorf("join packs: %w", err)
	}
	return nil
}

// looseObjects lists the objects that have files of their own.
func (s *Store) looseObjects() ([]plumbing.Hash, error) {
	var found []plumbing.Hash
	for first := range 256 {
		fanOut := fmt.Sprintf("%02x", first)
		files, err := os.ReadDir(filepath.Join(s.Dir(), fanOut))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, file := range files {
			if h, err := repo.ParseHash(fanOut + file.Name()); err == nil {
				found = append(found, h)
			}
		}
	}
	return found, nil
}

// packLoose moves objects that have files of their own into a pack.
func (h Housekeeper) packLoose(loose []plumbing.Hash) error {
	objs, err := Open(h.Store.Refs.CommonDir)
	if err != nil {
		return err
	}
	defer objs.Close()
	dir, err := h.Store.Staging()
	if err != nil {
		return err
	}
	defer h.Store.Unstage(dir)
	if err := h.Store.addPacked(dir, objs, loose); err != nil {
		return err
	}
	for _, name := range loose {
		err := h.Store.Step("remove packed object", func() error { return disk.Remove(h.Store.LoosePath(name)) })
		if err != nil {
			return err
		}
	}
	return nil
}

// addPacked writes a pack of objects that another database, or the same, can read.
func (s *Store) addPacked(dir string, src *Reader, list []plumbing.Hash) error {
	stem := filepath.Join(dir, "pack")
	var pack *packWriter
	err := s.Step("create pack", func() (err error) {
		pack, err = newPackWriter(stem, len(list))
		return err
	})
	if err != nil {
		return err
	}
	defer pack.close()
	for _, h := range list {
		obj, err := src.Any(h)
		if err == nil {
			err = pack.add(obj)
		}
		if err != nil {
			return err
		}
	}
	return s.finish(pack)
}

// finish completes a pack and adds it to the repository.
func (s *Store) finish(pack *packWriter) error {
	var checksum plumbing.Hash
	err := s.Step("write pack", func() (err error) {
		checksum, err = pack.finish()
		return err
	})
	if err != nil {
		return err
	}
	return s.AddPack(pack.stem, checksum)
}

// LoosePath is where an object stands that has a file of its own.
func (s *Store) LoosePath(h plumbing.Hash) string {
	name := h.String()
	return filepath.Join(s.Dir(), name[:2], name[2:])
}

// packFile is a pack that may be joined with others.
type packFile struct {
	stem  string
	size  int64
	index packIndex
}

// joinPacks joins the smallest packs if there are too many.
func (h Housekeeper) joinPacks() error {
	packs, err := h.Store.joinable()
	if err != nil || len(packs) <= h.PacksMost {
		return err
	}
	slices.SortFunc(packs, func(a, b packFile) int { return int(min(max(a.size-b.size, -1), 1)) })
	packs = packs[:min(len(packs)-1, packsJoined)]
	seen := map[plumbing.Hash]bool{}
	kept := packs[:0]
	for _, pack := range packs {
		if fresh, err := pack.load(seen); err != nil {
			return err
		} else if fresh {
			kept = append(kept, pack)
		}
	}
	if len(kept) < 2 {
		return nil
	}
	dir, err := h.Store.Staging()
	if err != nil {
		return err
	}
	defer h.Store.Unstage(dir)
	if err := h.Store.join(dir, kept); err != nil {
		return err
	}
	for _, pack := range kept {
		for _, kind := range []string{".idx", ".rev", ".bitmap", ".pack"} {
			err := h.Store.Step("remove joined pack", func() error { return disk.Remove(pack.stem + kind) })
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// joinable lists the packs that nobody has marked to be kept.
func (s *Store) joinable() ([]packFile, error) {
	dir := filepath.Join(s.Dir(), "pack")
	if disk.Exists(filepath.Join(dir, "multi-pack-index")) {
		return nil, nil // git looks after them
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var packs []packFile
	for _, e := range entries {
		stem, isPack := strings.CutSuffix(filepath.Join(dir, e.Name()), ".pack")
		if !isPack || !strings.HasPrefix(e.Name(), "pack-") || disk.Exists(stem+".keep") || disk.Exists(stem+".mtimes") {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		packs = append(packs, packFile{stem: stem, size: info.Size()})
	}
	return packs, nil
}

// load reads a pack's index. It reports false if one of the objects is in another pack, too: git
// wants no object twice in a pack.
func (p *packFile) load(seen map[plumbing.Hash]bool) (fresh bool, err error) {
	if p.index, err = readPackIndex(p.stem + ".idx"); err != nil {
		return false, err
	}
	if !p.index.holds() {
		return false, &Error{Err: fmt.Errorf("the index %q is damaged: its checksum does not hold", p.stem+".idx")}
	}
	names := make([]plumbing.Hash, p.index.count())
	for i := range names {
		names[i] = plumbing.Hash(p.index.name(i))
	}
	if slices.ContainsFunc(names, func(h plumbing.Hash) bool { return seen[h] }) {
		return false, nil
	}
	for _, h := range names {
		seen[h] = true
	}
	return true, nil
}

// join writes one pack with the objects of several. They are copied as they are: a delta names its base
// by its distance or its hash, and both stay the same.
func (s *Store) join(dir string, packs []packFile) error {
	total := 0
	for _, p := range packs {
		total += p.index.count()
	}
	var joined *packWriter
	err := s.Step("create pack", func() (err error) {
		joined, err = newPackWriter(filepath.Join(dir, "pack"), total)
		return err
	})
	if err != nil {
		return err
	}
	defer joined.close()
	for _, p := range packs {
		shift := joined.offset - packHeader
		if err := p.copyBody(joined); err != nil {
			return err
		}
		for i := range p.index.count() {
			offset, err := p.index.offset(i)
			if err != nil {
				return &Error{Err: fmt.Errorf("the index %q: %w", p.stem+".idx", err)}
			}
			joined.index.Add(plumbing.Hash(p.index.name(i)), uint64(offset+shift), p.index.crc(i))
		}
	}
	return s.finish(joined)
}

// copyBody writes all of a pack but its header and its checksum, and proves that.
func (p *packFile) copyBody(w io.Writer) error {
	f, err := os.Open(p.stem + ".pack")
	if err != nil {
		return err
	}
	defer f.Close()
	sum := NewTrailer()
	var header [packHeader]byte
	if _, err := io.ReadFull(io.TeeReader(f, &sum), header[:]); err != nil {
		return &Error{Err: fmt.Errorf("the pack %q: %w", p.stem+".pack", err)}
	}
	if int(binary.BigEndian.Uint32(header[8:])) != p.index.count() {
		return &Error{Err: fmt.Errorf("the pack %q and its index do not agree", p.stem+".pack")}
	}
	body := io.LimitReader(f, p.size-packHeader-NameSize)
	if _, err := io.Copy(w, io.TeeReader(body, &sum)); err != nil {
		return err
	}
	if _, err := io.Copy(&sum, f); err != nil {
		return err
	}
	if !sum.Holds() || sum.sum() != p.index.packSum() {
		return &Error{Err: fmt.Errorf("the pack %q is damaged: its checksum does not hold", p.stem+".pack")}
	}
	return nil
}
