package build

import (
	"errors"
	"fmt"
	"io"

	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/inventory/parse"
)

// RefreshTables makes the tables of those inventories of kind file that have changed, so that lookups need
// not read them in full. The caller holds the lock of whoever makes tags. All that the error says are
// warnings: lookups work without tables, only slower, and those of a file with a mistake fail anyway.
func (s *Site) RefreshTables(step func(label string) error) error {
	var warnings []error
	for _, i := range s.Config.Inventory {
		if i.Kind != "file" {
			continue
		}
		path := s.Path(i.Path)
		rebuilt, err := inventory.RefreshFileTable(path, s.Base.FileTable(path), step)
		var fault *parse.Fault
		switch {
		case errors.As(err, &fault):
			warnings = append(warnings, fmt.Errorf("the lookups of all hosts fail until this is mended: %w", err))
		case err != nil:
			warnings = append(warnings, fmt.Errorf("until the next run each lookup reads the file in full: %w", err))
		case rebuilt:
			s.Log.Debug(fmt.Sprintf("the table of %s is made anew", path))
		}
	}
	return errors.Join(warnings...)
}

// CompileTable prepares lookups in a tree. A mistake in the tree's files is part of the table, so that lookups
// pass the tree over without reading it again.
func CompileTable(w io.Writer, dir string) (warning string, err error) {
	err = inventory.CompileTo(w, dir)
	if fault := new(parse.Fault); errors.As(err, &fault) {
		return err.Error(), nil
	}
	return "", err
}
