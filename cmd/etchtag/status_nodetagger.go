package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/decide"
)

// ourPrograms begins the import paths of our programs.
const ourPrograms = "github.com/etch/etchtag/cmd/"

// nodetaggerFinding looks at the program that the etch server starts. It asks nobody: a program of another version, or no
// program of ours, would answer who knows what. What the Go toolchain recorded of a build stands in the file.
func (s *site) nodetaggerFinding() finding {
	const what, do = "nodetagger", "etchtag init links it"
	path := s.nodetagger()
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return finding{levelProblem, what, path + " is not there, or leads nowhere: the etch server serves nobody", do}
	case err != nil:
		return cannotSee(what, err)
	case !isProgram(info):
		return finding{levelProblem, what, path + " is no program: the etch server serves nobody", do}
	}
	built, err := buildinfo.ReadFile(path)
	if errors.Is(err, fs.ErrPermission) {
		return cannotSee(what, err)
	}
	if err != nil || !strings.HasPrefix(built.Path, ourPrograms) {
		return finding{levelOK, what, "is a program of the site's own", ""}
	}
	if f, ok := otherVersion(versionOf(built), version()); ok {
		return f
	}
	if lack := s.lackingEtchtag(path, built); lack != "" {
		return finding{levelProblem, what, lack + ": until this is mended no host is served", do}
	}
	return finding{levelOK, what, "is of the same version as this program", ""}
}

// otherVersion is the finding for programs that are not from one build.
func otherVersion(theirs, ours string) (finding, bool) {
	if theirs == ours {
		return finding{}, false
	}
	return finding{levelWarning, "nodetagger", fmt.Sprintf("is of version %s, and this program of %s: they may decide differently", theirs, ours),
		"install etchtag and nodetagger of one version"}, true
}

// lackingEtchtag says that the program nodetagger, which knows fewer kinds of inventories, does not find etchtag, if it
// would have to.
func (s *site) lackingEtchtag(path string, built *debug.BuildInfo) string {
	at := slices.IndexFunc(s.Config.Inventory, func(i config.Inventory) bool { return decide.LocalKinds[i.Kind].New == nil })
	program, err := filepath.EvalSymlinks(path)
	if at < 0 || built.Path != ourPrograms+"nodetagger" || err != nil {
		return ""
	}
	places := decide.EtchtagPlaces(program, s.Base)
	if slices.ContainsFunc(places, func(place string) bool {
		info, err := os.Stat(place)
		return err == nil && isProgram(info)
	}) {
		return ""
	}
	return fmt.Sprintf("the inventory of kind %s takes etchtag, which is neither %s", s.Config.Inventory[at].Kind, strings.Join(places, " nor "))
}
