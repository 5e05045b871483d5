package cvs

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// cvsLogTime is how a date is given to the client.
const cvsLogTime = "2006-01-02 15:04:05 +0000"

// maxCVSAsked is how many files the client is asked about by name: a log of all files takes as long as an update.
const maxCVSAsked = 100

// newestCommit returns the date of the newest commit to what is checked out at root, which is not likely to be before
// floor. If only some files have changed since the commit of that date, changed names them.
func (r *run) newestCommit(ctx context.Context, root string, floor time.Time, changed []string) (time.Time, error) {
	floor = floor.UTC().Truncate(time.Second)
	if repository, err := readCVSLine(root, "Repository"); err == nil && len(changed) > 0 && len(changed) <= maxCVSAsked {
		names := make([]string, len(changed))
		for i, name := range changed {
			names[i] = strings.TrimPrefix(repository, r.origin.root.path+"/") + "/" + name
		}
		date, err := r.logNewest(ctx, ">="+floor.Format(cvsLogTime), names...)
		if err == nil && !date.IsZero() {
			return date, nil
		}
	}
	// That of a revision that was taken back, or that a tag was moved away from, is not found again.
	for _, span := range []string{">=" + floor.Format(cvsLogTime), ""} {
		date, err := r.logNewest(ctx, span, r.origin.module)
		if err != nil || !date.IsZero() {
			return date, err
		}
	}
	return floor, nil
}

// logNewest returns the newest date among the revisions of a span of time that files or directories of the repository
// have, zero if there are none.
func (r *run) logNewest(ctx context.Context, span string, names ...string) (time.Time, error) {
	args := []string{"rlog", "-N", "-S", "-b"}
	if r.o.Branch != "" {
		args[len(args)-1] = "-r" + r.o.Branch
	}
	if span != "" {
		args = append(args, "-d", span)
	}
	text, err := r.session.run(ctx, filepath.Dir(r.root), append(args, names...)...)
	if err != nil {
		return time.Time{}, fmt.Errorf("find the date of the newest commit: %w", err)
	}
	return newestLogDate(text)
}

// newestLogDate returns the newest date in a log, zero if there is none. What a commit's message says is no date,
// unless it was made to look like the rest of the log.
func newestLogDate(log string) (newest time.Time, err error) {
	const rule = "----------------------------"
	var before, last string
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\r\n")
		text, ok := strings.CutPrefix(line, "date: ")
		if ok && before == rule && strings.HasPrefix(last, "revision ") {
			text, _, _ = strings.Cut(text, ";")
			date, err := parseLogDate(text)
			if err != nil {
				return newest, err
			}
			if date.After(newest) {
				newest = date
			}
		}
		before, last = last, line
	}
	return newest, nil
}

// parseLogDate parses a date as the client prints it: older servers leave out the zone, which is UTC.
func parseLogDate(text string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02 15:04:05 -0700", "2006/01/02 15:04:05"} {
		if date, err := time.Parse(layout, text); err == nil {
			return date.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("the client's log has a date %q", text)
}
