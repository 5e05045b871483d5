package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/google/renameio/v2"
	"github.com/urfave/cli/v2"
)

// nodetagger is where the etch server looks for what answers it.
func (s *site) nodetagger() string { return filepath.Join(s.Base.Path, "nodetagger") }

// linkPrograms puts nodetagger where the etch server looks for it, and says in the base where etchtag is, for nodetagger.
func (s *site) linkPrograms(c *cli.Context) error {
	etchtag, err := os.Executable()
	if err != nil {
		return err
	}
	if err := s.linkNodetagger(c, s.resolverBeside(etchtag)); err != nil {
		return err
	}
	if target, err := os.Readlink(s.Base.Etchtag()); err == nil && target == etchtag {
		return nil
	}
	return renameio.Symlink(etchtag, s.Base.Etchtag())
}

// resolverBeside is the program nodetagger that stands beside etchtag, or etchtag itself, which under that name answers
// the same, and only takes longer to start.
func (s *site) resolverBeside(etchtag string) string {
	beside := filepath.Join(filepath.Dir(etchtag), "nodetagger")
	info, err := os.Stat(beside)
	if err != nil || !isProgram(info) {
		return etchtag
	}
	dir, err := os.Stat(filepath.Dir(etchtag))
	if base, baseErr := os.Stat(s.Base.Path); err != nil || baseErr != nil || os.SameFile(dir, base) {
		return etchtag // what stands there is the link that is to be made
	}
	return beside
}

func isProgram(info fs.FileInfo) bool { return info.Mode().IsRegular() && info.Mode()&0o111 != 0 }

// linkNodetagger puts a program where the etch server looks for it.
func (s *site) linkNodetagger(c *cli.Context, program string) error {
	link := s.nodetagger()
	if target, err := os.Readlink(link); err == nil {
		if target == program {
			return nil
		}
		s.app.say(c, "%s was a link to %s", link, target)
	}
	if _, err := os.Lstat(link); err == nil && s.BaseIsWorkingCopy() {
		s.app.log.Warn(fmt.Sprintf("%s stays, because the base is a working copy of Subversion, in which it may be versioned: "+
			"replace it by a commit: cd %s && svn rm --force nodetagger && ln -s %s nodetagger && svn add nodetagger && svn commit",
			link, s.Base.Path, program))
		return nil
	}
	if info, err := os.Lstat(link); err == nil && info.Mode().Type() != fs.ModeSymlink {
		aside := link + ".before-etchtag"
		if _, err := os.Lstat(aside); err == nil {
			return fmt.Errorf("%s is a file, and so is %s: move one of them away", link, aside)
		}
		if err := disk.Rename(link, aside); err != nil {
			return err
		}
		s.app.say(c, "moved the old nodetagger to %s", aside)
	}
	if err := renameio.Symlink(program, link); err != nil {
		return err
	}
	s.app.say(c, "linked %s to %s", link, program)
	return nil
}
