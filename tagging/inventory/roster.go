package inventory

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/etch/etchtag/tagging/inventory/parse"
	"go.yaml.in/yaml/v3"
)

// roster is what one of etch's files says: names, each with a list of names.
type roster struct {
	file  string
	rows  []row // in the file's order; a name can have several
	lists *parse.Lists
	rowOf map[string]int32 // YAML only: by name
}

// row is one entry of a file.
type row struct {
	name string
	list int32 // index into roster.lists.All
	line int32
}

// form is how one of etch's files is named and written in XML.
type form struct {
	stem    string // of the file's name, and the root element
	element string
	member  string
}

// readRoster reads the file of the given form in the directory dir: the one in YAML if there is one, like
// etch, else the one in XML, else none. A mistake in it is a Fault whose File is the name without dir.
func readRoster(dir string, f form) (*roster, error) {
	file := f.stem + ".yml"
	text, err := parse.Text(filepath.Join(dir, file))
	if err == nil {
		return parseYAMLRoster(file, text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	file = f.stem + ".xml"
	text, err = parse.Text(filepath.Join(dir, file))
	if err == nil {
		return parseXMLRoster(file, text, f)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return newRoster(""), nil
}

func newRoster(file string) *roster {
	return &roster{file: file, lists: parse.NewLists(), rowOf: map[string]int32{}}
}

// parseYAMLRoster reads a mapping NAME: [names].
func parseYAMLRoster(file, text string) (*roster, error) {
	var r *roster
	err := parse.EachEntry(file, text, func() parse.Visitor {
		r = newRoster(file)
		return r.addNode
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// parseXMLRoster reads elements with an attribute "name" and children. A name that is repeated has the
// members of all of its elements, as in etch.
func parseXMLRoster(file, text string, f form) (*roster, error) {
	r := newRoster(file)
	err := parse.EachElement(file, text, f.stem, f.element, f.member, func(name string, members []string, line int) error {
		r.add(name, r.lists.Add(members), line)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// add adds an entry.
func (r *roster) add(name string, list int32, line int) {
	r.rows = append(r.rows, row{name: name, list: list, line: int32(line)})
}

// addNode adds an entry of a YAML mapping. YAML forbids to repeat a key.
func (r *roster) addNode(key, value *yaml.Node) error {
	name, err := parse.KeyText(r.file, key)
	if err != nil {
		return err
	}
	if first, found := r.rowOf[name]; found {
		return parse.Faultf(r.file, key.Line, "%q stands here a second time; the first is in line %d",
			name, r.rows[first].line)
	}
	list, err := r.lists.AddNode(r.file, value)
	if err != nil {
		return err
	}
	r.rowOf[name] = int32(len(r.rows))
	r.add(name, list, key.Line)
	return nil
}

// lowerNames turns the names of all rows to lower case and checks that they can be names of hosts.
func (r *roster) lowerNames() error {
	for i := range r.rows {
		name, err := parse.HostName(r.file, int(r.rows[i].line), r.rows[i].name)
		if err != nil {
			return err
		}
		r.rows[i].name = name
	}
	return nil
}
