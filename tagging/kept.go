package tagging

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
	"github.com/etch/etchtag/tagstate/lines"
)

// Kept is what the file of kept tags says: which tags somebody keeps from being pruned.
type Kept struct {
	Reasons  map[string]string  // by tag; never empty
	Warnings []tagstate.Warning // lines that name no tag, although somebody means to keep one; in their order
}

// LoadKept reads the file of kept tags at path: "TAG REASON" a line, in the grammar of tagstate. The last line of a tag
// counts. A file that is absent keeps nothing; one that cannot be read is an error.
func LoadKept(path string) (Kept, error) {
	data, err := lines.Read(path)
	if err != nil {
		return Kept{}, err
	}
	return parseKept(path, data), nil
}

func parseKept(path string, data []byte) Kept {
	k := Kept{Reasons: map[string]string{}}
	for l := range lines.Lines(data) {
		name := keptName(l.Key)
		if _, err := tag.ParseName(name); err != nil {
			k.Warnings = append(k.Warnings, tagstate.Warning{
				Position: tagstate.Position{File: filepath.Base(path), Line: l.Number}, Message: err.Error()})
			continue
		}
		k.Reasons[name] = strings.TrimSpace(l.Value + " " + l.Rest)
		if k.Reasons[name] == "" {
			k.Reasons[name] = "no reason given"
		}
	}
	return k
}

func keptName(key string) string { return strings.TrimPrefix(key, "tags/") }

// Keep returns the contents of the file of kept tags with a line for each of the tags, in place of those that they had.
// Every other byte stays as it is.
func Keep(data []byte, names []string, reason string) []byte {
	data = Release(data, names)
	if len(data) > 0 && !bytes.HasSuffix(data, []byte("\n")) {
		data = append(data, '\n')
	}
	reason = strings.Join(strings.Fields(reason), " ")
	for _, name := range names {
		data = append(data, strings.TrimSpace(name+" "+reason)+"\n"...)
	}
	return data
}

// Release returns the contents of the file of kept tags without the lines of the tags. Every other byte stays as it is.
func Release(data []byte, names []string) []byte {
	var out []byte
	done := 0 // data up to here is in out, or meant not to be
	for l := range lines.Spans(data) {
		if l.Says() && slices.Contains(names, keptName(string(l.Key.Of(data)))) {
			out = append(out, data[done:l.All.Start]...)
			done = l.All.End
		}
	}
	return append(out, data[done:]...)
}
