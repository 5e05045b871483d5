package git

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/go-git/go-git/v5/plumbing"
)

// minAbbreviation is the number of digits that the beginning of a hash must have.
const minAbbreviation = 4

// Resolve finds a commit by its hash or the beginning of one (at least 4 digits), by the name of a
// branch or a tag that the repository has, or as HEAD. Its whole tree must be there.
func (g *Source) Resolve(ctx context.Context, name string) (rev source.Revision, err error) {
	defer func() { err = remote.RedactError(err) }()
	r, err := g.openToRead()
	if err != nil {
		return source.Revision{}, err
	}
	objs, err := object.Open(r.CommonDir)
	if err != nil {
		return source.Revision{}, err
	}
	defer objs.Close()
	h, err := r.named(objs, name)
	if err == nil {
		h, err = peel(objs, h)
	}
	if err != nil {
		return source.Revision{}, fmt.Errorf("find the revision %q: %w", name, err)
	}
	return g.revision(ctx, r, h)
}

// named finds what a name stands for: a ref before a hash, as in git.
func (r *repository) named(objs *object.Reader, name string) (plumbing.Hash, error) {
	if name == "HEAD" {
		if r.commit.IsZero() {
			return plumbing.ZeroHash, source.ErrNoRevision
		}
		return r.commit, nil
	}
	if h, err := repo.ParseHash(strings.ToLower(name)); err == nil {
		return h, nil
	}
	found := map[plumbing.Hash]bool{}
	const remotes = "refs/remotes/"
	for _, prefix := range []string{"", repo.TagsPrefix, repo.HeadsPrefix, remotes, remotes + r.remote() + "/"} {
		if !strings.HasPrefix(prefix+name, "refs/") || !repo.ValidRef(prefix+name) {
			continue
		}
		_, h, err := r.refs.Resolve(prefix + name)
		if err == nil {
			found[h] = true
		} else if !errors.Is(err, repo.ErrNoRef) {
			return plumbing.ZeroHash, err
		}
	}
	if len(found) == 0 {
		return r.abbreviated(objs, strings.ToLower(name))
	}
	return only(found)
}

// only returns the single member of a set.
func only(found map[plumbing.Hash]bool) (h plumbing.Hash, err error) {
	if len(found) > 1 {
		return h, fmt.Errorf("it is ambiguous: %d objects match", len(found))
	}
	for h = range found {
	}
	return h, nil
}

// abbreviated finds the only commit whose hash begins with some digits.
func (r *repository) abbreviated(objs *object.Reader, digits string) (plumbing.Hash, error) {
	if len(digits) < minAbbreviation || len(digits) > 2*object.NameSize || !object.IsHex(digits) {
		return plumbing.ZeroHash, fmt.Errorf("there is no such branch or tag, and it is no beginning of a hash "+
			"(at least %d digits)", minAbbreviation)
	}
	found := map[plumbing.Hash]bool{}
	for _, h := range objs.WithPrefix(digits) {
		if commit, err := peel(objs, h); err == nil {
			found[commit] = true
		}
	}
	if len(found) == 0 {
		return plumbing.ZeroHash, errors.New("no commit of that hash is here")
	}
	return only(found)
}

// peel returns the commit that an object is, or that an annotated tag stands for.
func peel(o *object.Reader, h plumbing.Hash) (plumbing.Hash, error) {
	for range repo.MaxSymrefs {
		_, err := o.Commit(h)
		if err == nil {
			return h, nil
		}
		data, tagErr := o.Read(plumbing.TagObject, h, object.MaxTreeObject)
		if tagErr != nil {
			return plumbing.ZeroHash, err
		}
		line, _, _ := strings.Cut(string(data), "\n")
		if h, err = repo.ParseHash(strings.TrimPrefix(line, "object ")); err != nil {
			return plumbing.ZeroHash, &object.Error{Hash: h, Err: fmt.Errorf("malformed tag: %w", err)}
		}
	}
	return plumbing.ZeroHash, errors.New("it is a tag of a tag of a tag, without an end")
}
