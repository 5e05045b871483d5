package health

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
)

const (
	// scarce is the share of a file system that should stay free: a twentieth. Tags are refused below a hundredth.
	scarce = 20
	// fewTags is how many more tags should always fit.
	fewTags = 3
	// makeRoom is what to do about a file system that is full.
	makeRoom = "make room, or lower tags.keep and etchtag prune"
)

// spaceFindings says for how many more tags there is room.
func (x *Facts) spaceFindings() []Finding {
	if errors.Is(x.Capacity.Err, fs.ErrNotExist) {
		return nil // there is no directory of tags yet
	}
	if x.Capacity.Err != nil {
		return []Finding{cannotSee("space", x.Capacity.Err)}
	}
	return x.judgeSpace(x.Capacity.Value, len(x.Hosts.Value.Index.Tags))
}

// judgeSpace judges the room for more tags than those that there are.
func (x *Facts) judgeSpace(c staged.Capacity, tags int) []Finding {
	f := Finding{OK, "space", fmt.Sprintf("%s of %s free", tag.FormatBytes(c.FreeBytes),
		tag.FormatBytes(c.TotalBytes)), ""}
	if c.Known {
		f.Says += fmt.Sprintf(", room for %s, each %s", moreTags(c), tag.FormatBytes(c.Bytes))
	}
	toCome := max(0, x.mostTags()-tags)
	switch {
	case c.Known && c.Tags == 0:
		f.Level, f.Do = Problem, "the next tag is refused; "+makeRoom
	case c.Known && c.Tags < fewTags:
		f.Level, f.Do = Warning, makeRoom
	case c.Known && !c.Shared && c.Tags < uint64(toCome):
		f.Level = Warning
		f.Says += fmt.Sprintf(", but %d are to come before pruning begins", toCome)
		f.Do = fmt.Sprintf("it is full in about %s: %s, or set tags.files to hardlink",
			term.Age(time.Duration(c.Tags)*x.Config.Tags.Every), makeRoom)
	case c.FreeBytes < c.TotalBytes/scarce:
		f.Level, f.Do = Warning, makeRoom
	}
	if c.TotalInodes == 0 { // the file system has as many as it needs
		return []Finding{f}
	}
	inodes := fmt.Sprintf("%s of %s free", tag.FormatCount(int64(c.FreeInodes)), tag.FormatCount(int64(c.TotalInodes)))
	if c.FreeInodes < c.TotalInodes/scarce {
		return []Finding{f, {Warning, "inodes", inodes, makeRoom}}
	}
	f.Says += "; inodes: " + inodes
	return []Finding{f}
}

// moreTags says how many more tags fit, as exactly as it matters.
func moreTags(c staged.Capacity) string {
	const plenty = 1000
	switch {
	case c.Tags > plenty:
		return "over " + term.Count(plenty, "more tag")
	case c.Shared:
		return "at least " + term.Count(int(c.Tags), "more tag")
	}
	return "about " + term.Count(int(c.Tags), "more tag")
}

// mostTags is about how many tags there are when as many are pruned as are made.
func (x *Facts) mostTags() int {
	keep := x.Config.Tags.Keep
	return max(keep.Last+1, int(keep.Within/x.Config.Tags.Every)) + 1
}
