package snapshot

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// LegacyTag is a tag of the script repo_update that was named in local time: it has no manifest, and its name says another
// hour than its directory.
type LegacyTag struct {
	Name  string
	Made  time.Time     // the hour in which the directory was made
	Shift time.Duration // from that to the name's

	undated bool // only the directory's last change of status tells the hour, and renaming changes that
}

// FindLegacy finds the tags that were named in local time, oldest first by their names. The script made a tag within the
// hour of its name. Git's tags keep that hour as the time of their directory's contents, Subversion's, being copies, only
// as the time of its last change of status; either will do as an alibi.
func FindLegacy(l tag.Base) ([]LegacyTag, error) {
	index, err := tag.ReadIndex(l)
	if err != nil {
		return nil, err
	}
	var legacy []LegacyTag
	for _, t := range index.Tags {
		if _, ok, err := t.Header(); ok || err != nil || t.Link {
			continue
		}
		var st unix.Stat_t
		if err := unix.Lstat(l.Dir(t.Name), &st); err != nil {
			return nil, fmt.Errorf("look when %s was made: %w", l.Dir(t.Name), err)
		}
		modified, changed := hourShift(t.Time, st.Mtim), hourShift(t.Time, st.Ctim)
		switch {
		case modified == 0 || changed == 0:
		case isZoneShift(modified):
			legacy = append(legacy, LegacyTag{t.Name, t.Time.Add(-modified), modified, false})
		case isZoneShift(changed):
			legacy = append(legacy, LegacyTag{t.Name, t.Time.Add(-changed), changed, true})
		}
	}
	return legacy, nil
}

// hourShift is how many hours a name is ahead of the time at which something happened.
func hourShift(name time.Time, happened unix.Timespec) time.Duration {
	return name.Truncate(time.Hour).Sub(time.Unix(happened.Unix()).UTC().Truncate(time.Hour))
}

// isZoneShift reports whether a zone of this earth explains a shift.
func isZoneShift(d time.Duration) bool { return -12*time.Hour <= d && d <= 14*time.Hour }

// LegacyOptions say how tags are renamed.
type LegacyOptions struct {
	Zone     *time.Location // in which they were named
	Every    time.Duration  // how often tags are made: all names are multiples of it
	LockWait time.Duration  // how long to wait for another run; 0 gives up at once
}

// Renamed is a tag that has got another name.
type Renamed struct{ From, To string }

// Renamer is told that a tag is about to get another name, so that it can rename it in what people have written.
type Renamer interface {
	Renaming(ctx context.Context, from, to string) error
}

// RenameLegacy renames the tags that FindLegacy finds from the time of a zone to UTC, one after the other, and each in what
// people have written first. Whatever ends the run, another one finishes it: a name that is written by then is that of the
// tag which is still to be renamed, or of none, and never one that another tag has got. It returns the tags that were
// renamed, also with an error.
//
// Nothing is renamed if a tag does not fit the zone, if something is mounted in it, or if its new name is taken. It fails
// with ErrBusy if another run holds the lock.
func RenameLegacy(ctx context.Context, e Env, written Renamer, o LegacyOptions) ([]Renamed, error) {
	release, err := e.lock(ctx, o.LockWait)
	if err != nil {
		return nil, err
	}
	defer release()
	legacy, err := FindLegacy(e.Base)
	if err != nil || len(legacy) == 0 {
		return nil, err
	}
	names, err := e.newNames(legacy, o)
	if err != nil {
		return nil, err
	}
	var renamed []Renamed
	for _, t := range legacy {
		if err := written.Renaming(ctx, t.Name, names[t.Name]); err != nil {
			return renamed, err
		}
		if err := e.rename(t, names[t.Name]); err != nil {
			return renamed, err
		}
		renamed = append(renamed, Renamed{t.Name, names[t.Name]})
		// Before the next one, whose new name may be this one's old name: a power cut must not leave what is written ahead.
		if err := e.files().SyncDir("sync tags", e.Base.Tags()); err != nil {
			return renamed, err
		}
	}
	return renamed, nil
}

// newNames says how tags are called in UTC, and brings them into an order in which none is in the way of another: towards
// the future the newest comes first. West of Greenwich UTC is later than local time.
func (e Env) newNames(legacy []LegacyTag, o LegacyOptions) (map[string]string, error) {
	if legacy[0].Shift < 0 {
		slices.Reverse(legacy)
	}
	names, taken := map[string]string{}, map[string]bool{}
	for _, t := range legacy {
		name, err := t.utcName(o)
		if err != nil {
			return nil, err
		}
		if err := e.files().Unmounted(e.Base.Dir(t.Name)); err != nil {
			return nil, fmt.Errorf("cannot rename %s: %w", t.Name, err)
		}
		names[t.Name] = name
	}
	for _, t := range legacy {
		to := names[t.Name]
		if names[to] == "" && exists(e.Base.Dir(to)) || taken[to] {
			return nil, fmt.Errorf("cannot rename %s to %s: that tag is there already", t.Name, to)
		}
		taken[to] = true
	}
	return names, nil
}

// utcName is how a tag is called in UTC. Where zones differ by half hours, the next multiple keeps it from being served
// early.
func (t LegacyTag) utcName(o LegacyOptions) (string, error) {
	named, err := tag.ParseName(t.Name)
	if err != nil {
		return "", err
	}
	local := time.Date(named.Year(), named.Month(), named.Day(), named.Hour(), named.Minute(), 0, 0, o.Zone).UTC()
	if off := local.Truncate(time.Hour).Sub(t.Made); off < -time.Hour || off > time.Hour {
		return "", fmt.Errorf("%s was made at %s, which was another hour in %s: that is not the zone of its name",
			t.Name, t.Made.Format("15:04 UTC on 2006-01-02"), o.Zone)
	}
	return tag.Name(local.Add(o.Every - 1).Truncate(o.Every)), nil
}

// rename renames a tag. One whose hour is told by what renaming changes is given it as the time of its contents first: else
// the next run would take it for one that was named in local time.
func (e Env) rename(t LegacyTag, name string) error {
	if t.undated {
		if err := e.files().SetTime("date legacy tag", e.Base.Dir(t.Name), t.Made); err != nil {
			return err
		}
	}
	return e.files().RenameNoReplace("rename legacy tag", e.Base.Dir(t.Name), e.Base.Dir(name))
}
