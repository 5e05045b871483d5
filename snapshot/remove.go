package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/etch/etchtag/tagging"
)

// Prune removes the tags that PlanPrune lets go, and returns the plan and what of it failed. It fails with
// ErrBusy if another run holds the lock.
func (m *Manager) Prune(ctx context.Context, lockWait time.Duration) (Plan, []error, error) {
	release, err := m.lock(ctx, lockWait)
	if err != nil {
		return Plan{}, nil, err
	}
	defer release()
	leftOver := m.sweep()
	plan, err := m.PlanPrune(ctx, m.Clock(), "")
	if err != nil {
		return Plan{}, nil, err
	}
	removed, failed := m.execute(plan)
	plan.Remove = removed
	return plan, append(leftOver, failed...), nil
}

// pruneAfter prunes once a tag is made. Nothing of it can make the tag a failure.
func (m *Manager) pruneAfter(ctx context.Context, r *Result) {
	plan, err := m.PlanPrune(ctx, m.Clock(), r.Name)
	if err != nil {
		r.LeftOver = append(r.LeftOver, fmt.Errorf("old tags are not removed: %w", err))
		return
	}
	for _, reason := range plan.Blocked {
		r.LeftOver = append(r.LeftOver, fmt.Errorf("old tags are not removed: %s", reason))
	}
	removed, failed := m.execute(plan)
	for _, v := range removed {
		r.Pruned = append(r.Pruned, v.Name)
	}
	r.LeftOver = append(r.LeftOver, failed...)
}

// execute removes what the plan says. It returns what is gone, and the errors of the rest.
func (m *Manager) execute(plan Plan) (removed []Verdict, failed []error) {
	for _, v := range plan.Remove {
		if err := m.retire(v.Name); err != nil {
			failed = append(failed, err)
			continue
		}
		removed = append(removed, v)
	}
	// Deletion is slow and can fail half-way; by now the tags are invisible, all of them. What else is in the trash was
	// swept when the run began, or said to stay.
	ours := func(name string) bool {
		return slices.ContainsFunc(plan.Remove, func(v Verdict) bool { return v.Name == name })
	}
	return removed, append(failed, m.sweepDir(m.Layout.Trash(), ours)...)
}

// retire makes a tag invisible in one step, and then forgets its records. A tag in which something is mounted stays.
func (m *Manager) retire(name string) error {
	dir := m.Layout.Dir(name)
	if info, err := os.Lstat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("remove %s: it is no directory any more", dir)
	}
	if err := m.files().unmounted(dir); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	if err := m.files().renameNoReplace("retire tag", dir, filepath.Join(m.Layout.Trash(), name)); err != nil {
		return err
	}
	return errors.Join(m.files().remove("remove manifest", m.Layout.Manifest(name)),
		m.files().remove("remove table", m.Layout.Table(name)))
}

// PlanPrune gathers what the decision depends on, as of now, and decides. It changes nothing and needs no
// lock. created is the tag that the same run has just made, or empty.
func (m *Manager) PlanPrune(ctx context.Context, now time.Time, created string) (Plan, error) {
	r, err := m.Resolver()
	if err != nil {
		return Plan{}, err
	}
	in := PruneInput{Now: now, Keep: m.Keep, Created: created}
	used, unknown := m.uses(ctx, r, now)
	in.Unknown = unknown
	heirs := map[string]string{} // the newest tag that inherits a mark, by the marked one
	for _, t := range r.Index.Tags {
		state, from := r.State(t)
		p := PruneTag{Name: t.Name, Time: t.Time, Link: t.Link, Used: used[t.Name],
			Good: state == "good", Bad: state != "good" && state != ""}
		if header, ok, err := t.Header(); ok && err == nil {
			p.Tree = header.Tree
		}
		heirs[from] = t.Name // if it is inherited, from is a tag; if not, no tag is called so
		in.Tags = append(in.Tags, p)
	}
	for i := range in.Tags {
		in.Tags[i].Heir = heirs[in.Tags[i].Name]
	}
	return PlanPrune(in), nil
}

// uses finds who needs which tag, and what could not be found out.
func (m *Manager) uses(ctx context.Context, r *tagging.Resolver, now time.Time) (map[string][]string, []string) {
	used := map[string][]string{}
	var unknown []string
	for _, ring := range r.Rings {
		d := r.RingTag(ring, now)
		if d.Failure != "" {
			unknown = append(unknown, fmt.Sprintf("ring %s gets no tag now: %s", ring.Name, d.Failure))
			continue
		}
		used[d.Tag()] = append(used[d.Tag()], "ring "+ring.Name+" gets it now")
		for _, tag := range d.RestsOn {
			used[tag] = append(used[tag], "ring "+ring.Name+" would get another tag without it")
		}
	}
	pinned, err := r.PinnedTags(ctx)
	if err != nil {
		unknown = append(unknown, fmt.Sprintf("the pins are not known: %v", err))
	}
	for tag, hosts := range pinned {
		used[tag] = append(used[tag], fmt.Sprintf("%d hosts are pinned to it, such as %s", len(hosts), hosts[0]))
	}
	kept, err := m.Kept()
	if err != nil {
		unknown = append(unknown, fmt.Sprintf("what is kept is not known: %v", err))
	}
	for tag, reason := range kept {
		used[tag] = append(used[tag], "kept: "+reason)
	}
	if err := m.linked(used); err != nil {
		unknown = append(unknown, err.Error())
	}
	return used, unknown
}

// linked adds the tags that symbolic links in the tags' directory point to.
func (m *Manager) linked(used map[string][]string) error {
	entries, err := os.ReadDir(m.Layout.Tags())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type() != fs.ModeSymlink {
			continue
		}
		if tag := m.Layout.TagOf(filepath.Join(m.Layout.Tags(), e.Name())); tag != "" {
			used[tag] = append(used[tag], "the link "+e.Name()+" points to it")
		}
	}
	return nil
}
