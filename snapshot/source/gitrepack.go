package source

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

// housekeeper keeps a repository from filling up with small files over the years.
type housekeeper struct {
	store                *objectStore
	looseMost, packsMost int
}

func newHousekeeper(store *objectStore) housekeeper { return housekeeper{store, looseMost, packsMost} }

// run packs and joins what has become too much. Nothing is removed before what replaces it is durable.
func (h housekeeper) run() error {
	loose, err := h.store.looseObjects()
	if err == nil && len(loose) > h.looseMost {
		err = h.packLoose(loose)
	}
	if err != nil {
		return fmt.Errorf("packing objects: %w", err)
	}
	if err := h.joinPacks(); err != nil {
		return fmt.Errorf("joining packs: %w", err)
	}
	return nil
}

// looseObjects lists the objects that have files of their own.
func (s *objectStore) looseObjects() ([]plumbing.Hash, error) {
	var found []plumbing.Hash
	for first := range 256 {
		fanOut := fmt.Sprintf("%02x", first)
		files, err := os.ReadDir(filepath.Join(s.dir(), fanOut))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, file := range files {
			if h, err := parseHash(fanOut + file.Name()); err == nil {
				found = append(found, h)
			}
		}
	}
	return found, nil
}

// packLoose moves objects that have files of their own into a pack.
func (h housekeeper) packLoose(loose []plumbing.Hash) error {
	objs, err := openObjects(h.store.refs.commonDir)
	if err != nil {
		return err
	}
	defer objs.Close()
	dir, err := h.store.staging()
	if err != nil {
		return err
	}
	defer h.store.unstage(dir)
	if err := h.store.addPacked(dir, objs, loose); err != nil {
		return err
	}
	for _, name := range loose {
		err := h.store.step("remove packed object", func() error { return os.Remove(h.store.loosePath(name)) })
		if err != nil {
			return err
		}
	}
	return nil
}

// addPacked writes a pack of objects that another database, or the same, can read.
func (s *objectStore) addPacked(dir string, src *objects, list []plumbing.Hash) error {
	stem := filepath.Join(dir, "pack")
	var pack *packWriter
	err := s.step("create pack", func() (err error) {
		pack, err = newPackWriter(stem, len(list))
		return err
	})
	if err != nil {
		return err
	}
	defer pack.close()
	for _, h := range list {
		obj, err := src.any(h)
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
func (s *objectStore) finish(pack *packWriter) error {
	var checksum plumbing.Hash
	err := s.step("write pack", func() (err error) {
		checksum, err = pack.finish()
		return err
	})
	if err != nil {
		return err
	}
	return s.addPack(pack.stem, checksum)
}

func (s *objectStore) loosePath(h plumbing.Hash) string {
	name := h.String()
	return filepath.Join(s.dir(), name[:2], name[2:])
}

// packFile is a pack that may be joined with others.
type packFile struct {
	stem  string
	size  int64
	index packIndex
}

// joinPacks joins the smallest packs if there are too many.
func (h housekeeper) joinPacks() error {
	packs, err := h.store.joinable()
	if err != nil || len(packs) <= h.packsMost {
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
	dir, err := h.store.staging()
	if err != nil {
		return err
	}
	defer h.store.unstage(dir)
	if err := h.store.join(dir, kept); err != nil {
		return err
	}
	for _, pack := range kept {
		for _, kind := range []string{".idx", ".rev", ".bitmap", ".pack"} {
			err := h.store.step("remove joined pack", func() error { return os.Remove(pack.stem + kind) })
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// joinable lists the packs that nobody has marked to be kept.
func (s *objectStore) joinable() ([]packFile, error) {
	dir := filepath.Join(s.dir(), "pack")
	if exists(filepath.Join(dir, "multi-pack-index")) {
		return nil, nil // git looks after them
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var packs []packFile
	for _, e := range entries {
		stem, isPack := strings.CutSuffix(filepath.Join(dir, e.Name()), ".pack")
		if !isPack || !strings.HasPrefix(e.Name(), "pack-") || exists(stem+".keep") || exists(stem+".mtimes") {
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
		return false, &ObjectError{Err: fmt.Errorf("the index %q is damaged: its checksum does not hold", p.stem+".idx")}
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
func (s *objectStore) join(dir string, packs []packFile) error {
	total := 0
	for _, p := range packs {
		total += p.index.count()
	}
	var joined *packWriter
	err := s.step("create pack", func() (err error) {
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
				return &ObjectError{Err: fmt.Errorf("the index %q: %w", p.stem+".idx", err)}
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
	sum := newTrailer()
	var header [packHeader]byte
	if _, err := io.ReadFull(io.TeeReader(f, &sum), header[:]); err != nil {
		return &ObjectError{Err: fmt.Errorf("the pack %q: %w", p.stem+".pack", err)}
	}
	if int(binary.BigEndian.Uint32(header[8:])) != p.index.count() {
		return &ObjectError{Err: fmt.Errorf("the pack %q and its index do not agree", p.stem+".pack")}
	}
	body := io.LimitReader(f, p.size-packHeader-nameSize)
	if _, err := io.Copy(w, io.TeeReader(body, &sum)); err != nil {
		return err
	}
	if _, err := io.Copy(&sum, f); err != nil {
		return err
	}
	if !sum.holds() || sum.sum() != p.index.packSum() {
		return &ObjectError{Err: fmt.Errorf("the pack %q is damaged: its checksum does not hold", p.stem+".pack")}
	}
	return nil
}
