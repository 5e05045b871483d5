package main

import (
	"maps"
	"path"
	"slices"
	"testing"

	"github.com/etch/etchtag/snapshot/runtest"
)

// unhitFiles are those, as patterns, whose labels no scenario has, and why.
var unhitFiles = map[string]string{
	"tagging/inventory/stalestore.go": "lookups write it; its own tests fail each of its operations",
	"snapshot/aside/restore.go":       "restoring is no run of the kind: it makes new files for people, and overwrites none",
	"snapshot/disk/copytree.go":       "the same, and for what is on another file system than the working copy",
	"snapshot/source/cvs/*.go":        "most of what is done there another program does; the conformance suite interrupts it",
}

// unhitLabels are single labels of that kind.
var unhitLabels = map[string]string{
	"remove packed object":     "needs 5,000 loose objects; the tests of package git do it with less",
	"withdraw manifest":        "needs a tag that somebody else makes at that moment; the tests of package snapshot have one",
	"withdraw table":           "the same",
	"svn relocate":             "needs a URL with a user's name; the tests of package svn have one",
	"svn cleanup":              "needs an svn that was killed; the tests of package svn have one",
	"remove external":          "needs externals; the tests of package svn have them",
	"date legacy tag":          "needs a tag that was made just now; the tests of package snapshot have one",
	"remove discard directory": "needs ten directories that were set aside; the tests of package snapshot do it",
	"copy old directory":       "needs what is set aside on another file system; the tests of package aside have one",
}

// isUnhit reports whether no scenario makes the operations of a file.
func isUnhit(file string) bool {
	for pattern := range unhitFiles {
		if ok, _ := path.Match(pattern, file); ok {
			return true
		}
	}
	return false
}

// checkLabelsHit fails the test if a scenario has made an operation that is not found in the source, and, in a whole run,
// if there is one in the source that none has made.
func checkLabelsHit(t *testing.T, hit map[string]bool) {
	t.Helper()
	sites := labelSites(t)
	for label := range hit {
		if sites[label] == nil {
			t.Errorf("the operation %q was made, and was not found in the source", label)
		}
	}
	if runtest.Asked() != runtest.Whole {
		return // some are made only after certain faults
	}
	for _, label := range slices.Sorted(maps.Keys(sites)) {
		files := slices.DeleteFunc(sites[label], isUnhit)
		if len(files) > 0 && !hit[label] && unhitLabels[label] == "" {
			t.Errorf("no scenario makes the operation %q of %s", label, files[0])
		}
	}
	for label := range unhitLabels {
		if sites[label] == nil || hit[label] {
			t.Errorf("%q is no exception any more", label)
		}
	}
}

// stagedWrites are what makes a staged tag.
var stagedWrites = []string{"make staged directory", "make staged link", "write staged file", "clone staged file",
	"link staged file", "replace staged file", "set directory times", "settle tree", "export", "write table"}

// durability says what must be synced before something gets the name that readers look for: after the last
// of the writes the sync must come, and then only the publishing.
var durability = []struct {
	publish []string
	sync    string
	writes  []string
}{
	{[]string{"publish table", "publish manifest", "publish tag"}, "sync stage", stagedWrites},
	{[]string{"publish manifest"}, "sync manifest", []string{"write manifest"}},
	{[]string{"publish tag"}, "sync manifests", []string{"publish manifest"}},
	{[]string{"publish tag"}, "sync tables", []string{"publish table"}},
	{[]string{"rename pack", "rename idx"}, "sync pack",
		[]string{"create pack", "write pack", "write pack index", "copy pack", "copy idx", "protect pack"}},
	{[]string{"rename object"}, "sync objects", []string{"write object", "copy object"}},
	{[]string{"rename ref"}, "sync object names", []string{"rename object"}},
	{[]string{"rename ref"}, "sync pack names", []string{"rename pack", "rename idx"}},
	{[]string{"rename ref"}, "sync file system", []string{"rename file", "write file", "make link"}},
	{[]string{"rename index"}, "sync file system", []string{"rename file", "write file", "make link", "remove file",
		"change mode", "make directory", "remove directory"}},
	{[]string{"rename index"}, "sync index", []string{"write index"}},
	{[]string{"rename clone", "exchange working copies"}, "sync clone", []string{"write repository", "rename file",
		"write file", "make link", "make directory", "rename object", "rename pack", "rename idx", "rename index",
		"rename HEAD", "rename ref", "rename etchtag-state"}},
	{[]string{"rename clone"}, "sync clone", []string{"svn checkout"}},
	{[]string{"exchange working copies"}, "sync working copy", []string{"svn checkout"}},
	{[]string{"set up fresh directory"}, "sync working copy", []string{"svn checkout"}},
	{[]string{"exchange tags"}, "sync stage", stagedWrites},
	{[]string{"exchange repository"}, "sync repository",
		[]string{"write repository", "rename object", "rename pack", "rename idx", "rename HEAD", "rename ref"}},
	{[]string{"rename killswitch copy"}, "sync killswitch copy", []string{"write killswitch copy"}},
	{[]string{"rename tagstate"}, "sync tagstate", []string{"create tagstate", "write tagstate", "chown tagstate", "chmod tagstate"}},
	{[]string{"rename legacy tag"}, "sync directory of tagstate", []string{"rename tagstate"}},
	{[]string{"rename legacy tag", "rename tagstate"}, "sync tags", []string{"rename legacy tag"}},
	{[]string{"rename ref"}, "sync ref", []string{"create ref", "write ref"}},
	{[]string{"rename HEAD"}, "sync HEAD", []string{"create HEAD", "write HEAD"}},
	{[]string{"rename packed-refs"}, "sync packed-refs", []string{"create packed-refs", "write packed-refs"}},
	{[]string{"rename config"}, "sync config", []string{"create config", "write config"}},
	{[]string{"rename ETCHTAG_HEAD"}, "sync ETCHTAG_HEAD", []string{"create ETCHTAG_HEAD", "write ETCHTAG_HEAD"}},
	{[]string{"rename etchtag-state"}, "sync etchtag-state", []string{"create etchtag-state", "write etchtag-state"}},
	{[]string{"rename etchtag-whole"}, "sync etchtag-whole", []string{"create etchtag-whole", "write etchtag-whole"}},
	{[]string{"rename etchtag-journal"}, "sync etchtag-journal", []string{"create etchtag-journal", "write etchtag-journal"}},
}

// ownDurability are names that are given without a sync of their own before, and why.
var ownDurability = map[string]string{
	"rename file": "the journal says that the working copy is being changed, and the index says of no file that it is " +
		"whole before the sync that all of them share: until then each is compared with what it should be",
	"rename file table": "the library that renames it syncs it first",
}

// checkDurability proves of a recorded run that nothing got its name before it was durable.
func checkDurability(t *testing.T, steps []faultStep) {
	t.Helper()
	for i, s := range steps {
		known := ownDurability[s.label] != ""
		for _, rule := range durability {
			if !slices.Contains(rule.publish, s.label) {
				continue
			}
			known = true
			written, synced := -1, -1
			for j, before := range steps[:i] {
				if slices.Contains(rule.writes, before.label) {
					written = j
				}
				if before.label == rule.sync {
					synced = j
				}
			}
			if written > synced {
				t.Errorf("%s comes after %s without %s between", s, steps[written], rule.sync)
			}
		}
		if !known && beginsWith(s.label, []string{"rename", "publish", "exchange"}) {
			t.Errorf("no rule says what has to be durable before %s", s)
		}
	}
}
