package snapshot

import (
	"context"
	"fmt"
	"os"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
)

// Repair verifies tags as Verify does, and rebuilds those that have drifted from the revisions that their manifests
// record. A tag is rebuilt beside itself, without anything of what stands in the tags, proved, made durable, and then
// exchanged for the drifted one in one step, which is set aside. The manifest stays, so the tag goes on being as old
// as it was.
//
// A report tells why a tag could not be repaired; what the error list tells of is left over from runs that died. It
// fails with ErrBusy if another run holds the lock.
func Repair(ctx context.Context, e Env, from source.Source, o VerifyOptions) ([]TagReport, []error, error) {
	release, err := e.lock(ctx, o.LockWait)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	leftOver := e.sweep()
	tags, err := chooseTags(e.Base, o.Tags, hasManifest)
	if err != nil {
		return nil, leftOver, err
	}
	p := repairing{e, from, o.Staging}
	read := countFiles(tags, o.Progress)
	var reports []TagReport
	for _, t := range tags {
		report, manifest, err := inspect(ctx, e.Base, t.Name, read)
		if err == nil && report.Status == StatusDrifted {
			report.Failure = p.repair(ctx, t, manifest, &report)
			err = context.Cause(ctx)
		}
		if err != nil {
			return reports, leftOver, err
		}
		reports = append(reports, report)
	}
	return reports, leftOver, nil
}

// repairing is one run of Repair.
type repairing struct {
	Env
	source   source.Source
	progress func(done, total int)
}

// repair rebuilds one tag.
func (p repairing) repair(ctx context.Context, t *tag.Tag, manifest *tag.Manifest, r *TagReport) error {
	if err := p.repairable(t, manifest); err != nil {
		return err
	}
	revision, err := p.source.Resolve(ctx, manifest.Revision)
	if err != nil {
		return fmt.Errorf("the revision that it was made from, %s, cannot be had: %w", manifest.Revision, err)
	}
	stage, err := staged.New(p.Base, p.Step)
	if err != nil {
		return err
	}
	defer func() {
		if err := stage.Remove(); err != nil {
			r.LeftOver = append(r.LeftOver, err)
		}
	}()
	if err := p.rebuild(ctx, stage, manifest, revision); err != nil {
		return fmt.Errorf("rebuild it from revision %s: %w", manifest.Revision, err)
	}
	if err := stage.Sync(); err != nil {
		return err
	}
	return p.replaceTag(stage, revision, r)
}

// UnknownTreeError says that nobody knows what belongs in a tag, so that it cannot be rebuilt. If it is right as it is, it
// can be recorded anew, once its manifest is removed.
type UnknownTreeError struct {
	Why      string
	Manifest string // its file
}

func (e *UnknownTreeError) Error() string { return e.Why }

// repairable says why there is no way to repair a tag, nil if there may be one. The manifest is nil if it is damaged.
func (p repairing) repairable(t *tag.Tag, manifest *tag.Manifest) error {
	if manifest == nil {
		return &UnknownTreeError{"its manifest is damaged, so what belongs in it is not known", p.Base.Manifest(t.Name)}
	}
	if manifest.Source == tag.Adopted {
		return &UnknownTreeError{"it was adopted, so the revision that it was made from is not known", p.Base.Manifest(t.Name)}
	}
	if t.Link {
		return fmt.Errorf("%s is a symbolic link: what it leads to is not ours to replace", p.Base.Dir(t.Name))
	}
	if err := p.files().Unmounted(p.Base.Dir(t.Name)); err != nil {
		return err
	}
	if kind := p.source.Kind(); kind != manifest.Source {
		return fmt.Errorf("it was made from %s, and the working copy is %s now", manifest.Source, kind)
	}
	owner, err := publisher(p.Base, manifest)
	if err != nil {
		return err
	}
	if owner != nil && int(*owner) != os.Geteuid() {
		return fmt.Errorf("user %d has published it, and what user %d rebuilds would not be theirs",
			*owner, os.Geteuid())
	}
	return nil
}

// rebuild stages the tree of the revision that a manifest records, from nothing but the source, because the other tags may
// have drifted too, and proves, by reading all of it again, that it is
// the one that the manifest lists.
func (p repairing) rebuild(ctx context.Context, stage *staged.Dir, manifest *tag.Manifest,
	revision source.Revision) error {
	o := staged.Options{Layout: staged.Layout(manifest.Layout), Anew: true, Progress: p.progress}
	if _, _, err := stage.Fill(ctx, p.source, revision, o); err != nil {
		return err
	}
	findings, err := staged.Compare(ctx, stage.Tree(), manifest, staged.CompareOptions{})
	if err != nil {
		return err
	}
	if len(findings) > 0 {
		return fmt.Errorf("that makes another tree now, in %d places, such as %s", len(findings), findings[0])
	}
	return nil
}

// replaceTag exchanges a tag for the staged tree, and sets the old one aside.
func (p repairing) replaceTag(stage *staged.Dir, revision source.Revision, r *TagReport) error {
	room, err := aside.MakeRoom(p.Base.Discarded(), p.Step)
	if err != nil {
		return err
	}
	kept, err := p.swap(swap{fresh: stage.Tree(), old: p.Base.Dir(r.Name), name: r.Name, setUp: "set repaired tag up",
		exchange: "exchange tags", remove: "remove repaired tag", sync: "sync tags"})
	if kept == "" {
		return err
	}
	if err != nil {
		r.LeftOver = append(r.LeftOver, fmt.Errorf("tag %s is repaired, but a power cut may undo it: %w", r.Name, err))
	}
	r.Status, r.SetAside = StatusRepaired, kept
	p.Warn(fmt.Sprintf("%s had drifted, and was rebuilt from revision %s; the drifted one was set aside as %s%s",
		r.Name, revision.ID, kept, aside.Describe(room, p.AsideHint)))
	return nil
}
