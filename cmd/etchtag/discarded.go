package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/urfave/cli/v2"
)

func (a *app) discardedCommand() *cli.Command {
	return &cli.Command{
		Name:  "discarded",
		Usage: "list what was set aside, such as local edits that an update replaced, and restore it",
		Description: "Before an update replaces local edits, untracked files or a whole working copy, it sets them aside\n" +
			"below tags/.etchtag/discarded, and says so in a warning; so do repairs of tags. No more than\n" +
			strconv.Itoa(aside.Max) + " such directories are kept: when another is made, the oldest goes. They are for the eyes of\n" +
			"the user who makes tags only.\n\n" +
			"Examples:\n   etchtag discarded\n   etchtag discarded show 20261122-110000\n" +
			"   etchtag discarded show 20261122-110000 source/etc/motd\n" +
			"   etchtag discarded restore 20261122-110000 source/etc/motd --to /root/rescued",
		Flags:  []cli.Flag{jsonFlag()},
		Action: a.discarded,
		Subcommands: []*cli.Command{
			{
				Name: "show", ArgsUsage: "NAME [PATH]", Usage: "list the files of one, or print one file",
				Description: "Of a symbolic link its target is printed. With --json the files at or below PATH are described.",
				Flags:       []cli.Flag{jsonFlag()}, Action: a.discardedShow,
			},
			{
				Name: "restore", ArgsUsage: "NAME [PATH...]", Usage: "copy files, directories or all of one to another directory",
				Description: "What was set aside stays, and nothing is overwritten. In the working copy itself the next update\n" +
					"would only set aside again what is not upstream's: restore to a directory elsewhere, and commit\n" +
					"from there what is to last.",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "to", Usage: "the `DIRECTORY` to copy to, made if it is not there; must be given"},
					jsonFlag(),
				},
				Action: a.discardedRestore,
			},
		},
	}
}

type discardedJSON struct {
	Name  string    `json:"name"`
	Time  time.Time `json:"time"`
	Files int       `json:"files"`
	Bytes int64     `json:"bytes"`
	First []string  `json:"first"`
}

func (a *app) discarded(c *cli.Context) error {
	if c.NArg() > 0 {
		return decide.Usagef("discarded takes show, restore or nothing, not %q", c.Args().First())
	}
	s, err := a.site(c)
	if err != nil {
		return err
	}
	all, err := aside.List(s.Base.Discarded())
	if err != nil {
		return s.explainPrivacy(err)
	}
	if c.Bool("json") {
		out := []discardedJSON{}
		for _, d := range all {
			out = append(out, discardedJSON{d.Name, d.Time, d.Files, d.Bytes, append([]string{}, d.First...)})
		}
		return a.printJSON(struct {
			Most      int             `json:"most"` // that are kept
			Discarded []discardedJSON `json:"discarded"`
		}{aside.Max, out})
	}
	if len(all) == 0 {
		a.log.Info("nothing is set aside")
		return nil
	}
	table := term.Columns{W: a.stdout}
	rows := []term.Row{{Cells: []string{"NAME", "SET ASIDE", "SIZE", "FILES"}, Colour: a.onTerminal(term.Dim)}}
	for _, d := range all {
		rows = append(rows, term.Row{Cells: []string{d.Name, d.Time.Format("2006-01-02 15:04:05 UTC"),
			tag.FormatBytes(uint64(d.Bytes)), firstFiles(d)}})
	}
	for _, r := range rows {
		if err := table.Add(r); err != nil {
			return err
		}
	}
	return table.End()
}

// onTerminal is the colour, or none where colours are not wanted.
func (a *app) onTerminal(colour string) string {
	if a.colours(a.stdout) {
		return colour
	}
	return ""
}

// firstFiles says how many files there are, and which are the first.
func firstFiles(d aside.Run) string {
	text := tag.FormatCount(int64(d.Files))
	for i, name := range d.First {
		text += map[bool]string{true: ": ", false: ", "}[i == 0] + term.Printable(name)
	}
	if d.Files > len(d.First) {
		text += ", ..."
	}
	return text
}

// openDiscarded opens what the first argument names: a directory's name, or its path as warnings give it.
func (a *app) openDiscarded(c *cli.Context) (*site, *aside.Tree, error) {
	s, err := a.site(c)
	if err != nil {
		return nil, nil, err
	}
	name := filepath.Base(c.Args().First())
	if _, ok := aside.ParseName(name); !ok {
		return nil, nil, decide.Usagef("%q is not the name of what was set aside, such as 20261122-110000", c.Args().First())
	}
	tree, err := aside.Open(s.Base.Discarded(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("nothing is set aside as %s; etchtag discarded shows what is", name)
	}
	if err != nil {
		return nil, nil, s.explainPrivacy(err)
	}
	return s, tree, nil
}

// explainPrivacy says to whom it does not belong why what was set aside cannot be read.
func (s *site) explainPrivacy(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w: what was set aside may hold secrets, so only %s, who makes the tags, can read it",
		err, ownerOf(s.Base.Discarded()))
}

// ownerOf names the user to whom a file belongs.
func ownerOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "its owner"
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "its owner"
	}
	return userName(st.Uid)
}

// userName names a user, or gives the number of one without a name.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

type discardedFileJSON struct {
	Path   string `json:"path"`
	Type   string `json:"type"` // file, directory, link or other
	Mode   string `json:"mode"` // permissions, in octal digits
	Bytes  int64  `json:"bytes"`
	Target string `json:"target,omitempty"` // of a link
}

func (a *app) discardedShow(c *cli.Context) error {
	if err := needArgs(c, 1, 2); err != nil {
		return err
	}
	_, tree, err := a.openDiscarded(c)
	if err != nil {
		return err
	}
	defer tree.Close()
	path := cmp.Or(c.Args().Get(1), ".")
	var files []aside.File
	if err := tree.Walk(path, func(f aside.File) error {
		files = append(files, f)
		return nil
	}); err != nil {
		return err
	}
	switch {
	case c.Bool("json"):
		return a.printDiscardedJSON(files)
	case len(files) == 1 && files[0].Path == filepath.Clean(path) && !files[0].Mode.IsDir():
		return tree.WriteFile(a.stdout, path)
	}
	table := term.Columns{W: a.stdout}
	for _, f := range files {
		name := term.Printable(f.Path)
		if f.Mode.Type() == fs.ModeSymlink {
			name += " -> " + term.Printable(f.Target)
		}
		if err := table.Add(term.Row{Cells: []string{f.Mode.String(), tag.FormatBytes(uint64(f.Size)), name}}); err != nil {
			return err
		}
	}
	return table.End()
}

func (a *app) printDiscardedJSON(files []aside.File) error {
	types := map[fs.FileMode]string{0: "file", fs.ModeDir: "directory", fs.ModeSymlink: "link"}
	out := []discardedFileJSON{}
	for _, f := range files {
		out = append(out, discardedFileJSON{f.Path, cmp.Or(types[f.Mode.Type()], "other"),
			fmt.Sprintf("%04o", f.Mode.Perm()), f.Size, f.Target})
	}
	return a.printJSON(struct {
		Files []discardedFileJSON `json:"files"`
	}{out})
}

func (a *app) discardedRestore(c *cli.Context) error {
	if err := needArgs(c, 1, -1); err != nil {
		return err
	}
	if c.String("to") == "" {
		return decide.Usagef("restore needs --to DIRECTORY: in the working copy the next update would set the files aside again")
	}
	s, tree, err := a.openDiscarded(c)
	if err != nil {
		return err
	}
	defer tree.Close()
	to, err := s.checkRestoreTo(c.String("to"))
	if err != nil {
		return err
	}
	if err := s.refuseMarks(tree, to, c.Args().Tail()); err != nil {
		return err
	}
	r, err := tree.Restore(to, c.Args().Tail(), a.step)
	if err != nil && r.Files > 0 {
		err = fmt.Errorf("%w; %s copied before that", err, term.Count(r.Files, "file"))
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = a.printJSON(struct {
			To    string   `json:"to"`
			Files int      `json:"files"`
			Left  []string `json:"left"` // what cannot be copied
		}{to, r.Files, append([]string{}, r.Left...)})
	} else {
		a.say(c, "restored %s to %s", term.Count(r.Files, "file"), to)
	}
	if err == nil && len(r.Left) > 0 {
		err = incompleteError{fmt.Errorf("not restored, because they have no contents: %q", r.Left)}
	}
	return err
}

// checkRestoreTo makes the directory's path absolute. Published tags must not change, and what is new in the working
// copy does not stay.
func (s *site) checkRestoreTo(dir string) (string, error) {
	to, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real := realPath(to)
	if isBelow(real, realPath(s.Base.Tags())) {
		return "", decide.Usagef("--to %q is among the tags, which never change once they are published", dir)
	}
	if isBelow(real, realPath(s.Base.Trunk())) {
		s.app.log.Warn(fmt.Sprintf("%s is in the working copy: the next update sets aside again what is not upstream's", to))
	}
	return to, nil
}

// refuseMarks refuses to restore a file to where its marks would count at once, without a word of what they do.
func (s *site) refuseMarks(tree *aside.Tree, to string, paths []string) error {
	for _, file := range s.Config.Tagstate {
		rel, err := filepath.Rel(realPath(to), realPath(filepath.Join(s.Base.Path, file)))
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		wanted := len(paths) == 0 || slices.ContainsFunc(paths, func(p string) bool { return p == "." || isBelow(rel, filepath.Clean(p)) })
		if wanted && tree.Walk(rel, func(aside.File) error { return nil }) == nil {
			return fmt.Errorf("%q would be in force at once as %s: restore it to a directory elsewhere, and make its marks by "+
				"etchtag mark, which says first what they do", rel, file)
		}
	}
	return nil
}

// realPath follows the symbolic links of as much of an absolute path as exists.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil || path == filepath.Dir(path) {
		return cmp.Or(real, path)
	}
	return filepath.Join(realPath(filepath.Dir(path)), filepath.Base(path))
}

// isBelow reports whether a path is dir or lies below it.
func isBelow(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
