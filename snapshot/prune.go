package snapshot

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/tagging/tag"
)

// Prune removes the tags that PlanPrune lets go, and returns what became of the plan, and what of it failed. It fails
// with ErrBusy if another run holds the lock.
func Prune(ctx context.Context, e Env, site Site, keep Keep, lockWait time.Duration) (Plan, []error, error) {
	release, err := e.lock(ctx, lockWait)
	if err != nil {
		return Plan{}, nil, err
	}
	defer release()
	leftOver := e.sweep()
	p, err := newPruning(ctx, e, site, keep, "")
	if err != nil {
		return Plan{}, nil, err
	}
	done, failed := p.execute()
	return done, append(leftOver, failed...), nil
}

// prune prunes once a tag is made. Nothing of it can make the tag a failure.
func (t *taking) prune(ctx context.Context) {
	p, err := newPruning(ctx, t.Env, t.site, t.Keep, t.r.Name)
	if err != nil {
		t.r.LeftOver = append(t.r.LeftOver, fmt.Errorf("old tags are not removed: %w", err))
		return
	}
	done, failed := p.execute()
	for _, reason := range done.Blocked {
		t.r.LeftOver = append(t.r.LeftOver, fmt.Errorf("old tags are not removed: %s", reason))
	}
	for _, v := range done.Remove {
		t.r.Pruned = append(t.r.Pruned, v.Name)
	}
	t.r.LeftOver = append(t.r.LeftOver, failed...)
}

// PreviewPrune gathers what the decision depends on, and decides. It changes nothing and needs no lock.
func PreviewPrune(ctx context.Context, e Env, site Site, keep Keep) (Plan, error) {
	p, err := newPruning(ctx, e, site, keep, "")
	if err != nil {
		return Plan{}, err
	}
	return p.plan, nil
}

// pruning is one run of pruning.
//
// The plan may be minutes old when it comes to the last tag, and somebody may have come to need that meanwhile. So a tag
// is put out of sight first, by a rename, and removed only if it is not needed by what is written after that. Whoever
// writes that he needs a tag, and sees it after he has written, keeps it.
type pruning struct {
	Env
	keep    Keep
	needs   Needs
	created string     // the tag that the same run has just made, or empty
	tags    []*tag.Tag // those that are left
	links   map[string]string
	plan    Plan // for those that are left, as of the last look
}

// newPruning asks who needs what, and plans.
func newPruning(ctx context.Context, e Env, site Site, keep Keep, created string) (*pruning, error) {
	p := &pruning{Env: e, keep: keep, created: created, needs: site.Needs(ctx, e.Clock())}
	index, err := tag.ReadIndex(e.Base)
	if err != nil {
		return nil, err
	}
	p.tags = index.Tags
	if p.links, err = e.linked(); err != nil {
		return nil, err
	}
	return p, p.decide()
}

// decide plans by what is written now.
func (p *pruning) decide() error {
	in := PruneInput{Now: p.Clock(), Keep: p.keep, Created: p.created}
	by, unknown, err := p.needs.Read(&tag.Index{Tags: p.tags}, in.Now)
	if err != nil {
		return err
	}
	in.Unknown = unknown
	for _, t := range p.tags {
		needed := by[t.Name]
		if link := p.links[t.Name]; link != "" {
			needed = append(needed, "the link "+link+" points to it")
		}
		in.Tags = append(in.Tags, PruneTag{Name: t.Name, Time: t.Time, Link: t.Link, Needed: needed})
	}
	p.plan = PlanPrune(in)
	return nil
}

// look decides again if somebody may have written or linked something since the last look.
func (p *pruning) look() {
	links, err := p.linked()
	if err == nil && !p.needs.Changed() && maps.Equal(links, p.links) {
		return
	}
	if err == nil {
		p.links = links
		err = p.decide()
	}
	if err != nil {
		p.plan = p.plan.block([]string{err.Error()})
	}
}

// goes reports whether a tag goes, as of the last look.
func (p *pruning) goes(name string) bool {
	return slices.ContainsFunc(p.plan.Remove, func(v Verdict) bool { return v.Name == name })
}

// execute removes what the plan says. It returns the plan as it has become, and the errors of what could not be removed.
func (p *pruning) execute() (done Plan, failed []error) {
	var removed []Verdict
	planned := slices.Clone(p.plan.Remove)
	for _, v := range planned {
		switch gone, err := p.remove(v.Name); {
		case err != nil:
			failed = append(failed, err)
		case gone:
			removed = append(removed, v)
		}
		if len(p.plan.Blocked) > 0 {
			break
		}
	}
	// Deletion is slow and can fail half-way; by now the tags are invisible, all of them. What else is in the trash was
	// swept when the run began, or said to stay.
	failed = append(failed, p.emptyTrash(func(e fs.DirEntry) bool {
		return slices.ContainsFunc(planned, func(v Verdict) bool { return v.Name == e.Name() })
	})...)
	return Plan{Keep: p.plan.Keep, Remove: removed, Blocked: p.plan.Blocked}, failed
}

// remove removes a tag, unless it is needed by now.
func (p *pruning) remove(name string) (gone bool, err error) {
	if p.look(); !p.goes(name) {
		p.spare(name)
		return false, nil
	}
	trash, err := p.retire(name)
	if err != nil {
		return false, err
	}
	if p.look(); !p.goes(name) {
		p.spare(name)
		return false, p.giveBack(trash, name)
	}
	if err := p.condemn(trash, name); err != nil {
		return false, err
	}
	p.tags = slices.DeleteFunc(slices.Clone(p.tags), func(t *tag.Tag) bool { return t.Name == name })
	p.plan.Remove = slices.DeleteFunc(p.plan.Remove, func(v Verdict) bool { return v.Name == name })
	return true, nil
}

// spare says why a tag stays that was to go; if nothing goes any more, the plan says why.
func (p *pruning) spare(name string) {
	for _, v := range p.plan.Keep {
		if v.Name == name && len(p.plan.Blocked) == 0 {
			p.Note(fmt.Sprintf("%s stays after all: %s", name, strings.Join(v.Reasons, "; ")))
		}
	}
}

// linked returns the symbolic links in the tags' directory that lead to tags: the name of one by each tag.
func (e Env) linked() (map[string]string, error) {
	entries, err := os.ReadDir(e.Base.Tags())
	if err != nil {
		return nil, err
	}
	links := map[string]string{}
	for _, entry := range entries {
		if entry.Type() != fs.ModeSymlink {
			continue
		}
		if tag := e.Base.TagOf(filepath.Join(e.Base.Tags(), entry.Name())); tag != "" {
			links[tag] = entry.Name()
		}
	}
	return links, nil
}
