package inventory

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// roster is what one of etch's files says: names, each with a list of names.
type roster struct {
	file  string
	rows  []row // in the file's order; a name can have several
	lists *lists
	rowOf map[string]int32 // YAML only: by name
}

// row is one entry of a file.
type row struct {
	name string
	list int32 // index into roster.lists.all
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
	text, err := readText(filepath.Join(dir, file))
	if err == nil {
		return parseYAMLRoster(file, text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	file = f.stem + ".xml"
	text, err = readText(filepath.Join(dir, file))
	if err == nil {
		return parseXMLRoster(file, text, f)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return newRoster(""), nil
}

func newRoster(file string) *roster {
	return &roster{file: file, lists: newLists(), rowOf: map[string]int32{}}
}

// parseYAMLRoster reads a mapping NAME: [names].
func parseYAMLRoster(file, text string) (*roster, error) {
	var r *roster
	err := eachEntry(file, text, func() visitor {
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
	err := eachElement(file, text, f.stem, f.element, f.member, func(name string, members []string, line int) error {
		r.add(name, r.lists.add(members), line)
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
	name, err := keyText(r.file, key)
	if err != nil {
		return err
	}
	if first, found := r.rowOf[name]; found {
		return faultf(r.file, key.Line, "%q stands here a second time; the first is in line %d",
			name, r.rows[first].line)
	}
	list, err := r.lists.addNode(r.file, value)
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
		name, err := hostName(r.file, int(r.rows[i].line), r.rows[i].name)
		if err != nil {
			return err
		}
		r.rows[i].name = name
	}
	return nil
}

// maxHostName is the greatest length of a host's name in bytes, from the DNS.
const maxHostName = 253

// hostName returns the name by which a host that is written as name is looked up.
func hostName(file string, line int, name string) (string, error) {
	lower := strings.ToLower(name)
	if len(lower) > maxHostName {
		return "", faultf(file, line, "the host name %.20q... is %d bytes long; %d is the most",
			name, len(lower), maxHostName)
	}
	return lower, nil
}
