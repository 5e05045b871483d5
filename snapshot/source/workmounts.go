package source

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// workMounts are the places in a working copy at which something is mounted. It is somebody else's: nobody looks into it,
// and neither it nor a directory that leads to it is removed or set aside.
type workMounts []mountPoint

// findWorkMounts lists the places below the root of a working copy. If they cannot be known there are none, and whoever
// would enter another mount fails.
func findWorkMounts(root int) workMounts {
	points, err := mountsBelow(root)
	if err != nil {
		return nil
	}
	return points
}

// at reports whether something is mounted at a path.
func (m workMounts) at(path string) bool {
	return slices.ContainsFunc(m, func(p mountPoint) bool { return p.below == path })
}

// in reports whether something is mounted at a path or below it.
func (m workMounts) in(path string) bool {
	return slices.ContainsFunc(m, func(p mountPoint) bool { return isAtOrBelow(p.below, path) })
}

// outside returns the places that are not in a directory.
func (m workMounts) outside(dir string) workMounts {
	return slices.DeleteFunc(slices.Clone(m), func(p mountPoint) bool { return isAtOrBelow(p.below, dir) })
}

// ways returns the directories that lead there.
func (m workMounts) ways() map[string]bool {
	ways := map[string]bool{}
	for _, p := range m {
		parentDirs(ways, p.below)
	}
	return ways
}

// warnings names the places in one warning, if there are any.
func (m workMounts) warnings() []string {
	if len(m) == 0 {
		return nil
	}
	var names []string
	for _, p := range m[:min(maxNamed, len(m))] {
		names = append(names, quotePath(p.below))
	}
	if more := len(m) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return []string{"what is not upstream's in the working copy is left alone where something is mounted, at " +
		strings.Join(names, ", ")}
}

// isHidden reports whether an error means that a part of the working copy cannot be seen for what is mounted there.
func isHidden(err error) bool {
	_, mounted := errors.AsType[*MountError](err)
	return mounted || errors.Is(err, errMountPoint)
}

// upstreams returns an error about a place at which upstream has something, so that the working copy cannot be exact.
func (p mountPoint) upstreams() error {
	return fmt.Errorf("%s is upstream's: %w", quotePath(p.below), &MountError{[]string{p.path}})
}
