package repo

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/go-git/go-git/v5/plumbing"
)

const (
	HeadsPrefix = "refs/heads/" // of branches
	TagsPrefix  = "refs/tags/"  // of git's tags
	// MaxSymrefs bounds how far symbolic refs are followed, as git does.
	MaxSymrefs = 5
	// maxRefFile bounds, in bytes, what is read of a file that should hold one ref.
	maxRefFile = 4096
)

// ErrNoRef says that a ref does not exist.
var ErrNoRef = errors.New("there is no such ref")

// RefError says that a ref, or the file of packed refs, cannot be parsed.
type RefError struct {
	File string
	Err  error
}

func (e *RefError) Error() string { return fmt.Sprintf("read the ref file %q: %v", e.File, e.Err) }

func (e *RefError) Unwrap() error { return e.Err }

// Refs reads and writes the refs of a repository.
type Refs struct {
	Location
	Step func(label string) error
}

// path returns the file of a ref. Only refs below refs/ are shared by linked working trees.
func (r Refs) path(name string) string {
	if strings.HasPrefix(name, "refs/") {
		return filepath.Join(r.CommonDir, filepath.FromSlash(name))
	}
	return filepath.Join(r.GitDir, name)
}

// tempDir returns where a ref's temporary file goes: not below refs/, where git would take it for a ref.
func (r Refs) tempDir(name string) string {
	if strings.HasPrefix(name, "refs/") {
		return r.CommonDir
	}
	return r.GitDir
}

// readLoose reads a ref's own file: the name it stands for, or a hash. A ref that has no file is errNoRef.
func (r Refs) readLoose(name string) (target string, h plumbing.Hash, err error) {
	file := r.path(name)
	f, err := os.Open(file)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) {
			err = ErrNoRef
		}
		return "", h, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return "", h, errors.Join(err, ErrNoRef)
	}
	data := make([]byte, maxRefFile)
	n, err := f.Read(data)
	if err != nil && n == 0 {
		return "", h, &RefError{file, errors.New("it is empty")}
	}
	target, h, err = parseRef(data[:n])
	if err != nil {
		return "", h, &RefError{file, err}
	}
	return target, h, nil
}

// parseRef parses the contents of a ref's file.
func parseRef(data []byte) (target string, h plumbing.Hash, err error) {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimRight(line, " \t\r")
	if name, ok := bytes.CutPrefix(line, []byte("ref:")); ok {
		target = string(bytes.TrimLeft(name, " \t"))
		if !ValidRef(target) {
			return "", h, fmt.Errorf("%q is no name of a ref", target)
		}
		return target, h, nil
	}
	h, err = ParseHash(string(line))
	return "", h, err
}

// ParseHash reads the name of an object: 40 hexadecimal digits.
func ParseHash(s string) (h plumbing.Hash, err error) {
	if len(s) != 2*len(h) {
		return h, fmt.Errorf("%.60q is no object name of 40 digits", s)
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("%q is no object name of 40 digits", s)
	}
	return h, nil
}

// Resolve follows a ref to its hash. It returns the name of the last ref on the way; the error is
// errNoRef if that does not exist, as in a repository without commits.
func (r Refs) Resolve(name string) (last string, h plumbing.Hash, err error) {
	for range MaxSymrefs {
		target, h, err := r.readLoose(name)
		if errors.Is(err, ErrNoRef) {
			h, err = r.readPacked(name)
		}
		if err != nil || target == "" {
			return name, h, err
		}
		name = target
	}
	return name, h, &RefError{r.path(name), errors.New("symbolic refs go in circles")}
}

func (r Refs) readPacked(name string) (plumbing.Hash, error) {
	packed, err := r.Packed()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if h, ok := packed[name]; ok {
		return h, nil
	}
	return plumbing.ZeroHash, ErrNoRef
}

// Packed reads the file of packed refs.
func (r Refs) Packed() (map[string]plumbing.Hash, error) {
	file := filepath.Join(r.CommonDir, "packed-refs")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	refs, err := parsePackedRefs(data)
	if err != nil {
		return nil, &RefError{file, err}
	}
	return refs, nil
}

// parsePackedRefs parses a file of packed refs; what its tags stand for is left out.
func parsePackedRefs(data []byte) (map[string]plumbing.Hash, error) {
	refs := map[string]plumbing.Hash{}
	scanner := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; scanner.Scan(); n++ {
		line := scanner.Text()
		if line == "" || line[0] == '#' || line[0] == '^' {
			continue
		}
		hash, name, ok := strings.Cut(line, " ")
		h, err := ParseHash(hash)
		if err == nil && (!ok || !ValidRef(name)) {
			err = fmt.Errorf("%.200q is no name of a ref", name)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		refs[name] = h
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		return nil, errors.New("it is cut off")
	}
	return refs, nil
}

// List returns all refs whose names begin with prefix, such as "refs/heads/", with what they stand
// for. Symbolic refs are followed; those that lead nowhere are left out. Loose refs are read before
// packed ones, so that a ref which is being packed meanwhile is not missed.
func (r Refs) List(prefix string) (map[string]plumbing.Hash, error) {
	loose, err := r.LooseNames(prefix)
	if err != nil {
		return nil, err
	}
	refs := map[string]plumbing.Hash{}
	for _, name := range loose {
		_, h, err := r.Resolve(name)
		if errors.Is(err, ErrNoRef) {
			continue
		}
		if err != nil {
			return nil, err
		}
		refs[name] = h
	}
	packed, err := r.Packed()
	if err != nil {
		return nil, err
	}
	for name, h := range packed {
		if _, ok := refs[name]; !ok && strings.HasPrefix(name, prefix) {
			refs[name] = h
		}
	}
	return refs, nil
}

// LooseNames lists the refs below a prefix that have files of their own.
func (r Refs) LooseNames(prefix string) ([]string, error) {
	var names []string
	top := r.path(strings.TrimSuffix(prefix, "/"))
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) {
				return nil
			}
			return err
		}
		rel, err := filepath.Rel(r.CommonDir, path)
		if err == nil && !d.IsDir() && ValidRef(filepath.ToSlash(rel)) {
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	return names, err
}

// Write sets a ref, atomically and durably.
func (r Refs) Write(name string, h plumbing.Hash) error {
	return r.replace("ref", name, h.String()+"\n")
}

// WriteSynced notes the commit that the working copy was brought to.
func (r Refs) WriteSynced(h plumbing.Hash) error {
	return r.replace(SyncedRef, SyncedRef, h.String()+"\n")
}

// PointHead makes HEAD a symbolic ref to target.
func (r Refs) PointHead(target string) error {
	return r.replace("HEAD", "HEAD", "ref: "+target+"\n")
}

// replace writes a ref's file. The labels of that call it what.
func (r Refs) replace(what, name, content string) error {
	if !ValidRef(name) {
		return fmt.Errorf("write the ref %q: that is no name of a ref", name)
	}
	err := r.makeRoom(name)
	if err == nil {
		err = disk.Replace(what, r.tempDir(name), r.path(name), []byte(content), 0o644, r.Step)
	}
	if err != nil {
		return fmt.Errorf("write the ref %q: %w", name, err)
	}
	return nil
}

// makeRoom makes the directory of a ref's file, and removes what stands in the way of either: empty
// directories, and remote-tracking refs that upstream must have deleted since.
func (r Refs) makeRoom(name string) error {
	file := r.path(name)
	if info, err := os.Lstat(file); err == nil && !info.IsDir() {
		return nil
	}
	var inTheWay []string
	for at := range len(name) {
		if info, err := os.Lstat(r.path(name[:at])); name[at] == '/' && err == nil && !info.IsDir() {
			inTheWay = append(inTheWay, name[:at])
		}
	}
	below, err := r.LooseNames(name + "/")
	if err != nil {
		return err
	}
	packed, err := r.Packed()
	if err != nil {
		return err
	}
	for other := range packed {
		if strings.HasPrefix(other, name+"/") || strings.HasPrefix(name, other+"/") {
			inTheWay = append(inTheWay, other)
		}
	}
	for _, other := range append(inTheWay, below...) {
		if err := r.remove(other); err != nil {
			return err
		}
	}
	if info, err := os.Lstat(file); err == nil && info.IsDir() { // without refs
		err := disk.Labelled(r.Step, "remove directory of refs", func() error { return disk.RemovePath(file) })
		if err != nil {
			return err
		}
	}
	dir := filepath.Dir(file)
	if disk.Exists(dir) {
		return nil
	}
	return disk.Labelled(r.Step, "make directory of refs", func() error { return disk.MakeDirs(dir) })
}

// remove deletes a remote-tracking ref that is in the way of another ref.
func (r Refs) remove(name string) error {
	if !strings.HasPrefix(name, "refs/remotes/") {
		return fmt.Errorf("the ref %q is in the way: rename or delete it", name)
	}
	if err := r.dropPacked(name); err != nil {
		return err
	}
	err := disk.Labelled(r.Step, "remove ref", func() error { return disk.Remove(r.path(name)) })
	if errors.Is(err, fs.ErrNotExist) || disk.IsNotDir(err) {
		return nil
	}
	return err
}

// dropPacked removes a ref from the file of packed refs.
func (r Refs) dropPacked(name string) error {
	packed, err := r.Packed()
	if err != nil {
		return err
	}
	if _, ok := packed[name]; !ok {
		return nil
	}
	file := filepath.Join(r.CommonDir, "packed-refs")
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var kept []byte
	dropping := false
	for line := range bytes.Lines(data) {
		if dropping && line[0] == '^' {
			continue
		}
		dropping = bytes.HasSuffix(bytes.TrimRight(line, "\r\n"), []byte(" "+name))
		if !dropping {
			kept = append(kept, line...)
		}
	}
	return disk.Replace("packed-refs", r.CommonDir, file, kept, 0o644, r.Step)
}

// ValidRef reports whether name can be the name of a ref, by the rules of git-check-ref-format(1).
// HEAD and the like are valid, too.
//
// go-git's ReferenceName.Validate refuses two kinds of names that git takes, "refs/heads/@" and "refs/heads/-x", and
// a repository with one of them would count as damaged. Of what does not begin with "refs/" it takes "config/x". It
// takes five times as long (2.4 µs a name against 0.5), and an upstream may list 100,000.
func ValidRef(name string) bool {
	if name == "" || name == "@" || strings.HasSuffix(name, ".") || strings.Contains(name, "..") ||
		strings.Contains(name, "@{") || strings.ContainsAny(name, " ~^:?*[\\\x7f") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	for i := range len(name) {
		if name[i] < ' ' {
			return false
		}
	}
	return strings.HasPrefix(name, "refs/") && strings.Count(name, "/") > 1 || isPseudoRef(name)
}

// isPseudoRef reports whether name is one like HEAD, which stands at the top of the repository.
func isPseudoRef(name string) bool {
	for i := range len(name) {
		if (name[i] < 'A' || name[i] > 'Z') && name[i] != '_' {
			return false
		}
	}
	return true
}

// BranchNames lists branches for a message, a few of many.
func BranchNames(branches map[string]plumbing.Hash) string {
	const most = 10
	names := make([]string, 0, len(branches))
	for name := range branches {
		names = append(names, name)
	}
	sort.Strings(names)
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(names, ", ") + more
}

// SyncedRef remembers the commit that the working copy was last brought to, to tell a local commit
// from one that upstream has withdrawn.
const SyncedRef = "ETCHTAG_HEAD"
