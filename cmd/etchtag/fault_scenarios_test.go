package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// faultScenario is a command in a situation.
type faultScenario struct {
	name   string
	before func(t *testing.T, b *faultBase) // brings an empty base into the situation; upstream is in state one
	line   []string                         // the command; $DIR stands for the experiment's directory
	truth  truth
	from   string // the operation from which on faults are tried; empty for the first
	// drifted is a tag that was edited, and that the command repairs.
	drifted string
	// unrecorded are tags without a manifest.
	unrecorded []string
	// retired is a tag that a run has retired that died then, and that is needed.
	retired string
	// survivors are local edits, which must not get lost.
	survivors []string
}

const gitURL = "working_copy: {kind: git, url: $DIR/up}"

var faultScenarios = []faultScenario{
	{name: "clone", line: []string{"update"}, truth: updateTruth,
		before: func(t *testing.T, b *faultBase) { b.configure(t, gitURL) }},
	{name: "clone of packs", line: []string{"update"}, truth: updateTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.upstream(t, "packed")
		}},
	{name: "update with nothing new", line: []string{"update"}, truth: updateTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.must(t, "update")
			b.settle(t)
		}},
	{name: "update with changed files", line: []string{"update"}, truth: updateTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.must(t, "update")
			b.upstream(t, "two")
		}},
	{name: "update with many new objects", line: []string{"update"}, truth: updateTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.must(t, "update")
			b.upstream(t, "grown")
		}},
	{name: "update with local edits", line: []string{"update"}, truth: updateTruth,
		survivors: []string{"edited here", "made here", "bad # marked here"},
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.must(t, "update")
			b.upstream(t, "two")
			b.write(t, "trunk/source/etc/motd", "edited here\n")
			b.write(t, "trunk/mine/file", "made here\n")
			b.write(t, "trunk/tagstate", faultTag(1)+" bad # marked here\n")
			must(t, os.Chmod(filepath.Join(b.base, "trunk/source"), 0o700))
			must(t, os.Chmod(filepath.Join(b.base, "trunk/defaults.yml"), 0o600))
		}},
	{name: "update of a rewritten history", line: []string{"update"}, truth: updateTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.upstream(t, "two")
			b.must(t, "update")
			b.upstream(t, "rewritten")
		}},
	{name: "update after git was killed", line: []string{"update"}, truth: updateTruth, before: leftoversOfGit},
	{name: "update of a damaged store", line: []string{"update"}, truth: updateTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.must(t, "update")
			b.upstream(t, "two")
			damageStore(t, b)
		}},
	{name: "update of a store set aside", line: []string{"update"}, truth: updateTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.must(t, "update")
			must(t, os.Remove(filepath.Join(b.base, "trunk/.git/index")))
			b.write(t, "trunk/.git/index/file", "an index should be here\n")
			must(t, os.Rename(filepath.Join(b.base, "trunk/.git"), filepath.Join(b.base, "trunk/.git.etchtag-replaced")))
		}},
	{name: "update from another upstream", line: []string{"update"}, truth: updateTruth,
		survivors: []string{"edited here"},
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.must(t, "update")
			b.write(t, "trunk/source/etc/motd", "edited here\n")
			b.configure(t, "working_copy: {kind: git, url: "+filepath.Join(b.lab.upstreams.dir, "two")+"}")
		}},
	{name: "clone over http", line: []string{"update"}, truth: updateTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, fmt.Sprintf("working_copy: {kind: git, url: %q}", b.lab.upstreams.http+"/packed"))
		}},
	{name: "clone of many packs", line: []string{"update"}, truth: updateTruth, from: "rename ETCHTAG_HEAD#1",
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.upstream(t, "packs")
		}},
	{name: "first snapshot", line: []string{"snapshot", "--rehearse", faultHour(10)}, truth: tagsTruth,
		before: func(t *testing.T, b *faultBase) { b.configure(t, gitURL) }},
	{name: "snapshot with a previous tag", line: []string{"snapshot", "--rehearse", faultHour(11)}, truth: tagsTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL, "inventory: [{kind: etch}, {kind: file, path: hosts.yml}]")
			b.write(t, "hosts.yml", "web1.example.com: {groups: [dev]}\n")
			b.must(t, "snapshot", "--rehearse", faultHour(10))
			b.write(t, "hosts.yml", "web1.example.com: {groups: [qa]}\n")
			b.upstream(t, "two")
		}},
	{name: "snapshot with hard links", line: []string{"snapshot", "--rehearse", faultHour(11)}, truth: tagsTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL, "tags: {files: hardlink}")
			b.must(t, "snapshot", "--rehearse", faultHour(10))
			b.upstream(t, "two")
		}},
	{name: "snapshot of a damaged store", line: []string{"snapshot", "--rehearse", faultHour(11)}, truth: tagsTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.must(t, "update")
			b.upstream(t, "two")
			damageStore(t, b)
		}},
	{name: "snapshot that prunes", line: []string{"snapshot", "--rehearse", faultHour(11)}, truth: tagsTruth,
		before: func(t *testing.T, b *faultBase) {
			prunable(t, b)
			b.upstream(t, "two")
		}},
	{name: "repair", line: []string{"verify", "--repair"}, truth: repairTruth,
		drifted: faultTag(10), survivors: []string{"edited here"},
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.must(t, "snapshot", "--rehearse", faultHour(10))
			b.write(t, "tags/"+faultTag(10)+"/source/etc/motd", "edited here\n")
		}},
	{name: "first snapshot of Subversion", line: []string{"snapshot", "--rehearse", faultHour(10)}, truth: tagsTruth,
		before: func(t *testing.T, b *faultBase) { b.configure(t, svnURL(b)) }},
	{name: "update from Subversion", line: []string{"update"}, truth: updateTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, svnURL(b))
			b.must(t, "update")
			out, err := exec.Command("svn", "update", "-q", "-r", "1", filepath.Join(b.base, "trunk")).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}},
	{name: "update of externals of Subversion", line: []string{"update"}, truth: updateTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, fmt.Sprintf("working_copy: {kind: svn, url: %q}", "file://"+b.lab.upstreams.dir+"/joined"))
			b.must(t, "update")
			trunk := filepath.Join(b.base, "trunk")
			if out, err := exec.Command("svn", "update", "-q", "-r", "1", filepath.Join(trunk, "source")).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			must(t, os.Remove(filepath.Join(trunk, ".svn/etchtag-whole"))) // as if it had been so from the beginning
		}},
	{name: "update from Subversion with local edits", line: []string{"update"}, truth: updateTruth,
		survivors: []string{"edited here", "made here"},
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, svnURL(b))
			b.must(t, "update")
			b.write(t, "trunk/source/etc/motd", "edited here\n")
			b.write(t, "trunk/mine/file", "made here\n")
		}},
	{name: "snapshot of an old revision of Subversion", truth: tagsTruth,
		line: []string{"snapshot", "--hour", faultHour(9), "--revision", "1", "--rehearse", faultHour(10)},
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, svnURL(b))
			b.must(t, "update")
		}},
	{name: "update of a damaged working copy of Subversion", line: []string{"update"}, truth: updateTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, svnURL(b))
			b.must(t, "update")
			b.write(t, "trunk/.svn/wc.db", "no database\n")
		}},
	{name: "snapshot of a plain tree with hard links", line: []string{"snapshot", "--rehearse", faultHour(11)}, truth: tagsTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, "working_copy: {kind: dir}", "tags: {files: hardlink}")
			must(t, os.CopyFS(filepath.Join(b.base, "trunk"), os.DirFS(filepath.Join(b.lab.upstreams.dir, "plain"))))
			b.must(t, "snapshot", "--rehearse", faultHour(10))
			b.write(t, "trunk/source/etc/motd", "another\n")
		}},
	{name: "prune", line: []string{"prune", "--rehearse", faultHour(10)}, truth: tagsTruth,
		before: func(t *testing.T, b *faultBase) {
			prunable(t, b)
			for _, debris := range []string{"stage/1/tree/file", "trash/" + faultTag(1) + "/file", "manifests/" + faultTag(1),
				"tables/" + faultTag(1), ".last-update1"} {
				b.write(t, "tags/.etchtag/"+debris, "debris\n")
			}
		}},
	{name: "prune after one that died", line: []string{"prune", "--rehearse", faultHour(10)}, truth: giveBackTruth,
		unrecorded: []string{faultTag(6)}, retired: faultTag(5),
		before: func(t *testing.T, b *faultBase) {
			prunable(t, b)
			must(t, os.Remove(b.places().Manifest(faultTag(6))))
			b.write(t, "tagstate", faultTag(6)+" bad\n") // else it would stay, having a tree unlike any other
			must(t, os.Rename(b.places().Dir(faultTag(5)), filepath.Join(b.places().Trash(), faultTag(5))))
			b.write(t, "kept", faultTag(5)+" audit\n")
		}},
	{name: "renaming of old tags", line: []string{"init", "--legacy-tz", "Etc/GMT+2"}, truth: renameTruth,
		unrecorded: []string{faultTag(3), faultTag(5), faultTag(7), faultTag(9)},
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.must(t, "update")
			for _, h := range []int{3, 5, 7} { // each is called as the one before it is to be called
				b.write(t, "tags/"+faultTag(h)+"/file", faultTag(h)+"\n")
				made := time.Date(2026, 11, 22, h+2, 0, 3, 0, time.UTC)
				must(t, os.Chtimes(b.places().Dir(faultTag(h)), made, made))
			}
			b.write(t, "tagstate", faultTag(3)+" bad\n"+faultTag(5)+" good\n")
			b.write(t, "kept", faultTag(3)+" audit\n"+faultTag(7)+" incident\n")
			b.write(t, "pins", "web1.example.com tags/"+faultTag(5)+"\n")
		}},
	{name: "mark", line: []string{"mark", "bad", faultTag(10), "--force", "--reason", "breaks ntp"}, truth: markTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.must(t, "snapshot", "--rehearse", faultHour(10))
		}},
	{name: "mark in another's file", line: []string{"mark", "badfwd", faultTag(10), "--force"}, truth: markTruth,
		before: func(t *testing.T, b *faultBase) {
			b.configure(t, gitURL)
			b.must(t, "snapshot", "--rehearse", faultHour(10))
			b.write(t, "tagstate", faultTag(9)+" bad\n")
			b.write(t, ".tagstate.etchtag-123", "debris\n")
			if os.Geteuid() == 0 {
				must(t, os.Chown(filepath.Join(b.base, "tagstate"), 65534, 65534))
			}
		}},
	{name: "killswitch on", line: []string{"killswitch", "on", "a bad commit is out"}, truth: killswitchTruth, before: emptyBase},
	{name: "killswitch on again", line: []string{"killswitch", "on", "a bad commit is out"}, truth: killswitchTruth,
		before: func(t *testing.T, b *faultBase) {
			emptyBase(t, b)
			b.must(t, "killswitch", "on", "the first message")
		}},
	{name: "killswitch on in a file with another name", line: []string{"killswitch", "on", "a bad commit is out"}, truth: killswitchTruth,
		before: func(t *testing.T, b *faultBase) {
			emptyBase(t, b)
			b.write(t, "message", "the first message\n")
			must(t, os.Link(filepath.Join(b.base, "message"), filepath.Join(b.base, "killswitch")))
		}},
	{name: "killswitch off", line: []string{"killswitch", "off"}, truth: killswitchTruth,
		before: func(t *testing.T, b *faultBase) {
			emptyBase(t, b)
			b.must(t, "killswitch", "on", "the first message")
			b.write(t, ".killswitch-123", "debris\n")
		}},
}

// svnURL is for a repository with what is in state two.
func svnURL(b *faultBase) string {
	return fmt.Sprintf("working_copy: {kind: svn, url: %q}", "file://"+b.lab.upstreams.dir+"/svn")
}

var markTruth = wordTruth(func(s faultState) string { return s.tagstate })

// emptyBase is a base that has an upstream and nothing else.
func emptyBase(t *testing.T, b *faultBase) { b.configure(t, gitURL) }

// prunable makes tags, the oldest of which are to go.
func prunable(t *testing.T, b *faultBase) {
	b.configure(t, gitURL, "tags: {keep: {within: 2h, last: 1}}", "rings: [{name: all, delay: 1h}]")
	for h := 5; h <= 10; h++ {
		b.must(t, "snapshot", "--no-prune", "--rehearse", faultHour(h))
	}
}

// damageStore removes an object that every revision has.
func damageStore(t *testing.T, b *faultBase) {
	out, err := exec.Command("git", "-C", filepath.Join(b.base, "trunk"), "rev-parse", "HEAD:source").Output()
	must(t, err)
	name := strings.TrimSpace(string(out))
	must(t, os.Remove(filepath.Join(b.base, "trunk/.git/objects", name[:2], name[2:])))
}

// leftoversOfGit is a working copy in which git was killed at this and that, and a merge left unfinished.
func leftoversOfGit(t *testing.T, b *faultBase) {
	b.configure(t, gitURL)
	b.upstream(t, "packed")
	b.must(t, "update")
	b.upstream(t, "two")
	git := "trunk/.git/"
	b.write(t, git+"index.lock", "etchtag\n")
	b.write(t, git+"etchtag-tmp/file", "half of a fi")
	b.write(t, git+"packed-refs.lock", "")
	b.write(t, git+"MERGE_HEAD", "")
	b.write(t, git+"objects/pack/tmp_pack_123", "PACK")
	b.write(t, git+"objects/tmp_etchtag-123/pack.pack", "PACK")
	packs, err := filepath.Glob(filepath.Join(b.base, git, "objects/pack/pack-*"))
	must(t, err)
	for _, p := range packs { // as "git maintenance" calls them
		must(t, os.Rename(p, filepath.Join(filepath.Dir(p), "loose-"+strings.TrimPrefix(filepath.Base(p), "pack-"))))
	}
	tracking := filepath.Join(b.base, git, "refs/remotes/origin/main")
	head, err := os.ReadFile(tracking)
	must(t, err)
	must(t, os.Remove(tracking))
	b.write(t, git+"refs/remotes/origin/main/old", string(head))
	b.write(t, git+"packed-refs", strings.TrimSpace(string(head))+" refs/remotes/origin/main/older\n")
}
