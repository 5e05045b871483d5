package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// requireEqual fails unless two trees have the same files, links and directories, whatever the times of these and
// who may write to them. A repository at the top of one of them does not count.
func requireEqual(a, b string) error {
	seen := 0
	err := walk(a, func(path string, e fs.DirEntry) error {
		seen++
		return compareEntry(filepath.Join(a, path), filepath.Join(b, path), e)
	})
	if err != nil {
		return err
	}
	if seen == 0 {
		return fmt.Errorf("%s is empty", a)
	}
	return walk(b, func(path string, _ fs.DirEntry) error {
		_, err := os.Lstat(filepath.Join(a, path))
		return err
	})
}

// walk visits what is in a tree, by its path in it.
func walk(root string, visit func(path string, e fs.DirEntry) error) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		if path = path[len(root)+1:]; path == ".git" {
			return fs.SkipDir
		}
		return visit(path, e)
	})
}

func compareEntry(a, b string, e fs.DirEntry) error {
	infoA, err := e.Info()
	if err != nil {
		return err
	}
	infoB, err := os.Lstat(b)
	if err != nil {
		return err
	}
	const executable = 0o111
	if infoA.Mode().Type() != infoB.Mode().Type() || infoA.Mode()&executable != infoB.Mode()&executable {
		return fmt.Errorf("%s is %v, but %s is %v", a, infoA.Mode(), b, infoB.Mode())
	}
	if e.IsDir() {
		return nil
	}
	dataA, err := contents(a, infoA)
	if err != nil {
		return err
	}
	dataB, err := contents(b, infoB)
	if err != nil {
		return err
	}
	if !bytes.Equal(dataA, dataB) {
		return fmt.Errorf("%s and %s differ", a, b)
	}
	return nil
}

// contents is what a file holds, or where a link leads.
func contents(path string, info fs.FileInfo) ([]byte, error) {
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := os.Readlink(path)
		return []byte(target), err
	}
	return os.ReadFile(path)
}
