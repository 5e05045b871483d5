package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/health"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/inventory"
)

// ourPrograms begins the import paths of our programs.
const ourPrograms = "github.com/etch/etchtag/cmd/"

// procDir is where the kernel tells of processes and locks.
const procDir = "/proc"

// facts looks at everything that says whether all is well.
func (s *site) facts(ctx context.Context, now time.Time) *health.Facts {
	x := &health.Facts{Now: now, Base: s.Base, Config: s.Config,
		Killswitch: health.See(tagging.Killswitch{Path: s.Base.Killswitch()}.Status()),
		Nodetagger: s.nodetaggerFacts(),
		Update:     health.See(snapshot.ReadLastUpdate(s.Base)),
		Locks:      []health.Lock{seeLock("lock", s.Base.SnapshotLock(), true), seeLock("tagstate lock", s.Base.TagstateLock(), false)},
		Replaced:   snapshot.FindReplaced(s.Base),
		Kept:       health.See(tagging.LoadKept(s.Base.Kept())),
		Hosts:      health.See(s.Hosts(now)),
	}
	if x.Quiet() {
		x.Debris = health.See(snapshot.FindDebris(s.Base))
	}
	for _, path := range s.decisiveFiles() {
		if file := seeFile(path); !errors.Is(file.Err, fs.ErrNotExist) {
			x.Files = append(x.Files, file)
		}
	}
	x.Discarded, _ = aside.Names(s.Base.Discarded()) // it is no business of who may not read it
	if x.Hosts.Err == nil {
		s.seeServed(ctx, x)
	}
	return x
}

// seeServed looks at what decides for hosts.
func (s *site) seeServed(ctx context.Context, x *health.Facts) {
	hosts := x.Hosts.Value
	x.Capacity = health.See(staged.EstimateCapacity(s.Base, hosts.Index.Tags, staged.Layout(s.Config.Tags.Files)))
	x.MarksToCome = s.marksToCome(hosts.States, x.Now)
	for i, inv := range hosts.Inventories {
		x.Inventories = append(x.Inventories, health.Inventory{Name: inv.Name(), Stale: s.Config.Inventory[i].Stale,
			Answer: health.See(inv.Lookup(ctx, "host.invalid"))})
	}
	x.Pins = health.See(s.inventoryPins(ctx, hosts))
	x.Lost = map[string]error{}
	for _, pin := range slices.Concat(hosts.Pins.All(), x.Pins.Value) {
		if _, known := x.Lost[pin.Path]; !known { // many hosts may be pinned to one
			x.Lost[pin.Path] = pin.Check(s.Base)
		}
	}
}

func seeFile(path string) health.File {
	info, err := os.Stat(path)
	if err != nil {
		return health.File{Path: path, Err: err}
	}
	return health.File{Path: path, Mode: info.Mode()}
}

func seeLock(what, path string, everything bool) health.Lock {
	l := health.Lock{What: what, File: seeFile(path), Everything: everything}
	l.Holder, l.Held, l.Err = snapshot.FindLockHolder(procDir, path)
	return l
}

// nodetaggerFacts looks at the program that the etch server starts. It asks nobody: a program of another version, or no
// program of ours, would answer who knows what. What the Go toolchain recorded of a build stands in the file.
func (s *site) nodetaggerFacts() health.Program {
	p := health.Program{File: seeFile(s.nodetagger()), Ours: version()}
	if p.File.Err != nil || !p.File.Mode.IsRegular() {
		return p
	}
	built, err := buildinfo.ReadFile(p.File.Path)
	switch {
	case err != nil:
		p.Version.Err = err
	case !strings.HasPrefix(built.Path, ourPrograms):
		p.Version.Err = fmt.Errorf("it is %s", built.Path)
	default:
		p.Version.Value, p.Lacks = versionOf(built), s.lackingEtchtag(p.File.Path, built)
	}
	return p
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

// decisiveFiles are the files and directories, each once, whose writers decide what clients get: the base and all that
// stands directly in it, what the configuration names elsewhere, the tags and our own records. A path's end may be a
// link: what counts is who can write what it leads to.
func (s *site) decisiveFiles() []string {
	b := s.Base
	files := []string{b.Path, s.configFile, filepath.Join(b.Path, "nodetagger"), b.Pins(), b.Kept(), b.Killswitch(),
		b.Tags(), b.Work(), b.Trunk()}
	for _, path := range s.Config.Tagstate {
		files = append(files, s.Path(path))
	}
	files = append(files, s.configuredFiles()...)
	for _, name := range []string{".git", ".svn", "CVS"} {
		files = append(files, filepath.Join(b.Trunk(), name))
	}
	for _, dir := range []string{b.Path, b.Tags(), b.Work(), filepath.Dir(b.Manifest("x")), filepath.Dir(b.Table("x"))} {
		files = append(files, pathsIn(dir)...)
	}
	seen := map[string]bool{
		filepath.Join(b.Path, "orig"): true, // the etch server's user writes there, and nobody reads
		b.SnapshotLock():              true, // those are another matter
		b.TagstateLock():              true,
	}
	return slices.DeleteFunc(files, func(path string) bool {
		again := seen[path]
		seen[path] = true
		return again
	})
}

// configuredFiles are the files and programs that the configuration names by a path.
func (s *site) configuredFiles() (files []string) {
	if check := s.Config.Tags.Check; len(check) > 0 && filepath.IsAbs(check[0]) { // others stand in the tree
		files = append(files, check[0])
	}
	for _, i := range s.Config.Inventory {
		if kind := s.Kinds[i.Kind]; kind.Files != nil {
			files = append(files, kind.Files(s.Site.Site, i)...)
		}
	}
	return files
}

// pathsIn are the paths of what stands directly in a directory: none if it cannot be read, which others report.
func pathsIn(dir string) (paths []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	return paths
}

// inventoryPins returns the pins of inventories, but for those of hosts for which another comes first. Etch's own files
// and nodegroupers know no pins, and are not asked: they may list a million hosts.
func (s *site) inventoryPins(ctx context.Context, hosts *tagging.Hosts) ([]tagging.Pin, error) {
	var pins []tagging.Pin
	decided := map[string]bool{}
	for i, inv := range hosts.Inventories {
		lister, ok := inv.(inventory.Lister)
		if !ok || !s.Kinds[s.Config.Inventory[i].Kind].Pins {
			continue
		}
		err := lister.Hosts(ctx, func(host string, a inventory.Answer) bool {
			if _, first := hosts.Pins.Get(host); a.Pin == "" || first || decided[host] {
				return true
			}
			pin := tagging.Pin{Host: host, Path: a.Pin, From: a.PinFrom}
			decided[host] = !pin.IsBump() // one that means nothing leaves it to the next
			pins = append(pins, pin)
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("list the hosts of inventory %s: %w", inv.Name(), err)
		}
	}
	slices.SortStableFunc(pins, func(a, b tagging.Pin) int { return strings.Compare(a.Host, b.Host) })
	return pins, nil
}
