package svn

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// wcInfo is what "svn info" knows of a file or directory.
type wcInfo struct {
	Path     string `xml:"path,attr"`
	Kind     string `xml:"kind,attr"`
	Revision string `xml:"revision,attr"`
	URL      string `xml:"url"`
	Root     string `xml:"repository>root"`
	UUID     string `xml:"repository>uuid"`
	WCRoot   string `xml:"wc-info>wcroot-abspath"`
	Depth    string `xml:"wc-info>depth"`
	Checksum string `xml:"wc-info>checksum"` // SHA-1 of what was checked out, as the repository has it
	Commit   struct {
		Revision string `xml:"revision,attr"`
		Date     string `xml:"date"`
	} `xml:"commit"` // the last one that changed it
}

func parseInfo(out []byte) ([]wcInfo, error) {
	v, err := parseXML[struct {
		Entries []wcInfo `xml:"entry"`
	}](out, "svn info")
	return v.Entries, err
}

// info describes the client's directory, without the network.
func (c client) info(ctx context.Context) (wcInfo, error) {
	out, err := c.local(ctx, "info", "--xml", "--", ".")
	if err != nil {
		return wcInfo{}, err
	}
	return oneInfo(out)
}

// remoteInfo describes what a URL led to in a revision, found by where it is in the revision pegged.
func (c client) remoteInfo(ctx context.Context, rawURL, revision, pegged string) (wcInfo, error) {
	out, err := c.remote(ctx, rawURL, "info", "--xml", "-r", revision, "--", peg(rawURL, pegged))
	if err != nil {
		return wcInfo{}, err
	}
	return oneInfo(out)
}

func oneInfo(out []byte) (wcInfo, error) {
	entries, err := parseInfo(out)
	if err == nil && len(entries) != 1 {
		err = fmt.Errorf("svn info describes %d things, not one", len(entries))
	}
	if err != nil {
		return wcInfo{}, err
	}
	return entries[0], nil
}

// pathStatus is what "svn status" says of one path.
type pathStatus struct {
	Path string    `xml:"path,attr"`
	Here svnState  `xml:"wc-status"`
	Up   *svnState `xml:"repos-status"` // nil if upstream has nothing new, or was not asked
}

// isForeign reports whether svn knows nothing of what stands there.
func (s pathStatus) isForeign() bool {
	return !s.Here.TreeConflict && (s.Here.Item == "unversioned" || s.Here.Item == "ignored")
}

type svnState struct {
	Item         string `xml:"item,attr"`
	Props        string `xml:"props,attr"`
	Switched     bool   `xml:"switched,attr"`
	FileExternal bool   `xml:"file-external,attr"`
	TreeConflict bool   `xml:"tree-conflicted,attr"`
}

// parseStatus returns the entries in svn's order.
func parseStatus(out []byte) ([]pathStatus, error) {
	type list struct {
		Entries []pathStatus `xml:"entry"`
	}
	v, err := parseXML[struct {
		Targets     []list `xml:"target"`
		Changelists []list `xml:"changelist"`
	}](out, "svn status")
	if err != nil {
		return nil, err
	}
	var entries []pathStatus
	for _, l := range append(v.Targets, v.Changelists...) {
		entries = append(entries, l.Entries...)
	}
	return entries, nil
}

// properties returns the values of one property of all files and directories that have it below the targets, by
// path relative to the client's directory.
func (c client) properties(ctx context.Context, name string, targets []string) (map[string]string, error) {
	out, err := c.local(ctx, "propget", append([]string{name, "-R", "--xml", "--"}, targets...)...)
	if err != nil {
		return nil, err
	}
	return parseProperties(out, c.dir)
}

// parseProperties reads what "svn propget" writes, whose paths may be absolute.
func parseProperties(out []byte, dir string) (map[string]string, error) {
	v, err := parseXML[struct {
		Targets []struct {
			Path  string `xml:"path,attr"`
			Value string `xml:"property"`
		} `xml:"target"`
	}](out, "svn propget")
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(v.Targets))
	for _, t := range v.Targets {
		path := filepath.Clean(strings.TrimPrefix(t.Path, dir+"/"))
		if t.Path == dir {
			path = "."
		}
		values[path] = t.Value
	}
	return values, nil
}

// listedEntry is an entry of "svn list".
type listedEntry struct {
	Kind string `xml:"kind,attr"`
	Name string `xml:"name"`
	Size int64  `xml:"size"`
}

func parseList(out []byte) ([]listedEntry, error) {
	v, err := parseXML[struct {
		Entries []listedEntry `xml:"list>entry"`
	}](out, "svn list")
	return v.Entries, err
}
