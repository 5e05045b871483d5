package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// What is measured in bytes.
const (
	oneMoreTag    = "one more tag"
	whatIsNew     = "its directories, changed files, manifest"
	manifestSize  = "manifest"
	filesOfTheTag = "the files that it lists"
)

// measureDisk adds what the tag that was made in a round takes, and what it cannot but take.
func (a *arena) measureDisk(r results, round int) error {
	n := round + 1
	mine, err := a.newBlocks(n)
	if err != nil {
		return err
	}
	manifest, err := os.Stat(a.base.manifest(n))
	if err != nil {
		return err
	}
	needed, listed := allocated(manifest), int64(0)
	copied, before := a.out("git", round), a.base.tag(n-1)
	err = walk(copied, func(path string, e fs.DirEntry) error {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if !e.IsDir() {
			listed += info.Size()
		}
		if e.IsDir() || changed(filepath.Join(copied, path), filepath.Join(before, path), info) {
			needed += allocated(info)
		}
		return nil
	})
	r[oneMoreTag], r[whatIsNew] = []sample{{size: mine}}, []sample{{size: needed}}
	r[manifestSize], r[filesOfTheTag] = []sample{{size: manifest.Size()}}, []sample{{size: listed}}
	return err
}

// newBlocks is what a tag takes with its records, without what it shares with any other.
func (a *arena) newBlocks(n int) (int64, error) {
	shared := map[uint64]bool{}
	for other := range n {
		err := walk(a.base.tag(other), func(_ string, e fs.DirEntry) error {
			info, err := e.Info()
			if err == nil {
				shared[inode(info)] = true
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	var sum int64
	count := func(info fs.FileInfo) {
		if !shared[inode(info)] {
			sum += allocated(info)
		}
	}
	for _, record := range []string{a.base.manifest(n), a.base.table(n)} {
		if info, err := os.Stat(record); err == nil {
			count(info)
		}
	}
	err := walk(a.base.tag(n), func(_ string, e fs.DirEntry) error {
		info, err := e.Info()
		if err == nil {
			count(info)
			shared[inode(info)] = true
		}
		return err
	})
	return sum, err
}

// allocated is the room that a file or directory takes on the disk, in bytes.
func allocated(info fs.FileInfo) int64 { return info.Sys().(*syscall.Stat_t).Blocks * 512 }

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

// changed reports whether a file is not what it was before.
func changed(now, before string, info fs.FileInfo) bool {
	old, err := os.Lstat(before)
	if err != nil || old.Mode().Type() != info.Mode().Type() {
		return true
	}
	dataNow, err := contents(now, info)
	if err != nil {
		return true
	}
	dataBefore, err := contents(before, old)
	return err != nil || !bytes.Equal(dataNow, dataBefore)
}
