package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// missing returns those of the tags that are not there.
func (s *site) missing(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), s.isThere)
}

// there returns those of the tags that are there.
func (s *site) there(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !s.isThere(name) })
}

func (s *site) isThere(name string) bool {
	_, err := os.Lstat(s.Base.Dir(name))
	return !errors.Is(err, fs.ErrNotExist)
}

// stillThere fails if one of the tags, which were there before something was written that keeps them, is gone. A
// prune that has put a tag out of sight looks at what is written before it removes it, and gives it back if somebody
// has come to need it. So whoever writes first and finds the tag after that can be sure of it.
func (s *site) stillThere(names []string) error {
	gone := s.missing(names)
	if len(gone) == 0 {
		return nil
	}
	return fmt.Errorf("a prune was quicker, and %s is gone; what was written of it stays written, and etchtag list shows "+
		"which tags there are", strings.Join(gone, ", "))
}
