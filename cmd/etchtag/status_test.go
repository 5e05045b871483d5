package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/cmd/internal/build"
	"github.com/etch/etchtag/cmd/internal/health"
	"github.com/etch/etchtag/snapshot/mounttest"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/gofrs/flock"
)

// statusNow is a time at which all is well with a statusBase.
var statusNow = time.Date(2026, 11, 22, 9, 20, 0, 0, time.UTC)

// statusBase is a base that a test can break.
type statusBase struct {
	t *testing.T
	l tag.Base
}

// newStatusBase makes a base with which all is well: tags of the hours from 03:00 to 09:00, with records, and an update
// of 09:15.
func newStatusBase(t *testing.T) *statusBase {
	t.Helper()
	b := &statusBase{t, tag.Base{Path: t.TempDir()}}
	for _, dir := range []string{"trunk", "tags/.etchtag/manifests", "tags/.etchtag/tables", "tags/.etchtag/stage",
		"tags/.etchtag/trash", "tags/.etchtag/discarded"} {
		b.must(os.MkdirAll(filepath.Join(b.l.Path, dir), 0o755))
	}
	for hour := 3; hour <= 9; hour++ {
		b.tag(fmt.Sprintf("etchautotag-20261122-%02d00", hour), nil)
	}
	b.write("tags/.etchtag/last-update", `{"time":"2026-11-22T09:15:00Z","revision":"4727c7b040b5aa","success":"2026-11-22T09:15:00Z"}`)
	b.write("tags/.etchtag/snapshot.lock", "")
	b.chmod("tags/.etchtag/snapshot.lock", 0o600)
	b.must(os.Symlink("/proc/self/exe", b.path("nodetagger")))
	return b
}

func (b *statusBase) must(errs ...error) {
	b.t.Helper()
	if err := errors.Join(errs...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *statusBase) path(name string) string { return filepath.Join(b.l.Path, name) }

func (b *statusBase) write(name, content string) {
	b.t.Helper()
	b.must(os.WriteFile(b.path(name), []byte(content), 0o644))
}

func (b *statusBase) chmod(name string, mode os.FileMode) {
	b.t.Helper()
	b.must(os.Chmod(b.path(name), mode))
}

func (b *statusBase) remove(name string) {
	b.t.Helper()
	b.must(os.RemoveAll(b.path(name)))
}

// tag makes a tag with its records. change may change what its manifest says.
func (b *statusBase) tag(name string, change func(*tag.Manifest)) {
	b.t.Helper()
	at, err := tag.ParseName(name)
	b.must(err, os.MkdirAll(b.l.Dir(name), 0o755))
	m := &tag.Manifest{Header: tag.Header{Name: name, Revision: "r", Source: "git", Layout: "auto", Published: at},
		Entries: []tag.Entry{{Path: "a", Mode: tag.ModeFile, Size: 1}}}
	if change != nil {
		change(m)
	}
	var manifest, table bytes.Buffer
	_, err = build.CompileTable(&table, b.l.Dir(name))
	b.must(err, tag.WriteManifest(&manifest, m),
		os.WriteFile(b.l.Manifest(name), manifest.Bytes(), 0o644), os.WriteFile(b.l.Table(name), table.Bytes(), 0o644))
}

// bare makes a tag as repo_update does.
func (b *statusBase) bare(names ...string) {
	b.t.Helper()
	for _, name := range names {
		b.must(os.MkdirAll(b.l.Dir(name), 0o755), os.RemoveAll(b.l.Manifest(name)))
	}
}

func (b *statusBase) findings(now time.Time) []health.Finding {
	b.t.Helper()
	a := &app{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" },
		now: func() time.Time { return now }, log: slog.New(slog.DiscardHandler)}
	s, err := a.openSite(b.l.Path, "", configOptional)
	b.must(err)
	return s.facts(context.Background(), now).Findings()
}

// withoutSpace leaves out what depends on the machine that the test runs on.
func withoutSpace(findings []health.Finding) []health.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f health.Finding) bool { return f.What == "space" || f.What == "inodes" })
}

func TestAllIsWellWithASoundBase(t *testing.T) {
	var whats []string
	for _, f := range withoutSpace(newStatusBase(t).findings(statusNow)) {
		if whats = append(whats, f.What); f.Level != health.OK || f.Do != "" {
			t.Errorf("%+v", f)
		}
	}
	want := "killswitch, nodetagger, update, lock, tags, ring dev, ring qa, ring staging, ring production, inventory"
	if got := strings.Join(whats, ", "); got != want {
		t.Errorf("got the lines %s", got)
	}
}

// statusTests break one thing each.
var statusTests = []struct {
	name     string
	spoil    func(b *statusBase)
	after    time.Duration // between statusNow and the look
	level    health.Level
	what     string
	says, do string // what must stand there
}{
	{name: "the killswitch is on", spoil: func(b *statusBase) {
		b.write("killswitch", "ticket 4711\n")
		at := statusNow.Add(-90 * time.Minute)
		b.must(os.Chtimes(b.path("killswitch"), at, at))
	}, level: health.Problem, what: "killswitch", says: `on for 1h30m: "ticket 4711"`, do: "etchtag killswitch off"},
	{name: "the killswitch is a directory", spoil: func(b *statusBase) { b.must(os.Mkdir(b.path("killswitch"), 0o755)) },
		level: health.Problem, what: "killswitch", says: "on ", do: "etchtag killswitch off"},
	{name: "the clock was set back since the killswitch is on", spoil: func(b *statusBase) {
		b.write("killswitch", "")
		at := statusNow.Add(2 * time.Hour)
		b.must(os.Chtimes(b.path("killswitch"), at, at))
	}, level: health.Problem, what: "killswitch", says: "on since 2026-11-22T", do: "etchtag killswitch off"},

	{name: "nodetagger is not there", spoil: func(b *statusBase) { b.remove("nodetagger") },
		level: health.Problem, what: "nodetagger", says: "is not there", do: "etchtag init"},
	{name: "nodetagger is a link to nowhere", spoil: func(b *statusBase) {
		b.remove("nodetagger")
		b.must(os.Symlink("gone", b.path("nodetagger")))
	}, level: health.Problem, what: "nodetagger", says: "leads nowhere", do: "etchtag init"},
	{name: "nodetagger is a directory", spoil: func(b *statusBase) {
		b.remove("nodetagger")
		b.must(os.Mkdir(b.path("nodetagger"), 0o755))
	}, level: health.Problem, what: "nodetagger", says: "is no program", do: "etchtag init"},
	{name: "nodetagger cannot be executed", spoil: func(b *statusBase) {
		b.remove("nodetagger")
		b.write("nodetagger", "#!/bin/sh\n")
	}, level: health.Problem, what: "nodetagger", says: "is no program", do: "etchtag init"},
	{name: "nodetagger is a script", spoil: func(b *statusBase) {
		b.remove("nodetagger")
		b.write("nodetagger", "#!/bin/sh\n")
		b.chmod("nodetagger", 0o755)
	}, level: health.OK, what: "nodetagger", says: "the site's own"},

	{name: "never updated", spoil: func(b *statusBase) { b.remove("tags/.etchtag/last-update") },
		level: health.Warning, what: "update", says: "never been updated", do: "etchtag update"},
	{name: "the last update failed", spoil: func(b *statusBase) {
		b.write("tags/.etchtag/last-update", `{"time":"2026-11-22T09:15:00Z","revision":"4727c7b040b5aa","failure":"no route to host","success":"2026-11-22T07:20:00Z"}`)
	}, level: health.Problem, what: "update", says: "failed 5m ago, and none has succeeded for 2h0m (at 4727c7b040b5): no route to host", do: "etchtag update"},
	{name: "no update ever succeeded", spoil: func(b *statusBase) {
		b.write("tags/.etchtag/last-update", `{"time":"2026-11-22T09:15:00Z","failure":"no such host"}`)
	}, level: health.Problem, what: "update", says: "none has ever succeeded: no such host", do: "etchtag update"},
	{name: "the last update was long ago", spoil: func(b *statusBase) {
		b.write("tags/.etchtag/last-update", `{"time":"2026-11-22T06:20:00Z","revision":"r9","success":"2026-11-22T06:20:00Z"}`)
	}, level: health.Warning, what: "update", says: "3h0m ago, at r9", do: "cron"},
	{name: "the last update is still to come", spoil: func(b *statusBase) {
		b.write("tags/.etchtag/last-update", `{"time":"2027-11-22T06:20:00Z","success":"2027-11-22T06:20:00Z"}`)
	}, level: health.Warning, what: "update", says: "still to come", do: "clock"},
	{name: "the record of updates is damaged", spoil: func(b *statusBase) { b.write("tags/.etchtag/last-update", "{") },
		level: health.Warning, what: "update", says: "last-update", do: "etchtag update"},

	{name: "there are no tags", spoil: func(b *statusBase) { b.remove("tags"); b.must(os.Mkdir(b.path("tags"), 0o755)) },
		level: health.Problem, what: "tags", says: "none", do: "etchtag snapshot"},
	{name: "a snapshot is due and may be at work", after: 50 * time.Minute, level: health.OK, what: "tags", says: "1h10m old"},
	{name: "a snapshot was missed", after: time.Hour + 15*time.Minute, level: health.Warning, what: "tags", says: "one has been due", do: "etchtag snapshot"},
	{name: "snapshots have stopped", after: 3 * time.Hour, level: health.Problem, what: "tags", says: "3 have been due", do: "cron"},
	{name: "a rarer schedule misses nothing", spoil: func(b *statusBase) {
		b.write("etchtag.yml", "schedule: {snapshot: '0 */6 * * *'}\n")
	}, after: 2 * time.Hour, level: health.OK, what: "tags", says: "2h20m old"},
	{name: "a manifest is damaged", spoil: func(b *statusBase) { b.write("tags/.etchtag/manifests/etchautotag-20261122-0400", "x") },
		level: health.Problem, what: "manifest", says: "etchautotag-20261122-0400", do: "etchtag verify"},
	{name: "the newest tag is stale", spoil: func(b *statusBase) {
		b.tag("etchautotag-20261122-0900", func(m *tag.Manifest) { m.Stale = true })
	}, level: health.Warning, what: "stale", says: "etchautotag-20261122-0900", do: "mend"},
	{name: "an old tag is stale", spoil: func(b *statusBase) {
		b.tag("etchautotag-20261122-0600", func(m *tag.Manifest) { m.Stale = true })
	}, level: health.Note, what: "stale", says: "1 tag made of an older revision"},
	{name: "an hour is missing that a ring gets", spoil: func(b *statusBase) { b.remove("tags/etchautotag-20261122-0700") },
		level: health.Warning, what: "gaps", says: "1 tag missing between others in the last 72h: etchautotag-20261122-0700", do: "etchtag snapshot --hour"},
	{name: "hours are missing that no ring gets", spoil: func(b *statusBase) { b.bare("etchautotag-20261121-2300") },
		level: health.Note, what: "gaps", says: "3 tags missing between others in the last 72h: etchautotag-20261122-0200, etchautotag-20261122-0100, etchautotag-20261122-0000"},
	{name: "gaps before what is kept are forgotten", spoil: func(b *statusBase) {
		b.write("etchtag.yml", "tags: {keep: {within: 6h}}\n")
		b.bare("etchautotag-20261121-2300", "etchautotag-20261122-0200")
	}, level: health.OK, what: "tags", says: "9 tags"},
	{name: "a tag is in the future", spoil: func(b *statusBase) { b.bare("etchautotag-20271122-0900") },
		level: health.Warning, what: "future", says: "etchautotag-20271122-0900", do: "rm -r"},
	{name: "something foreign is among the tags", spoil: func(b *statusBase) {
		b.must(os.Mkdir(b.path("tags/release-7\x1b[31m"), 0o755), os.Symlink("nowhere", b.path("tags/etchautotag-20261122-0100")))
	}, level: health.Note, what: "foreign", says: `"etchautotag-20261122-0100", "release-7\x1b[31m"`},
	{name: "tags of repo_update before ours", spoil: func(b *statusBase) { b.bare("etchautotag-20261122-0200") },
		level: health.Note, what: "unverified", says: "1 tag without a manifest"},
	{name: "a tag of repo_update after ours", spoil: func(b *statusBase) { b.bare("etchautotag-20261122-0800") },
		level: health.Warning, what: "unverified", says: "etchautotag-20261122-0800", do: "repo_update still in cron"},
	{name: "tags go before rings come to them", spoil: func(b *statusBase) {
		b.write("etchtag.yml", "tags: {keep: {within: 1h, last: 2}}\n")
	}, level: health.Warning, what: "keep", says: "pruned before", do: "tags.keep.within"},

	{name: "a dead run has left something", spoil: func(b *statusBase) { b.must(os.Mkdir(b.path("tags/.etchtag/stage/x"), 0o700)) },
		level: health.Note, what: "debris", says: "stage/x", do: "sweeps"},
	{name: "what a dead run left stays", spoil: func(b *statusBase) { b.must(os.Mkdir(b.path("tags/.etchtag/trash/x"), 0o700)) },
		after: 10 * 365 * 24 * time.Hour, level: health.Warning, what: "debris", says: "none has swept it", do: "lsattr"},
	{name: "something is mounted in what a dead run left", spoil: func(b *statusBase) {
		mounttest.Directory(b.t, b.path("tags/.etchtag/trash/x/mounted"))
	}, level: health.Warning, what: "debris", says: "tags/.etchtag/trash/x/mounted", do: "unmount"},
	{name: "a run is at work", spoil: func(b *statusBase) {
		b.must(os.Mkdir(b.path("tags/.etchtag/stage/x"), 0o700)) // which is its own
		l := flock.New(b.l.SnapshotLock())
		if held, err := l.TryLock(); !held {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { l.Unlock() })
	}, level: health.Note, what: "lock", says: fmt.Sprintf("held by process %d (", os.Getpid()), do: fmt.Sprintf("kill %d", os.Getpid())},
	{name: "somebody edits tagstate", spoil: func(b *statusBase) {
		l := flock.New(b.l.TagstateLock(), flock.SetPermissions(0o600))
		if held, err := l.TryLock(); !held {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { l.Unlock() })
	}, level: health.Note, what: "tagstate lock", says: "held by process"},
	{name: "edits were set aside today", spoil: func(b *statusBase) {
		b.must(os.Mkdir(b.path("tags/.etchtag/discarded/20261122-030000"), 0o700), os.Mkdir(b.path("tags/.etchtag/discarded/20261120-030000"), 0o700))
	}, level: health.Note, what: "discarded", says: "in the last day: 20261122-030000", do: "etchtag discarded"},

	{name: "a state is not recognised", spoil: func(b *statusBase) {
		b.write("tagstate", "# ours\netchautotag-20261122-0300 BAD\n")
	}, level: health.Warning, what: "tagstate", says: `tagstate:2: "BAD" is not a state`, do: "correct the line"},
	{name: "tagstate is another file altogether", spoil: func(b *statusBase) { b.write("tagstate", strings.Repeat("x y\n", 50)) },
		level: health.Warning, what: "tagstate", says: "40 more lines"},
	{name: "tagstate cannot be read", spoil: func(b *statusBase) { b.must(os.Mkdir(b.path("tagstate"), 0o755)) },
		level: health.Problem, what: "resolver", says: "tagstate", do: "no client is served"},
	{name: "a line of pins names no host", spoil: func(b *statusBase) { b.write("pins", "-x trunk\n") },
		level: health.Warning, what: "pins", says: "pins:1", do: "correct the line"},
	{name: "a line of the kept tags names none", spoil: func(b *statusBase) {
		b.write("kept", "etchautotag-20261122-0900 audit\netchautotag-2026112-0900 typo\n")
	}, level: health.Warning, what: "kept", says: "kept:2", do: "before which nothing is pruned"},
	{name: "the kept tags cannot be read", spoil: func(b *statusBase) { b.must(os.MkdirAll(b.path("kept"), 0o755)) },
		level: health.Warning, what: "kept", says: "kept"},
	{name: "all tags are bad", spoil: func(b *statusBase) {
		var marks string
		for hour := 3; hour <= 9; hour++ {
			marks += fmt.Sprintf("etchautotag-20261122-%02d00 bad\n", hour)
		}
		b.write("tagstate", marks)
	}, level: health.Problem, what: "ring production", says: "gets nothing", do: "etchtag mark"},
	{name: "there is no tag for a ring yet", spoil: func(b *statusBase) {
		for hour := 3; hour <= 7; hour++ {
			b.remove(fmt.Sprintf("tags/etchautotag-20261122-%02d00", hour))
		}
	}, level: health.Problem, what: "ring staging", says: "gets nothing", do: "2h old"},
	{name: "a ring is rolled back", spoil: func(b *statusBase) {
		b.tag("etchautotag-20261122-0900", func(m *tag.Manifest) { m.Entries[0].Size = 2 })
		b.write("tagstate", "etchautotag-20261122-0900 bad\n")
	}, level: health.Note, what: "ring dev", says: "gets etchautotag-20261122-0800 rather than etchautotag-20261122-0900: it is marked bad"},
	{name: "a pin leads nowhere", spoil: func(b *statusBase) {
		b.write("pins", "a.example.com tags/release-7\nb.example.com tags/release-7\nc.example.com trunk\n")
	}, level: health.Warning, what: "pin", says: `pinned to "tags/release-7": a.example.com (pins:1), b.example.com (pins:2): there is no such directory`, do: "correct or remove"},
	{name: "a bump has an impossible time", spoil: func(b *statusBase) { b.write("pins", "a.example.com trunk-20260230-0000\n") },
		level: health.Warning, what: "pin", says: "20260230-0000 is no date and time"},
	{name: "an inventory pins to a tag that is gone", spoil: func(b *statusBase) {
		b.write("etchtag.yml", "inventory: [{kind: file, path: hosts.yml}]\n")
		b.write("pins", "b.example.com trunk\n")
		b.write("hosts.yml", "a.example.com: {groups: [], tag: tags/etchautotag-20200101-0000}\n"+
			"b.example.com: {groups: [], tag: tags/etchautotag-20200101-0000}\n")
	}, level: health.Warning, what: "pin", says: `pinned to "tags/etchautotag-20200101-0000": a.example.com (`, do: "remove the pin"},
	{name: "an inventory pins to what is no tag", spoil: func(b *statusBase) {
		b.write("etchtag.yml", "inventory: [{kind: file, path: hosts.yml}, {kind: file, path: more.yml}]\n")
		b.write("hosts.yml", "a.example.com: {groups: [], tag: trunk-20261122-0900}\nb.example.com: {groups: [], tag: trunk}\n")
		b.write("more.yml", "a.example.com: {groups: [], tag: ../x}\nb.example.com: {groups: [], tag: ../x}\n")
	}, level: health.Warning, what: "pin", says: `pinned to "../x": a.example.com (`, do: "remove the pin"},
	{name: "an inventory fails", spoil: func(b *statusBase) { b.write("etchtag.yml", "inventory: [{kind: command, command: [/bin/false]}]\n") },
		level: health.Problem, what: "inventory", says: "/bin/false", do: "no host is served"},
	{name: "an inventory fails whose answers are kept", spoil: func(b *statusBase) {
		b.write("etchtag.yml", "inventory: [{kind: command, command: [/bin/false], stale: 24h}]\ncache_dir: "+b.t.TempDir()+"\n")
	}, level: health.Problem, what: "inventory", says: "/bin/false", do: "served within 24h"},
	{name: "the pins of an inventory are not known", spoil: func(b *statusBase) {
		b.write("etchtag.yml", "inventory: [{kind: file, path: hosts.yml}]\n")
		b.write("hosts.yml", "{")
	}, level: health.Warning, what: "pins", says: "hosts.yml", do: "nothing is pruned"},
	{name: "the groups are not those of the newest tree", spoil: func(b *statusBase) {
		b.write("tags/etchautotag-20261122-0500/nodes.yml", "[")
		b.remove("tags/.etchtag/tables/etchautotag-20261122-0500")
	}, level: health.Note, what: "inventory", says: "etchautotag-20261122-0500 is passed over"},

	{name: "everybody can write the pins", spoil: func(b *statusBase) { b.write("pins", ""); b.chmod("pins", 0o666) },
		level: health.Problem, what: "access", says: "can write pins,", do: "chmod o-w /"},
	{name: "everybody can write several", spoil: func(b *statusBase) {
		for _, name := range []string{".", "tags", "trunk", "tags/.etchtag"} {
			b.chmod(name, 0o777)
		}
	}, level: health.Problem, what: "access", says: "tags, tags/.etchtag and 1 more", do: "/trunk"},
	{name: "everybody can write where the tags' link leads", spoil: func(b *statusBase) {
		b.must(os.Rename(b.path("tags"), b.path("elsewhere")), os.Symlink("elsewhere", b.path("tags")))
		b.chmod("elsewhere", 0o757)
	}, level: health.Problem, what: "access", says: "can write tags,"},
	{name: "a group can write tagstate", spoil: func(b *statusBase) { b.write("tagstate", ""); b.chmod("tagstate", 0o664) },
		level: health.Note, what: "access", says: "the group of tagstate", do: "chmod g-w"},
	{name: "everybody can write the server's own configuration", spoil: func(b *statusBase) {
		b.write("etchserver.conf", "")
		b.chmod("etchserver.conf", 0o646)
	}, level: health.Problem, what: "access", says: "can write etchserver.conf,"},
	{name: "everybody can write a tag", spoil: func(b *statusBase) { b.chmod("tags/etchautotag-20261122-0900", 0o777) },
		level: health.Problem, what: "access", says: "can write tags/etchautotag-20261122-0900,"},
	{name: "everybody can write a manifest", spoil: func(b *statusBase) { b.chmod("tags/.etchtag/manifests/etchautotag-20261122-0900", 0o666) },
		level: health.Problem, what: "access", says: "can write tags/.etchtag/manifests/etchautotag-20261122-0900,"},
	{name: "everybody can write where manifests stand", spoil: func(b *statusBase) { b.chmod("tags/.etchtag/manifests", 0o777) },
		level: health.Problem, what: "access", says: "can write tags/.etchtag/manifests,"},
	{name: "everybody can write an inventory elsewhere", spoil: func(b *statusBase) {
		hosts := filepath.Join(b.t.TempDir(), "hosts.yml")
		b.must(os.WriteFile(hosts, nil, 0o600), os.Chmod(hosts, 0o666))
		b.write("etchtag.yml", "inventory: [{kind: file, path: "+hosts+"}]\n")
	}, level: health.Problem, what: "access", says: "hosts.yml,"},
	{name: "everybody can write a program that is asked", spoil: func(b *statusBase) {
		program := filepath.Join(b.t.TempDir(), "groups")
		b.must(os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700), os.Chmod(program, 0o757))
		b.write("etchtag.yml", "inventory: [{kind: command, command: ["+program+"]}]\n")
	}, level: health.Problem, what: "access", says: "groups,"},
	{name: "everybody can write the check", spoil: func(b *statusBase) {
		check := filepath.Join(b.t.TempDir(), "check")
		b.must(os.WriteFile(check, []byte("#!/bin/sh\n"), 0o700), os.Chmod(check, 0o757))
		b.write("etchtag.yml", "tags: {check: ["+check+"]}\n")
	}, level: health.Problem, what: "access", says: "check,"},
	{name: "everybody can write where the originals go", spoil: func(b *statusBase) {
		b.must(os.MkdirAll(b.path("orig"), 0o755))
		b.chmod("orig", 0o777)
	}, level: health.OK, what: "tags"},
	{name: "a link stands where our own directory belongs", spoil: func(b *statusBase) {
		b.must(os.RemoveAll(b.path("tags/.etchtag/trash")), os.Symlink(b.t.TempDir(), b.path("tags/.etchtag/trash")))
	}, level: health.Problem, what: "access", says: "trash is no directory of ours", do: "rm /"},
	{name: "hours to come are marked", spoil: func(b *statusBase) {
		b.write("tagstate", "etchautotag-20261122-0900 bad\netchautotag-20261122-1000 bad\netchautotag-20261122-1100 bad\n")
	}, level: health.Warning, what: "marks", says: "2 tags to come marked bad by tagstate: etchautotag-20261122-1000 to etchautotag-20261122-1100",
		do: "etchtag mark clear --from etchautotag-20261122-1000 --to etchautotag-20261122-1100"},
	{name: "an hour to come is marked in the working copy", spoil: func(b *statusBase) {
		b.write("trunk/tagstate", "etchautotag-20261122-1000 oops\n")
	}, level: health.Warning, what: "marks", says: "1 tag to come marked oops by trunk/tagstate: etchautotag-20261122-1000", do: "by a commit"},
	{name: "hours that are over are marked", spoil: func(b *statusBase) {
		b.write("tagstate", "etchautotag-20261122-0900 good\netchautotag-20261122-0200 bad\n")
	}, level: health.OK, what: "tags"},
	{name: "the newest tag was published marked", spoil: func(b *statusBase) {
		b.write("tagstate", "etchautotag-20261122-0900 bad\n")
		b.tag("etchautotag-20261122-0900", func(m *tag.Manifest) { m.Marked, m.Entries[0].Size = true, 2 })
	}, level: health.Warning, what: "marked", says: "etchautotag-20261122-0900 was marked before it was published, so no ring gets it",
		do: "etchtag mark clear etchautotag-20261122-0900"},
	{name: "a tag was published marked, and there is a newer one", spoil: func(b *statusBase) {
		b.write("tagstate", "etchautotag-20261122-0800 bad\n")
		b.tag("etchautotag-20261122-0800", func(m *tag.Manifest) { m.Marked, m.Entries[0].Size = true, 2 })
	}, level: health.Note, what: "marked", says: "1 tag published although marked before, the last of them etchautotag-20261122-0800"},
	{name: "a tag was published marked, and is not marked any more", spoil: func(b *statusBase) {
		b.tag("etchautotag-20261122-0900", func(m *tag.Manifest) { m.Marked = true })
	}, level: health.OK, what: "tags"},
	{name: "others can open the lock", spoil: func(b *statusBase) { b.chmod("tags/.etchtag/snapshot.lock", 0o644) },
		level: health.Warning, what: "access", says: "hold it for ever", do: "chmod 600"},
}

func TestEveryFindingSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	for _, test := range statusTests {
		t.Run(test.name, func(t *testing.T) {
			b := newStatusBase(t)
			if test.spoil != nil {
				test.spoil(b)
			}
			findings := withoutSpace(b.findings(statusNow.Add(test.after)))
			at := slices.IndexFunc(findings, func(f health.Finding) bool {
				return f.Level == test.level && f.What == test.what && strings.Contains(f.Says, test.says) && strings.Contains(f.Do, test.do)
			})
			if at < 0 {
				t.Fatalf("no %s %s %q: %q among\n%+v", test.level, test.what, test.says, test.do, findings)
			}
			for _, f := range findings {
				if f.Level >= health.Warning && f.Do == "" {
					t.Errorf("nothing to do about %+v", f)
				}
				if f.Level >= health.Warning && test.level < health.Warning {
					t.Errorf("a note comes with %+v", f)
				}
			}
		})
	}
}

func TestNodetaggerThatDoesNotFindEtchtag(t *testing.T) {
	t.Parallel()
	b := newStatusBase(t)
	b.write("etchtag.yml", "inventory: [{kind: etch}, {kind: nventory, server: http://127.0.0.1:1/}]\n")
	a := &app{getenv: func(string) string { return "" }, now: time.Now}
	s, err := a.openSite(b.l.Path, "", configOptional)
	b.must(err)
	alone := filepath.Join(t.TempDir(), "nodetagger")
	b.must(os.WriteFile(alone, nil, 0o755))
	ours := &debug.BuildInfo{Path: ourPrograms + "nodetagger"}
	if lack := s.lackingEtchtag(alone, ours); !strings.Contains(lack, "kind nventory") || !strings.Contains(lack, s.Base.Etchtag()) {
		t.Errorf("it is said that %q", lack)
	}
	if lack := s.lackingEtchtag(alone, &debug.BuildInfo{Path: ourPrograms + "etchtag"}); lack != "" {
		t.Errorf("of etchtag it is said that %s", lack)
	}
	for _, place := range []string{filepath.Join(filepath.Dir(alone), "etchtag"), s.Base.Etchtag()} {
		b.must(os.Symlink("/proc/self/exe", place))
		if lack := s.lackingEtchtag(alone, ours); lack != "" {
			t.Errorf("with %s it is said that %s", place, lack)
		}
		b.must(os.Remove(place))
	}
	s.Config.Inventory = s.Config.Inventory[:1]
	if lack := s.lackingEtchtag(alone, ours); lack != "" {
		t.Errorf("without need it is said that %s", lack)
	}
}
