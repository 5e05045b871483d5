package workcopy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
)

// Mounts are the places in a working copy at which something is mounted. It is somebody else's: nobody looks into it,
// and neither it nor a directory that leads to it is removed or set aside.
type Mounts []disk.MountPoint

// FindMounts lists the places below the root of a working copy. If they cannot be known there are none, and whoever
// would enter another mount fails.
func FindMounts(root int) Mounts {
	points, err := disk.MountsBelow(root)
	if err != nil {
		return nil
	}
	return points
}

// At reports whether something is mounted at a path.
func (m Mounts) At(path string) bool {
	return slices.ContainsFunc(m, func(p disk.MountPoint) bool { return p.Below == path })
}

// in reports whether something is mounted at a path or below it.
func (m Mounts) in(path string) bool {
	return slices.ContainsFunc(m, func(p disk.MountPoint) bool { return disk.IsAtOrBelow(p.Below, path) })
}

// Outside returns the places that are not in a directory.
func (m Mounts) Outside(dir string) Mounts {
	return slices.DeleteFunc(slices.Clone(m), func(p disk.MountPoint) bool { return disk.IsAtOrBelow(p.Below, dir) })
}

// Ways returns the directories that lead there.
func (m Mounts) Ways() map[string]bool {
	ways := map[string]bool{}
	for _, p := range m {
		disk.ParentDirs(ways, p.Below)
	}
	return ways
}

// Warnings names the places in one warning, if there are any.
func (m Mounts) Warnings() []string {
	if len(m) == 0 {
		return nil
	}
	var names []string
	for _, p := range m[:min(disk.MaxNamed, len(m))] {
		names = append(names, disk.QuotePath(p.Below))
	}
	if more := len(m) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return []string{"what is not upstream's in the working copy is left alone where something is mounted, at " +
		strings.Join(names, ", ")}
}

// IsHidden reports whether an error means that a part of the working copy cannot be seen for what is mounted there.
func IsHidden(err error) bool {
	_, mounted := errors.AsType[*disk.MountError](err)
	return mounted || errors.Is(err, disk.ErrMountPoint)
}

// UpstreamsError is the error for a mount where upstream has something, so that the working copy cannot be exact.
func UpstreamsError(p disk.MountPoint) error {
	return fmt.Errorf("%s is upstream's: %w", disk.QuotePath(p.Below), &disk.MountError{Points: []string{p.Path}})
}
